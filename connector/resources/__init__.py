"""What Intercom has, as values: every resource the sync reads, parents before children.

Knows neither HTTP nor SQL. Read ``resource`` for the words of a declaration and ``readings`` for
the ways of listing, then ``declarations``, a file for each family; all stand here in ``RESOURCES``.
``lists`` finds the lists in a record, ``selection`` says which resources a name means.
"""

from functools import cache

from connector.resources.declarations.admins import ADMINS
from connector.resources.declarations.companies import COMPANIES
from connector.resources.declarations.contacts import (
    CONTACT_MERGES,
    CONTACT_NOTES,
    CONTACT_SUBSCRIPTIONS,
    LEADS,
    USERS,
)
from connector.resources.declarations.conversations import CONVERSATIONS, DELETED_CONVERSATIONS
from connector.resources.declarations.data_attributes import DATA_ATTRIBUTES
from connector.resources.declarations.events import EVENTS
from connector.resources.declarations.help_center import ARTICLES, COLLECTIONS, HELP_CENTERS
from connector.resources.declarations.operations import (
    ACTIVITY_LOGS,
    CALLS,
    MACROS,
    NEWS_ITEMS,
    NEWSFEEDS,
)
from connector.resources.declarations.segments import CONTACT_SEGMENTS, SEGMENTS
from connector.resources.declarations.subscription_types import SUBSCRIPTION_TYPES
from connector.resources.declarations.tags import TAGS
from connector.resources.declarations.teams import TEAMS
from connector.resources.declarations.tickets import TICKET_STATES, TICKET_TYPES, TICKETS
from connector.resources.readings import PerContact
from connector.resources.resource import Link, Resource, Table

RESOURCES: tuple[Resource, ...] = (
    TAGS,
    SEGMENTS,
    ADMINS,
    TEAMS,
    DATA_ATTRIBUTES,
    SUBSCRIPTION_TYPES,
    COMPANIES,
    LEADS,
    USERS,
    CONTACT_MERGES,
    HELP_CENTERS,
    CONTACT_SUBSCRIPTIONS,
    CONTACT_SEGMENTS,
    COLLECTIONS,
    ARTICLES,
    NEWSFEEDS,
    NEWS_ITEMS,
    MACROS,
    ACTIVITY_LOGS,
    CONVERSATIONS,
    DELETED_CONVERSATIONS,
    TICKET_STATES,
    TICKET_TYPES,
    TICKETS,
    CALLS,
    CONTACT_NOTES,
    EVENTS,
)
"""In the order in which a run reads them: what there is only contact by contact comes last."""

TABLES: tuple[Table, ...] = tuple(dict.fromkeys(resource.table for resource in RESOURCES))

TABLE_BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
BY_NAME: dict[str, Resource] = {resource.name: resource for resource in RESOURCES}

PERSONS: Table = next(table for table in TABLES if table.holds_persons)
"""The table whose rows are the contacts."""
(MERGES,) = PERSONS.derived
"""The rows that tell which of them were merged, and into which."""


@cache
def embedded_in(table: Table) -> tuple[tuple[Resource, Link], ...]:
    """What records of the table embed, and what it is asked for by where one does not."""
    return tuple(
        (resource, link)
        for resource in RESOURCES
        if resource.table is table
        and isinstance(resource.reading, PerContact)
        and resource.reading.embedded
        for link in table.links
        if link.path == resource.reading.within
    )
