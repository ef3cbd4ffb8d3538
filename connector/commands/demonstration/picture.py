"""Draws docs/images/first-load.svg: a first load, as it is seen on a terminal of 80 columns.

``python -m connector.commands.demonstration.picture`` prints it. The figures are those of one load
of a simulated workspace (20,000 contacts, 3,000 conversations, 10,000 requests a minute) after 14
seconds, written down.
"""

from __future__ import annotations

import re
import sys

from connector.commands.reporting.display import Display
from connector.commands.reporting.going import FULL, Run
from connector.commands.terminal.screen import recording
from connector.resources import RESOURCES
from connector.warehouse.state.runs import Tally

COMMAND = "intercom-warehouse sync"
COLUMNS, LINES = 80, 30
SECONDS = 14.0
USED = 0.97  # of the budget of ten seconds

# Records, requests, seconds.
DONE = {
    "tags": (30, 1, 0.1),
    "segments": (12, 1, 0.1),
    "admins": (13, 1, 0.1),
    "teams": (4, 1, 0.1),
    "data_attributes": (37, 3, 0.2),
    "subscription_types": (4, 1, 0.1),
    "companies": (720, 9, 0.4),
    "leads": (6_023, 303, 7.2),
    "users": (14_411, 810, 7.8),
    "contact_merges": (0, 1, 0.1),
    "help_centers": (2, 1, 0.1),
    "contact_subscriptions": (0, 0, 0.0),
    "contact_segments": (12, 113, 5.2),
    "collections": (60, 2, 0.3),
    "articles": (400, 8, 1.1),
    "newsfeeds": (2, 1, 0.2),
    "news_items": (60, 2, 0.6),
    "macros": (200, 2, 0.6),
}
# Records, requests, seconds so far, and records that Intercom counts.
RUNNING = {"activity_logs": (1_520, 81, 6.0, None), "conversations": (975, 1_068, 6.1, 3_000)}


def picture() -> str:
    """The picture as SVG; it refers to nothing elsewhere."""
    now = [0.0]
    run = Run(now=lambda: now[0], planned=RESOURCES)
    run.pace()  # nothing was sent yet
    for name, (records, requests, seconds) in DONE.items():
        tally = Tally("succeeded", fetched=records, requests=requests, expected=records)
        run.going(name, tally, FULL).took = seconds
    for name, (records, requests, seconds, counted) in RUNNING.items():
        now[0] = SECONDS - seconds
        run.going(name, Tally(fetched=records, requests=requests, expected=counted), FULL)
    now[0] = SECONDS
    screen = recording(COLUMNS, LINES)
    screen.print(f"$ {COMMAND}")
    screen.print(Display(screen, lambda: USED, run).picture())
    found = screen.export_svg(title=COMMAND, unique_id="first-load")
    return re.sub(r"@font-face {.*?}\s*", "", found, flags=re.DOTALL)


if __name__ == "__main__":
    sys.stdout.write(picture())
