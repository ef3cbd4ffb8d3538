"""What Intercom has, as values: every resource the sync reads, parents before children."""

from connector.resources.admins import ADMINS
from connector.resources.companies import COMPANIES
from connector.resources.contacts import (
    CONTACT_MERGES,
    CONTACT_NOTES,
    CONTACT_SUBSCRIPTIONS,
    LEADS,
    USERS,
)
from connector.resources.conversations import CONVERSATIONS, DELETED_CONVERSATIONS
from connector.resources.data_attributes import DATA_ATTRIBUTES
from connector.resources.events import EVENTS
from connector.resources.help_center import ARTICLES, COLLECTIONS, HELP_CENTERS
from connector.resources.operations import ACTIVITY_LOGS, CALLS, MACROS, NEWS_ITEMS, NEWSFEEDS
from connector.resources.resource import Resource, Table
from connector.resources.segments import CONTACT_SEGMENTS, SEGMENTS
from connector.resources.subscription_types import SUBSCRIPTION_TYPES
from connector.resources.tags import TAGS
from connector.resources.teams import TEAMS
from connector.resources.tickets import TICKET_STATES, TICKET_TYPES, TICKETS

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
    CONTACT_SEGMENTS,
    CONTACT_NOTES,
    CONTACT_SUBSCRIPTIONS,
    CONVERSATIONS,
    DELETED_CONVERSATIONS,
    TICKET_STATES,
    TICKET_TYPES,
    TICKETS,
    EVENTS,
    HELP_CENTERS,
    COLLECTIONS,
    ARTICLES,
    CALLS,
    ACTIVITY_LOGS,
    MACROS,
    NEWSFEEDS,
    NEWS_ITEMS,
)

TABLES: tuple[Table, ...] = tuple(dict.fromkeys(resource.table for resource in RESOURCES))

TABLE_BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
BY_NAME: dict[str, Resource] = {resource.name: resource for resource in RESOURCES}
