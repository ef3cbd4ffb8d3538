"""Objects of the shape, with what they were where that is kept; and what all of it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from connector.resources.declarations.conversations import PARTS
from connector.resources.resource import Table
from connector.warehouse.schema import versions
from connector.warehouse.sql.execute import fetch
from connector.warehouse.state.tables import EXCLUSIONS, HISTORY
from connector.warehouse.views import custom_columns
from connector.warehouse.views.definitions import Around
from connector.warehouse.views.fivetran import columns as c
from connector.warehouse.views.fivetran.rows import Rows, confirmed
from connector.warehouse.views.view import Shown, View

BODY = PARTS.column("body")


class Facts(Struct, frozen=True):
    """Of which tables history is kept now, and whether the texts of parts are stored."""

    kept: frozenset[str]
    has_bodies: bool


def facts(around: Around) -> Facts:
    """Asked once for all views that are made together."""
    if "facts" not in around.known:
        around.known["facts"] = _ask(around)
    found: Facts = around.known["facts"]
    return found


def _ask(around: Around) -> Facts:
    names = around.names
    asked = {name: names(versions.name_of(name)) for name in versions.VERSIONED}
    query = (
        f"SELECT ARRAY(SELECT h.table_name FROM {names(HISTORY.name)} h"
        " JOIN unnest(%(tables)s::text[], %(versions)s::text[]) v (name, versions)"
        " ON v.name = h.table_name"
        " WHERE h.ended_at IS NULL AND to_regclass(v.versions) IS NOT NULL),"
        f" NOT EXISTS (SELECT FROM {names(EXCLUSIONS.name)} e"
        " WHERE e.name = %(body)s AND e.manner = 'null')"
    )
    given = {
        "tables": list(asked),
        "versions": list(asked.values()),
        "body": f"{PARTS.name}.{BODY.name}",
    }
    [(kept, has_bodies)] = fetch(around.conn, query, given)
    return Facts(frozenset(kept), has_bodies)


def history(
    around: Around,
    name: str,
    table: Table,
    first: Sequence[Shown],
    replaced: Iterable[str] = (),
) -> View:
    """Objects with what they were where that is kept; behind what is told, all that there is."""
    kept = table.name in facts(around).kept
    told = c.history(confirmed(around.names, table), versions=kept)
    shown = [*first, *told]
    shown += c.rest(table, shown, replaced)
    return View(
        name,
        f"Fivetran's {name}: {table.name}{' and what they were' if kept else ' as they are now'}.",
        Rows(table, kept).source(around.names),
        (*shown, *_custom(around, table)),
    )


def _custom(around: Around, table: Table) -> list[Shown]:
    """The custom attributes that the live views show, in the same columns."""
    if not table.attributes:
        return []
    found = sorted(custom_columns.stored(around.conn, table), key=lambda one: one.column_name)
    return [
        Shown(
            one.column_name,
            one.expression(table, "o"),
            f"Custom attribute {one.name!r} of a {table.attributes.model}, as {table.name}_live"
            " shows it.",
        )
        for one in found
    ]
