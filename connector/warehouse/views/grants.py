"""What others gave our views: options, owner, rights, comments, defaults, triggers, rules, labels.

CREATE OR REPLACE VIEW keeps all but the options. A view that has to be dropped gets everything back
in the same transaction; where that cannot be done exactly, nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from msgspec import Struct

from connector.errors import ViewsInUseError
from connector.warehouse.sql.execute import execute, fetch, scalar, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.views.standing import look

_GRANTEE = "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"


class Given(Struct, frozen=True):
    """One thing that was given to a view: how it is given again, by which role if not its owner.

    ``column`` is the column that it is about; it goes with the column. ``comment``: a comment,
    of which there is always one, ours or theirs.
    """

    view: str
    column: str
    statement: str
    giver: str = ""
    comment: bool = False


def options(stored: Sequence[str]) -> str:
    """The WITH of a statement that makes a view with these options ("name=value")."""
    pairs = (option.partition("=") for option in stored)
    listed = ", ".join(f"{quote(name)} = {literal(value)}" for name, _, value in pairs)
    return f" WITH ({listed})" if listed else ""


# -- new views -------------------------------------------------------------------------------


def show_no_more(
    conn: sa.Connection, names: Names, view: str, tells_of: Sequence[str] = ()
) -> None:
    """Let a view that was just made show nobody what he could not see without it.

    A view reads with the rights of its owner. Default privileges may give it to roles that may
    not read what it selects from, and row policies do not hold for an owner. ``tells_of`` are
    tables that it was computed from: where the reader decides what those show, it must be given by
    hand.
    """
    computed_from = _tables(conn, names, tells_of)
    target = names(view)
    if any(computed_from.values()):
        return _revoke(conn, target, _readers(conn, target, bases=[]))
    found = bases(conn, names, view) | computed_from
    if any(found.values()) and not _ask_the_reader(conn, target):
        return None
    _revoke(conn, target, _readers(conn, target, list(found)))
    return None


def keep_policies(conn: sa.Connection, names: Names, view: str, before: Mapping[int, bool]) -> None:
    """Let a view that selects from more than before go round no row policy of what is new."""
    found = bases(conn, names, view)
    if any(by_reader for oid, by_reader in found.items() if oid not in before):
        _ask_the_reader(conn, names(view))


def _ask_the_reader(conn: sa.Connection, target: str) -> bool:
    """Let the view read with the rights of whoever reads it; False if it is for its owner alone."""
    if _version(conn) < 150_000:  # it knows no security_invoker: rights must be given by hand
        _revoke(conn, target, _readers(conn, target, bases=[]))
        return False
    execute(conn, f"ALTER VIEW {target} SET (security_invoker = true)")
    return True


def bases(conn: sa.Connection, names: Names, view: str) -> dict[int, bool]:
    """What the view selects from, and whether it depends on the reader what that shows."""
    query = (
        "SELECT DISTINCT b.oid, b.relrowsecurity OR EXISTS (SELECT FROM unnest(b.reloptions) o"
        " WHERE o IN ('security_invoker=true', 'security_invoker=on', 'security_invoker=1'))"
        " FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass"
        " AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass"
        " JOIN pg_class b ON b.oid = d.refobjid AND b.oid <> r.ev_class"
        " WHERE r.ev_class = %(view)s::regclass"
    )
    return dict(fetch(conn, query, {"view": names(view)}))


def _tables(conn: sa.Connection, names: Names, tables: Sequence[str]) -> dict[int, bool]:
    """These tables, as ``bases`` gives them."""
    query = "SELECT oid, relrowsecurity FROM pg_class WHERE oid = ANY(%(tables)s::regclass[])"
    return dict(fetch(conn, query, {"tables": list(map(names, tables))}))


def _readers(conn: sa.Connection, target: str, bases: Sequence[int]) -> list[str]:
    """Who may read the view, but its owner, and not all that it selects from; all if of nothing."""
    query = (
        f"SELECT DISTINCT {_GRANTEE} FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.oid = %(view)s::regclass AND a.grantee <> c.relowner"
        " AND (cardinality(%(bases)s::oid[]) = 0 OR EXISTS (SELECT FROM unnest(%(bases)s::oid[]) b"
        " WHERE NOT has_table_privilege(a.grantee, b, 'SELECT')))"
    )
    return scalars(conn, query, {"view": target, "bases": list(bases)})


def _revoke(conn: sa.Connection, target: str, roles: Sequence[str]) -> None:
    if roles:
        execute(conn, f"REVOKE ALL ON {target} FROM {', '.join(roles)}")


def _version(conn: sa.Connection) -> int:
    return int(scalar(conn, "SHOW server_version_num"))


# -- views that are made anew ----------------------------------------------------------------

_TARGET = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
_GRANT = (
    f"format('GRANT %s%s ON %s TO %s%s', a.privilege_type, {{column}}, {_TARGET}, {_GRANTEE},"
    " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
)
_ON_VIEW = _GRANT.format(column="''")
_ON_COLUMN = _GRANT.format(column="' (' || quote_ident(t.attname) || ')'")
_GIVER = "CASE WHEN a.grantor = c.relowner THEN '' ELSE quote_ident(pg_get_userbyid(a.grantor)) END"
_FROM = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
_WHERE = "WHERE n.nspname = %(schema)s AND c.relname = ANY(%(views)s)"
_COLUMNS = "JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped"
_COLUMN = "quote_ident(t.attname)"
# In this order, for rights are given by the owner: view, column, statement, giver.
_GIVEN = (
    f"SELECT c.relname, '', format('ALTER VIEW %s SET (%I = %L)', {_TARGET},"
    " split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ''"
    f" {_FROM}, unnest(c.reloptions) WITH ORDINALITY x (o, place) {_WHERE} ORDER BY place",
    f"SELECT c.relname, '', format('ALTER VIEW %s OWNER TO %I', {_TARGET},"
    f" pg_get_userbyid(c.relowner)), '' {_FROM} {_WHERE}",
    f"SELECT c.relname, '', {_ON_VIEW}, {_GIVER} {_FROM},"
    f" aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a {_WHERE}"
    " ORDER BY a.grantor <> c.relowner",
    f"SELECT c.relname, t.attname, {_ON_COLUMN}, {_GIVER}"
    f" {_FROM} {_COLUMNS}, aclexplode(t.attacl) a {_WHERE} ORDER BY a.grantor <> c.relowner",
    f"SELECT c.relname, t.attname, format('ALTER VIEW %s ALTER COLUMN %s SET DEFAULT %s',"
    f" {_TARGET}, {_COLUMN}, pg_get_expr(d.adbin, d.adrelid)), '' {_FROM} {_COLUMNS}"
    f" JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = t.attnum {_WHERE}",
    f"SELECT c.relname, '', pg_get_triggerdef(g.oid), '' {_FROM}"
    f" JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal {_WHERE}",
    f"SELECT c.relname, '', format('COMMENT ON TRIGGER %I ON %s IS %L', g.tgname, {_TARGET},"
    f" obj_description(g.oid, 'pg_trigger')), '' {_FROM} JOIN pg_trigger g ON g.tgrelid = c.oid"
    f" {_WHERE} AND obj_description(g.oid, 'pg_trigger') IS NOT NULL",
    f"SELECT c.relname, '', format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I', g.tgname,"
    f" {_TARGET}, e.extname), '' {_FROM} JOIN pg_trigger g ON g.tgrelid = c.oid"
    " JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = g.oid"
    f" AND d.deptype = 'x' JOIN pg_extension e ON e.oid = d.refobjid {_WHERE}",
    f"SELECT c.relname, '', pg_get_ruledef(r.oid), '' {_FROM} JOIN pg_rewrite r"
    f" ON r.ev_class = c.oid AND r.rulename <> '_RETURN' {_WHERE}",
    f"SELECT c.relname, '', format('COMMENT ON RULE %I ON %s IS %L', r.rulename, {_TARGET},"
    f" obj_description(r.oid, 'pg_rewrite')), '' {_FROM} JOIN pg_rewrite r ON r.ev_class = c.oid"
    f" {_WHERE} AND obj_description(r.oid, 'pg_rewrite') IS NOT NULL",
    f"SELECT c.relname, coalesce(t.attname, ''), format('SECURITY LABEL FOR %I ON %s %s IS %L',"
    f" l.provider, CASE WHEN t.attname IS NULL THEN 'VIEW' ELSE 'COLUMN' END, {_TARGET} ||"
    f" coalesce('.' || {_COLUMN}, ''), l.label), '' {_FROM} JOIN pg_seclabel l"
    " ON l.objoid = c.oid AND l.classoid = 'pg_class'::regclass"
    f" LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = l.objsubid AND t.attnum > 0"
    f" {_WHERE}",
)


def take(conn: sa.Connection, names: Names, views: Sequence[str], mark: str = "") -> list[Given]:
    """Everything that others gave these views, in the order in which it can be given again.

    Noted they are with that mark before their names.
    """
    if not views:
        return []
    given = {"schema": names.schema, "views": list(views)}
    found = [Given(*row) for query in _GIVEN for row in fetch(conn, query, given)]
    return found + _comments(conn, names, views, mark)


def _comments(conn: sa.Connection, names: Names, views: Sequence[str], mark: str) -> list[Given]:
    """The comments that are not the ones that were put last."""
    found = []
    for name, stored in look(conn, names, views, mark=mark).items():
        put = stored.made.comments if stored.made else {}
        target = names(name)
        there = {"": stored.sentence} | {c.name: c.comment for c in stored.columns.values()}
        for column, text in there.items():
            if text != put.get(column, ""):
                place = f"COLUMN {target}.{quote(column)}" if column else f"VIEW {target}"
                statement = f"COMMENT ON {place} IS {literal(text)}"
                found.append(Given(name, column, statement, comment=True))
    return found


def give(conn: sa.Connection, names: Names, dress: Sequence[Given], mark: str = "") -> None:
    """Give it again to the views that were made anew, and no more than that.

    Raises ViewsInUseError if what they have then is not what they had.
    """
    views = list(dict.fromkeys(one.view for one in dress))
    columns = {name: stored.columns for name, stored in look(conn, names, views).items()}
    wanted = [one for one in dress if not one.column or one.column in columns[one.view]]
    for view in views:
        _strip(conn, names(view))
    for one in wanted:
        _give(conn, one)
    now = take(conn, names, views, mark)
    differing = {one for one in set(wanted) ^ set(now) if not one.comment}
    if differing:
        told = "; ".join(sorted(one.statement for one in differing))
        raise ViewsInUseError(
            f"nothing was changed: what others gave the views could not be given again: {told}"
        )


def _strip(conn: sa.Connection, target: str) -> None:
    """Take away what a view that was just made may have been given: options, default privileges."""
    made_with = "SELECT unnest(reloptions) FROM pg_class WHERE oid = %(view)s::regclass"
    for option in scalars(conn, made_with, {"view": target}):
        execute(conn, f"ALTER VIEW {target} RESET ({quote(option.partition('=')[0])})")
    query = (
        f"SELECT DISTINCT {_GRANTEE} FROM pg_class c,"
        " aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a"
        " WHERE c.oid = %(view)s::regclass"
    )
    _revoke(conn, target, scalars(conn, query, {"view": target}))


def _give(conn: sa.Connection, one: Given) -> None:
    if one.giver:
        execute(conn, f"SET LOCAL ROLE {one.giver}")
    execute(conn, one.statement)
    if one.giver:
        execute(conn, "RESET ROLE")
