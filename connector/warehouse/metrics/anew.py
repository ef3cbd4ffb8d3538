"""Computes all stored figures anew, step by step, where what they are made by has changed."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict

from connector.warehouse.metrics import compute, follower
from connector.warehouse.schema import figures
from connector.warehouse.sql.execute import execute, fetch, names_of, scalar, scalars
from connector.warehouse.sql.names import Names
from connector.warehouse.state.tables import EXCLUSIONS, METRICS, WORKSPACE

STEP = 2_000  # conversations of one transaction
UNKNOWN = "UTC"  # the timezone where the workspace's is not known


class Made(Struct, frozen=True):
    """What figures are made by: their definition, what of conversations is kept out, the timezone.

    All as they are noted; ``told`` is the timezone as Intercom names it.
    """

    definition: str | None
    told: str | None


class Kept(Struct, frozen=True):
    """How the stored figures are ``made``, and how they are ``to_be`` made now.

    ``position`` is the last conversation that was computed anew, None where none is left;
    ``timezone`` the one of their days, as PostgreSQL knows it.
    """

    made: Made
    to_be: Made
    position: str | None
    timezone: str

    @property
    def is_right(self) -> bool:
        """Whether all are made as they are to be."""
        return self.made == self.to_be and self.position is None


def kept(conn: sa.Connection) -> Kept:
    """How they are made now."""
    names = names_of(conn)
    query = f"""
        SELECT m.definition, m.told, m.position, m.timezone,
               (SELECT timezone FROM {names(WORKSPACE.name)} LIMIT 1),
               (SELECT string_agg(e.name || ' ' || e.manner, ', ' ORDER BY e.name)
                FROM {names(EXCLUSIONS.name)} e WHERE split_part(e.name, '.', 1) = ANY(%(tables)s))
        FROM (SELECT) one LEFT JOIN {names(METRICS.name)} m ON true LIMIT 1"""
    tables = [table.name for table in compute.TABLE.family()]
    ((definition, told, position, zone, now, without),) = fetch(conn, query, {"tables": tables})
    wanted = f"{compute.definition()} without {without}" if without else compute.definition()
    return Kept(Made(definition, told), Made(wanted, now), position, zone or UNKNOWN)


def begin(conn: sa.Connection, *, again: bool = False) -> None:
    """Have all computed as they are to be; what was begun so goes on, unless ``again``."""
    found = kept(conn)
    if found.made == found.to_be and found.position is not None and not again:
        return
    zone = _known(conn, found.to_be.told or UNKNOWN)
    conn.execute(sa.delete(METRICS))
    conn.execute(sa.insert(METRICS).values(timezone=zone, position="", **asdict(found.to_be)))


def _known(conn: sa.Connection, zone: str) -> str:
    """The timezone, or UTC where this server does not know its name.

    It would take some texts with numbers for an offset: "Mars5" is five hours behind UTC. All names
    are looked through only then, which takes a while.
    """
    if any(character.isdigit() for character in zone):
        query = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE lower(name) = lower(%(zone)s))"
        return zone if scalar(conn, query, {"zone": zone}) else UNKNOWN
    trial = conn.begin_nested()
    try:
        scalar(conn, "SELECT now() AT TIME ZONE %(zone)s", {"zone": zone})
    except psycopg.errors.InvalidParameterValue:
        return UNKNOWN
    finally:
        trial.rollback()
    return zone


def prepare(conn: sa.Connection, names: Names) -> bool:
    """Begin where there is anything to compute; whether there is."""
    begin(conn)
    some = bool(scalar(conn, f"SELECT EXISTS (SELECT FROM {names(compute.TABLE.name)})"))
    if not some:
        conn.execute(sa.update(METRICS).values(position=None))
    return some


def step(conn: sa.Connection, names: Names) -> int:
    """Compute the next ones; how many, 0 if none was left."""
    position = kept(conn).position
    if position is None:
        return 0
    query = (
        f"SELECT id FROM {names(compute.TABLE.name)} WHERE id > %(after)s"
        " ORDER BY id LIMIT %(most)s"
    )
    keys = scalars(conn, query, {"after": position, "most": STEP})
    last = keys[-1] if len(keys) == STEP else None
    until = "" if last is None else " AND conversation_id <= %(last)s"
    for table in figures.TABLES:  # also of what is no conversation any more
        execute(
            conn,
            f"DELETE FROM {names(table.name)} WHERE conversation_id > %(after)s{until}",
            {"after": position, "last": last} if until else {"after": position},
        )
    if keys:
        follower.renew(conn, names, keys)
    conn.execute(sa.update(METRICS).values(position=last))
    return len(keys)
