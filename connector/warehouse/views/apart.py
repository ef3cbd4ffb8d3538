"""Makes a suite of views in a schema of its own, unless somebody else has that."""

from __future__ import annotations

import sqlalchemy as sa

from connector.warehouse.schema import relations
from connector.warehouse.schema.relations import Made, note
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.views import live, standing, suites
from connector.warehouse.views.suites import Suite


def begin(conn: sa.Connection, schema: str, suite: Suite) -> str:
    """Make the suite, and its schema, if they are not there; why that cannot be, or "".

    Whatever somebody else has there stays, and then nothing is made.
    """
    names = Names(schema)
    place = suite.place(names)
    if reason := _hindrance(conn, names, suite):
        return reason
    if _owner(conn, place) is None:
        execute(conn, f"CREATE SCHEMA {quote(place.schema)}")
        sentence = f"Views over the schema {schema}, made by intercom-warehouse"
        execute(conn, f"COMMENT ON SCHEMA {quote(place.schema)} IS {literal(sentence)}")
    if not suites.stands(suites.stored(conn, names, suite)):  # else each grows by itself
        note(conn, suite.mark, Made("n"))
        live.refresh_views(conn, schema, suite)
    return ""


def _hindrance(conn: sa.Connection, names: Names, suite: Suite) -> str:
    """What keeps the suite from being made, in words."""
    place = suite.place(names)
    if len(place.schema.encode()) > suites.LONGEST:
        return f"the name {place.schema} is too long for a schema of PostgreSQL"
    stored = suites.stored(conn, names, suite)
    standing.use_no_foreign_names(conn)
    ours = [name for name, one in stored.items() if standing.is_ours(conn, names, one)]
    theirs = relations.strangers(conn, place.schema, dict.fromkeys(suite.makers(), "v"), ours)
    others = [] if theirs or ours else relations.some(conn, place.schema)
    if not theirs and not others:
        return _refusal(conn, place)
    what = "under names that it needs" if theirs else "and nothing that it made"
    return (
        f"schema {place.schema} holds what this connector did not make, {what}:"
        f" {', '.join(theirs or others)}; nothing was changed: rename it or move it to another"
        " schema"
    )


def _refusal(conn: sa.Connection, place: Names) -> str:
    """Why the role may not make views in a schema that is there, in words."""
    owner = _owner(conn, place)
    query = "SELECT bool_and(has_schema_privilege(%(name)s, p)) FROM unnest(%(rights)s::text[]) p"
    given = {"name": place.schema, "rights": ["USAGE", "CREATE"]}
    if owner is None or scalar(conn, query, given):
        return ""
    role = str(scalar(conn, "SELECT current_user::text"))
    return (
        f"schema {place.schema} belongs to the role {owner}, and the role {role} may not make views"
        f" in it: GRANT USAGE, CREATE ON SCHEMA {quote(place.schema)} TO {quote(role)}"
    )


def _owner(conn: sa.Connection, place: Names) -> str | None:
    """The role that owns the schema; None if there is no such schema."""
    query = "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %(name)s"
    owner: str | None = scalar(conn, query, {"name": place.schema})
    return owner
