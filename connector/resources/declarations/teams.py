"""Teams: the groups of admins to which conversations are assigned."""

from connector.resources.readings import Snapshot
from connector.resources.resource import Link, Resource, Table, count, identifier, json, text

TABLE = Table(
    name="teams",
    types=("team",),
    comment="Teams of the workspace. A team that GET /teams no longer lists is marked deleted.",
    columns=(
        identifier("id", "Intercom's id of the team"),
        text("name", "Name of the team"),
        count("assignment_limit", "How many conversations may be assigned to a member at once"),
        text("distribution_method", "How conversations are distributed among the members"),
        json("admin_priority_level.primary_admin_ids", "Ids of the admins with primary priority"),
        json(
            "admin_priority_level.secondary_admin_ids", "Ids of the admins with secondary priority"
        ),
    ),
    links=(
        Link(
            table="team_admins",
            comment="Which admins belong to which team, as the team lists them.",
            path="admin_ids",
            owner="team_id",
            target="admin_id",
            refers_to="admins",
            item="",
        ),
    ),
)

TEAMS = Resource("teams", TABLE, Snapshot("/teams", "teams"), by_id="/teams/{id}")
