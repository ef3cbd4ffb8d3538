"""Metrics of admins, teams, companies, contacts and tags: over all time, and by month."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from connector.warehouse.metrics.words import median
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import living
from connector.warehouse.views import identities
from connector.warehouse.views.view import View, over

_MONTH = {"month": "First day of the month"}
_MEASURES = {
    "conversations": "Number of conversations",
    "open": "How many of them are open now",
    "closed": "How many of them are closed now",
    "median_first_response_seconds": "Median of their seconds to the first response by an admin",
    "median_time_to_first_close_seconds": "Median of their seconds to the first close",
    "rating_average": "Average of their ratings, 1 to 5",
    "ratings": "How many of them were rated",
    "ai_involved": "In how many of them the AI agent took part",
    "ai_resolved": "How many of them the AI agent resolved",
}
_COUNTS = ("conversations", "open", "closed", "ratings", "ai_involved", "ai_resolved")
_PARTS = ("conversations", "conversation_parts")


class Group(Struct, frozen=True):
    """What conversations are grouped by: ``rows`` gives (key, the figures), each pair once."""

    word: str
    table: str
    named: bool
    what: str
    rows: Callable[[Names], str]


_MEASURED = (
    *("month", "state", "first_response_seconds", "time_to_first_close_seconds", "rating"),
    *("ai_involved", "ai_outcome"),
)
_FIGURES = ", ".join(f"f.{name}" for name in _MEASURED)  # no more: they are sorted


def _key(expression: str) -> str:
    """Ids to group by: in whatever order is cheapest, which a locale's is not."""
    return f'({expression}) COLLATE "C"'


def _by_team(names: Names) -> str:
    return (
        f"SELECT {_key('f.team_assignee_id')} AS key, {_FIGURES}"
        f" FROM {names('_conversation_figures')} f WHERE f.team_assignee_id IS NOT NULL"
    )


def _by_tag(names: Names) -> str:
    return (
        f"SELECT {_key('x.tag_id')} AS key, {_FIGURES} FROM {names('_conversation_figures')} f"
        f" JOIN {names('conversation_tags')} x ON x.conversation_id = f.conversation_id"
    )


_PRESENT = "coalesce(e.current_contact_id, x.contact_id)"


def _by_contact(names: Names) -> str:
    """Once for each contact, also where two of a conversation were merged."""
    return _once(names, _PRESENT, "")


def _by_company(names: Names) -> str:
    return _once(
        names,
        "y.company_id",
        f" JOIN {names('contacts')} k ON k.id = {_PRESENT} AND {living('k')}"
        f" JOIN {names('contact_companies')} y ON y.contact_id = k.id",
    )


def _once(names: Names, key: str, joins: str) -> str:
    """What the contacts of conversations lead to, each pair once."""
    conversation = _key("f.conversation_id")
    return (
        f"SELECT DISTINCT ON (f.month, {_key(key)}, {conversation}) {_key(key)} AS key, {_FIGURES}"
        f" FROM {names('_conversation_figures')} f"
        f" JOIN {names('conversation_contacts')} x ON x.conversation_id = f.conversation_id"
        f" LEFT JOIN {identities.ends(names)} e ON e.contact_id = x.contact_id{joins}"
    )


GROUPS = (
    Group("team", "teams", True, "assigned to the team", _by_team),
    Group("company", "companies", False, "of the company's contacts", _by_company),
    Group("contact", "contacts", False, "of the contact, after merges", _by_contact),
    Group("tag", "tags", False, "that bear the tag", _by_tag),
)


def makers() -> dict[str, Callable[[Names], View]]:
    """How each view is made, by its name."""
    made: dict[str, Callable[[Names], View]] = {
        "admin_metrics": _admins,
        "admin_metrics_by_month": _admins_by_month,
    }
    for group in GROUPS:
        made[f"{group.word}_metrics"] = partial(_whole, group)
        made[f"{group.word}_metrics_by_month"] = partial(_by_month, group)
    return made


# -- conversations ---------------------------------------------------------------------------


def _whole(group: Group, names: Names) -> View:
    measures = ", ".join(_zeros("g", _MEASURES, _COUNTS))
    query = f"""
        SELECT {_object(group)}, {measures}
        FROM {names(group.table)} o LEFT JOIN ({_grouped(group, names)}) g
            ON g.key = o.id COLLATE "C"
        WHERE {living("o")}"""
    source, columns = over(query, "m", _keys(group) | _MEASURES)
    return View(
        f"{group.word}_metrics",
        f"One row for each of the living {group.table}: the conversations {group.what}.",
        source,
        columns,
        tells_of=_PARTS,
    )


def _by_month(group: Group, names: Names) -> View:
    query = f"""
        SELECT g.month, {_object(group)}, {", ".join(f"g.{name}" for name in _MEASURES)}
        FROM ({_grouped(group, names, "r.month")}) g
        JOIN {names(group.table)} o ON o.id COLLATE "C" = g.key
        WHERE {living("o")}"""
    source, columns = over(query, "m", _MONTH | _keys(group) | _MEASURES)
    return View(
        f"{group.word}_metrics_by_month",
        f"The same as {group.word}_metrics by the month in which the conversations began; months"
        " without any are left out.",
        source,
        columns,
        tells_of=_PARTS,
    )


def _object(group: Group) -> str:
    return f"o.id AS {group.word}_id" + (", o.name" if group.named else "")


def _keys(group: Group) -> dict[str, str]:
    name = {"name": f"Name of the {group.word}"} if group.named else {}
    return {f"{group.word}_id": f"Intercom's id ({group.table}.id)"} | name


def _grouped(group: Group, names: Names, month: str = "") -> str:
    by = ", ".join(filter(None, (month, "r.key")))
    known = f" WHERE {month} IS NOT NULL" if month else ""
    return f"""
            SELECT {by}, count(*) AS conversations,
                   count(*) FILTER (WHERE r.state = 'open') AS open,
                   count(*) FILTER (WHERE r.state = 'closed') AS closed,
                   {median("r.first_response_seconds")} AS median_first_response_seconds,
                   {median("r.time_to_first_close_seconds")}
                       AS median_time_to_first_close_seconds,
                   avg(r.rating) AS rating_average, count(r.rating) AS ratings,
                   count(*) FILTER (WHERE r.ai_involved) AS ai_involved,
                   count(*) FILTER (WHERE r.ai_outcome = 'resolved') AS ai_resolved
            FROM ({group.rows(names)}) r{known}
            GROUP BY {by}"""


def _zeros(row: str, columns: dict[str, str], counts: tuple[str, ...]) -> Iterator[str]:
    for name in columns:
        yield f"coalesce({row}.{name}, 0) AS {name}" if name in counts else f"{row}.{name}"


# -- admins ----------------------------------------------------------------------------------

_ADMIN = {
    "admin_id": "Intercom's id (admins.id)",
    "name": "Name of the admin",
    "removed": "Whether the admin is no longer at Intercom",
}
_DONE = {
    "replies": "Number of replies",
    "conversations_replied": "To how many conversations",
    "closes": "Number of closes",
    "conversations_closed_last": "How many conversations were last closed by the admin",
}
_ASSIGNED = {"assigned_open": "How many open conversations are assigned to the admin now"}
_FELT = {
    "median_first_response_seconds": "Median of the seconds to first responses that the admin gave",
    "median_response_seconds": "Median of the seconds to all responses that the admin gave",
    "rating_average": "Average of the admin's ratings, 1 to 5",
    "ratings": "Number of the admin's ratings",
}


def _admins(names: Names) -> View:
    query = f"""
        SELECT {_admin("d", "a")}, {", ".join(_zeros("d", _DONE, tuple(_DONE)))},
               coalesce((SELECT w.number FROM waiting w
                         WHERE w.admin_id = coalesce(a.id, d.admin_id)), 0) AS assigned_open,
               {", ".join(_zeros("d", _FELT, ("ratings",)))}
        FROM {names("admins")} a FULL JOIN ({_done(names)}) d ON d.admin_id = a.id
        WHERE ({living("a")}) OR d.replies > 0 OR d.closes > 0"""
    waiting = (
        "SELECT f.admin_assignee_id AS admin_id, count(*) AS number"
        f" FROM {names('_conversation_figures')} f WHERE f.state = 'open' GROUP BY 1"
    )
    source, columns = over(
        f"WITH waiting AS MATERIALIZED ({waiting}) {query}",
        "m",
        _ADMIN | _DONE | _ASSIGNED | _FELT,
    )
    return View(
        "admin_metrics",
        "One row for each admin, those removed included who replied or closed: what they did.",
        source,
        columns,
        tells_of=_PARTS,
    )


def _admins_by_month(names: Names) -> View:
    ever = (
        f"EXISTS (SELECT FROM {names('_conversation_admins')} e WHERE e.admin_id = d.admin_id"
        " AND (e.replies > 0 OR e.closes > 0))"
    )
    query = f"""
        SELECT d.month, {_admin("d", "a")}, {", ".join(f"d.{name}" for name in _DONE | _FELT)}
        FROM ({_done(names, by_month=True)}) d LEFT JOIN {names("admins")} a ON a.id = d.admin_id
        WHERE ({living("a")}) OR d.replies > 0 OR d.closes > 0 OR {ever}"""
    source, columns = over(query, "m", _MONTH | _ADMIN | _DONE | _FELT)
    return View(
        "admin_metrics_by_month",
        "The same as admin_metrics by the month in which it was done; months without any are left"
        " out.",
        source,
        columns,
        tells_of=_PARTS,
    )


def _admin(done: str, admin: str) -> str:
    return (
        f"coalesce({admin}.id, {done}.admin_id) AS admin_id, {admin}.name,"
        f" NOT coalesce({living(admin)}, false) AS removed"
    )


def _done(names: Names, *, by_month: bool = False) -> str:
    """What each admin did, by month if asked for."""
    table = names("_conversation_admins")
    by = "t.month, t.admin_id" if by_month else "t.admin_id"
    which = " WHERE t.month > '-infinity'" if by_month else ""
    counted = "t.replies > 0" if by_month else "t.replied_first"
    same = "(month, admin_id)" if by_month else "(admin_id)"

    def medians(name: str, value: str, more: str = "") -> str:
        given = f"{which} {'AND' if which else 'WHERE'} {value} IS NOT NULL"
        return f"""(
                SELECT {by}, {median(value)} AS {name} FROM {table} t{more}{given} GROUP BY {by})"""

    first = medians("median_first_response_seconds", "t.first_response_seconds")
    every = medians(
        "median_response_seconds", "s.seconds", ", unnest(t.response_seconds) s (seconds)"
    )
    return f"""
            SELECT *
            FROM (
                SELECT {by}, sum(t.replies) AS replies,
                       count(*) FILTER (WHERE {counted}) AS conversations_replied,
                       sum(t.closes) AS closes,
                       count(*) FILTER (WHERE t.closed_last) AS conversations_closed_last,
                       avg(t.rating) AS rating_average, count(t.rating) AS ratings
                FROM {table} t{which} GROUP BY {by}
            ) p LEFT JOIN {first} q USING {same} LEFT JOIN {every} s USING {same}"""
