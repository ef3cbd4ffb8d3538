"""What can be written to Intercom, declared: fields with their types, and how objects are named.

Knows neither HTTP nor SQL. ``field`` is the vocabulary; ``KINDS`` are the kinds of the outbox.
"""

from connector.push.kinds.companies import COMPANIES
from connector.push.kinds.contacts import CONTACTS
from connector.push.kinds.events import EVENTS
from connector.push.kinds.field import Field, Key, Kind, Type
from connector.push.kinds.tags import TAGS

KINDS: dict[str, Kind] = {kind.name: kind for kind in (CONTACTS, COMPANIES, EVENTS, TAGS)}

__all__ = ["COMPANIES", "CONTACTS", "EVENTS", "KINDS", "TAGS", "Field", "Key", "Kind", "Type"]
