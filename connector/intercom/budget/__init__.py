"""The requests that Intercom allows, and how they are spent; knows no HTTP.

Read ``windows``, the count of one token by windows of ten seconds, then ``allowance``, what all
tokens may send together, since the workspace has a limit too.
"""

from connector.intercom.budget.allowance import Allowance, SharedAllowance
from connector.intercom.budget.windows import (
    LEARNING,
    Account,
    Budget,
    Spent,
    Ticket,
    WindowUse,
    spending,
)

__all__ = [
    "LEARNING",
    "Account",
    "Allowance",
    "Budget",
    "SharedAllowance",
    "Spent",
    "Ticket",
    "WindowUse",
    "spending",
]
