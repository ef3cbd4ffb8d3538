"""What Intercom has, as values: every resource the sync reads, parents before children."""

from connector.resources.admins import ADMINS
from connector.resources.companies import COMPANIES
from connector.resources.contacts import LEADS, USERS
from connector.resources.conversations import CONVERSATIONS
from connector.resources.resource import Resource, Table
from connector.resources.segments import SEGMENTS
from connector.resources.tags import TAGS
from connector.resources.teams import TEAMS

RESOURCES: tuple[Resource, ...] = (
    TAGS,
    SEGMENTS,
    ADMINS,
    TEAMS,
    COMPANIES,
    LEADS,
    USERS,
    CONVERSATIONS,
)

TABLES: tuple[Table, ...] = tuple(dict.fromkeys(resource.table for resource in RESOURCES))

BY_NAME: dict[str, Resource] = {resource.name: resource for resource in RESOURCES}
