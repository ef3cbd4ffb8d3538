"""The sixteen relations of the shape, each a maker of a view as it is to be."""

from __future__ import annotations

from functools import cache, partial

from connector.resources.declarations import (
    admins,
    companies,
    contacts,
    conversations,
    tags,
    teams,
)
from connector.resources.resource import Table
from connector.warehouse.schema import versions
from connector.warehouse.schema.versions import Linked
from connector.warehouse.sql.names import literal, quote
from connector.warehouse.views.definitions import Around, Maker
from connector.warehouse.views.fivetran import columns as c
from connector.warehouse.views.fivetran import help_center
from connector.warehouse.views.fivetran.objects import BODY, facts, history
from connector.warehouse.views.fivetran.rows import Rows, confirmed, parts
from connector.warehouse.views.view import Shown, View

ADMINS, TEAMS, TAGS = admins.TABLE, teams.TABLE, tags.TABLE
CONTACTS, COMPANIES, CONVERSATIONS = contacts.TABLE, companies.TABLE, conversations.TABLE
(PARTS,) = CONVERSATIONS.children
(TEAM_ADMINS,) = TEAMS.links
WITH_BODIES = ("comment", "quick_reply", "note", "note_and_reopen")
"""Types of parts that have a text; of others it cannot be told where texts are not stored."""


@cache
def makers() -> dict[str, Maker]:
    """How each view is made, by its name."""
    return {
        "admin": partial(_plain, ADMINS, "admin"),
        "tag": partial(_plain, TAGS, "tag"),
        "team": partial(_plain, TEAMS, "team"),
        "team_admin": _team_admin,
        "contact_history": _contacts,
        "contact_company_history": partial(_link, CONTACTS, "contact", "company_ids"),
        "contact_tag_history": partial(_link, CONTACTS, "contact", "tag_ids"),
        "company_history": _companies,
        "company_tag_history": partial(_link, COMPANIES, "company", "tag_ids"),
        "conversation_history": _conversations,
        "conversation_tag_history": partial(_link, CONVERSATIONS, "conversation", "tag_ids"),
        "conversation_contact_history": partial(
            _link, CONVERSATIONS, "conversation", "contact_ids"
        ),
        "conversation_part_history": _conversation_parts,
        "article_history": help_center.articles,
        "collection_history": help_center.collections,
        "help_center_history": help_center.help_centers,
    }


# -- objects ---------------------------------------------------------------------------------


def _plain(table: Table, noun: str, around: Around) -> View:
    """Objects without versions: deleted ones are marked."""
    names = around.names
    shown = c.several(table, "id", "name", *(["job_title"] if table is ADMINS else []))
    shown += c.deletion(confirmed(names, table))
    return View(
        noun,
        f"Fivetran's {noun}: {table.name}, with those that are deleted.",
        f"{names(table.name)} o WHERE NOT o._placeholder",
        (*shown, *c.rest(table, shown)),
    )


def _team_admin(around: Around) -> View:
    names, link = around.names, TEAM_ADMINS
    team, admin = quote(link.owner), quote(link.target)
    gone = "t._deleted_at IS NOT NULL OR a._deleted_at IS NOT NULL"
    return View(
        "team_admin",
        "Fivetran's team_admin: which admins belong to which team.",
        f"{names(link.table)} o JOIN {names(TEAMS.name)} t ON t.id = o.{team}"
        f" JOIN {names(ADMINS.name)} a ON a.id = o.{admin} WHERE NOT t._placeholder",
        (
            Shown(link.owner, f"o.{team}", "Id of the team."),
            Shown(link.target, f"o.{admin}", "Id of the admin."),
            *c.deletion(confirmed(names, TEAMS), gone),
        ),
    )


def _contacts(around: Around) -> View:
    names = ("id", "name", "email", "role", "created_at", "updated_at")
    times = ("signed_up_at", "last_replied_at", "last_contacted_at")
    emails = ("last_email_opened_at", "last_email_clicked_at", "unsubscribed_from_emails")
    owner = c.of(CONTACTS, "owner_id", "admin_id")
    first = [*c.several(CONTACTS, *names), owner, *c.several(CONTACTS, *times, *emails)]
    return history(around, "contact_history", CONTACTS, first, ["owner_id"])


def _companies(around: Around) -> View:
    names = ("id", "name", "created_at", "updated_at", "website", "industry", "monthly_spend")
    first = c.several(COMPANIES, *names, "session_count", "user_count", "plan_id", "plan_name")
    return history(around, "company_history", COMPANIES, first)


def _conversations(around: Around) -> View:
    table = CONVERSATIONS
    assignee = c.of(table, "admin_assignee_id", "assignee_id")
    rated = c.small(table, "rating_rating", "conversation_rating_value")
    first = [
        *c.several(table, "id", "created_at", "updated_at", "state"),
        assignee,
        Shown(
            "assignee_type",
            f"CASE WHEN {assignee.expression} IS NOT NULL THEN 'admin'::text END",
            "admin where an admin is assigned.",
        ),
        *c.several(table, "source_type", "source_author_type"),
        rated,
        c.of(table, "rating_remark", "conversation_rating_remark"),
        *c.several(table, "waiting_since", "snoozed_until"),
        *c.several(table, "first_contact_reply_created_at", "first_contact_reply_type", "read"),
        *c.several(table, "source_author_id", "source_body", "source_delivered_as"),
        c.of(table, "source_subject"),
        c.of(table, "sla_applied_sla_name", "sla_name"),
        c.of(table, "sla_applied_sla_status", "sla_status"),
    ]
    other = ["admin_assignee_id", "rating_rating", "rating_remark"]
    other += ["sla_applied_sla_name", "sla_applied_sla_status"]
    return history(around, "conversation_history", table, first, other)


def _conversation_parts(around: Around) -> View:
    names, table = around.names, PARTS.table
    first = [
        c.of(table, "id"),
        Shown(
            PARTS.parent, f"o.{quote(PARTS.parent)}", "Id of the conversation that it belongs to."
        ),
        c.of(table, "part_type"),
        _body(table, stored=facts(around).has_bodies),
        *c.several(table, "author_id", "author_type", "created_at", "updated_at"),
        *c.several(table, "assigned_to_id", "assigned_to_type"),
        Shown(
            "conversation_updated_at",
            c.utc("o.parent_updated_at"),
            f"When the conversation last changed at Intercom, in UTC. From"
            f" {CONVERSATIONS.name}.updated_at.",
        ),
    ]
    told = c.history(confirmed(names, CONVERSATIONS), versions=False)
    shown = [*first, *told]
    return View(
        "conversation_part_history",
        "Fivetran's conversation_part_history: parts of conversations as they are now; deleted"
        " ones are left out.",
        parts(names, CONVERSATIONS, PARTS),
        (*shown, *c.rest(table, shown)),
    )


def _body(table: Table, *, stored: bool) -> Shown:
    """The text; where it is not stored, a constant where there was one."""
    plain = c.of(table, BODY.name)
    if stored:
        return plain
    types = ", ".join(map(literal, WITH_BODIES))
    value = (
        f"CASE WHEN o.{quote(BODY.name)} IS NOT NULL OR o.part_type IN ({types})"
        f" THEN {literal(c.NOT_STORED)}::text END"
    )
    sentence = f"{c.NOT_STORED} for parts that have a text, which CONNECTOR_EXCLUDE keeps out."
    return Shown(BODY.name, value, sentence)


# -- links -----------------------------------------------------------------------------------


def _link(table: Table, noun: str, arrays: str, around: Around) -> View:
    """Links of objects, with what they were where the history of the objects is kept."""
    link = _linked(table, arrays)
    other = link.other.removesuffix("_id")
    name = f"{noun}_{other}_history"
    kept = table.name in facts(around).kept
    told = c.history(confirmed(around.names, table), versions=kept)
    return View(
        name,
        f"Fivetran's {name}: {link.table}{' and what they were' if kept else ' as they are now'}.",
        Rows(table, kept, link).source(around.names),
        (
            Shown(link.own, "o.id", f"Id of the {noun}."),
            Shown(link.other, f"o.{quote(link.other)}", f"Id of the {other}."),
            c.updated(table, noun),
            *told,
        ),
    )


def _linked(table: Table, arrays: str) -> Linked:
    return next(one for one in versions.linked(table) if one.name == arrays)
