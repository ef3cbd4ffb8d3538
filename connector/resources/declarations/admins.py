"""Admins: the teammates who work in the Intercom workspace."""

from connector.resources.readings import Snapshot
from connector.resources.resource import (
    Notified,
    Resource,
    Table,
    flag,
    identifier,
    json,
    text,
    url,
)

TABLE = Table(
    name="admins",
    types=("admin",),
    comment="Teammates of the workspace, the Operator bot included. Admins that have left are"
    " marked deleted; those known only from old conversations stay placeholders.",
    columns=(
        identifier("id", "Intercom's id of the admin"),
        text("name", "Full name"),
        text("email", "Email address"),
        text("job_title", "Job title"),
        flag("away_mode_enabled", "Whether the admin is set to away"),
        flag("away_mode_reassign", "Whether new replies are reassigned while the admin is away"),
        identifier("away_status_reason_id", "Id of the reason given for being away"),
        flag("has_inbox_seat", "Whether the admin has a paid inbox seat"),
        json("team_ids", "Ids of the admin's teams, as Intercom lists them on the admin"),
        url("avatar", "Address of the avatar image, where Intercom sends it as a string"),
        url("avatar.image_url", "Address of the avatar image, where Intercom sends an object"),
        json("team_priority_level.primary_team_ids", "Ids of teams in which the admin is primary"),
        json(
            "team_priority_level.secondary_team_ids",
            "Ids of teams in which the admin is secondary",
        ),
        identifier("role.id", "Id of the admin's role"),
        text("role.name", "Name of the admin's role"),
        text("role.type", "Type of the admin's role"),
    ),
)

ADMINS = Resource(
    "admins",
    TABLE,
    Snapshot("/admins", "admins"),
    by_id="/admins/{id}",
    notified=Notified(
        ("admin",),
        (
            "admin.added_to_workspace",
            "admin.removed_from_workspace",
            "admin.away_mode_updated",
        ),
        whole_list=True,
    ),
)
