"""What differs between a model and what its objects hold, row by row in one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
from msgspec import Struct

from connector.push.kinds import CONTACTS
from connector.push.planning import values
from connector.push.planning.asked import Asked
from connector.push.planning.match import ROWS
from connector.push.planning.model.columns import Given, Model
from connector.push.planning.own import CUSTOM, SENT, is_any
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import Names, literal

OUTCOME = "pg_temp._push_outcome"
NOTHING = "'{}'::jsonb"
UNCHANGED = "unchanged"
MOST = 40  # entries that one call can build: PostgreSQL passes 100 arguments


def compare(
    conn: sa.Connection, names: Names, asked: Asked, model: Model, lists: Mapping[str, str]
) -> None:
    """Fill ``OUTCOME``: of each row of which there is anything to say its ``state``, and what.

    The states are create, update, unchanged, and why a row is skipped. ``body`` and ``before`` are
    for the outbox, ``drift`` and ``drift_before`` fields that changed at Intercom since they were
    pushed, ``digests`` those of fields that were found equal, where others are stored.
    """
    comparison = _Comparison(asked, model, lists, overlaid=is_any(conn))
    execute(conn, f"DROP TABLE IF EXISTS {OUTCOME}")
    execute(conn, f"CREATE TEMP TABLE {OUTCOME} ON COMMIT DROP AS {comparison.statement(names)}")
    execute(conn, f"ANALYZE {OUTCOME} (n, state)")


class _Comparison(Struct, frozen=True):
    """The statement; in it r are rows, o own wishes, p digests of what was pushed.

    u, d and f have one column for each field: what the object holds, whether that differs, and
    whether it is left out because it drifted.
    """

    asked: Asked
    model: Model
    lists: Mapping[str, str]
    overlaid: bool

    def statement(self, names: Names) -> str:
        """The query of the table."""
        kind = literal(self.model.kind.name)
        sent = f" LEFT JOIN {SENT} o ON o.n = r.n" if self.overlaid else ""
        lists = "".join(
            f" LEFT JOIN {of} l_{name} ON l_{name}.n = r.n" for name, of in self.lists.items()
        )
        return (
            "SELECT * FROM (SELECT x.n, x.object_id,"
            f" {self._state()} AS state, x.body, x.before, x.drift, x.drift_before, x.digests"
            f" FROM (SELECT r.n, r.object_id, r.used, {self._exists()} AS there,"
            f" {self._differs()} AS differs, {self._body()} AS body, {self._before()} AS before,"
            f" {self._drift()}, {self._equal()} AS digests FROM {ROWS} r{sent}{lists}"
            f" LEFT JOIN {names('push_digests')} p ON p.kind = {kind} AND p.object_id = r.object_id"
            f"{self._columns('u', self._current)}{self._columns('d', self._is_other)}"
            f"{self._columns('f', self._has_drifted)} OFFSET 0) x) x"
            f" WHERE x.state <> '{UNCHANGED}' OR x.drift IS NOT NULL OR x.digests IS NOT NULL"
        )

    def _columns(self, alias: str, of: Callable[[Given], str]) -> str:
        columns = ", ".join(f"{of(g)} AS {alias}{g.position}" for g in self.model.fields)
        return f" CROSS JOIN LATERAL (SELECT {columns or 'NULL'} OFFSET 0) {alias}"

    # -- of one field ---------------------------------------------------------------------------

    def _sent(self, given: Given) -> str:
        """Whether own wishes hold the field."""
        if not self.overlaid:
            return "false"
        place = f"o.body -> '{CUSTOM}'" if given.custom else "o.body"
        return f"coalesce({place} ? {literal(given.path)}, false)"

    def _current(self, given: Given) -> str:
        if not self.overlaid:
            return f"r.{given.shown}"
        place = f"o.body -> '{CUSTOM}'" if given.custom else "o.body"
        sent = values.from_json(given, f"({place} -> {literal(given.path)})")
        return f"CASE WHEN {self._sent(given)} THEN {sent} ELSE r.{given.shown} END"

    def _is_wished(self, given: Given) -> str:
        """Whether the model says anything of the field."""
        if self.asked.nulls == "clear" and given.clearable:
            return "true"
        wished = f"r.{given.stage} IS NOT NULL"
        return f"{wished} AND r.used <> {literal(given.name)}" if given.key else wished

    def _is_other(self, given: Given) -> str:
        wished, current = f"r.{given.stage}", f"u.u{given.position}"
        differs = f"{self._is_wished(given)} AND {values.differs(given, wished, current)}"
        if given.path == "role" and not given.custom:  # a user never becomes a lead again
            differs += f" AND {current} IS DISTINCT FROM 'user'"
        return f"({differs})"

    def _has_drifted(self, given: Given) -> str:
        if given.path == "role" and not given.custom:
            return "false"
        now, last = values.digested(given, f"u.u{given.position}"), literal(given.field)
        return (
            f"(CASE WHEN d.d{given.position} AND p.digests ? {last} AND NOT {self._sent(given)}"
            f" THEN p.digests ->> {last} <> {now} ELSE false END)"
        )

    def _is_written(self, given: Given) -> str:
        """Whether the field goes into the body."""
        differs = f"d.d{given.position}"
        if self.asked.on_drift == "overwrite":
            return differs
        return f"({differs} AND NOT f.f{given.position})"

    # -- of a row -------------------------------------------------------------------------------

    def _exists(self) -> str:
        sent = " OR o.n IS NOT NULL" if self.overlaid else ""
        return f"(r.object_id IS NOT NULL OR r.unclear{sent})"

    def _differs(self) -> str:
        parts = [self._is_written(given) for given in self.model.fields]
        parts += [f"l_{name}.n IS NOT NULL" for name in self.lists]
        return f"({' OR '.join([*parts, self._converts()])})"

    def _converts(self) -> str:
        """Whether an external_id makes a user of a lead without the model's saying so."""
        own = self.model.get("external_id")
        if self.model.kind is not CONTACTS or not own:
            return "false"
        role = self.model.named("role")
        said = "false" if role.startswith("NULL") else f"r.{role} IS NOT NULL"
        sent = "coalesce(o.body ->> 'role' = 'user', false)" if self.overlaid else "false"
        return (
            f"(coalesce(r.at_role = 'lead', false) AND r.{own.stage} IS NOT NULL AND NOT {said}"
            f" AND NOT {sent})"
        )

    def _state(self) -> str:
        mode = literal(self.asked.mode)
        return (
            "CASE WHEN x.used = 'id' AND x.object_id IS NULL THEN 'unknown id'"
            f" WHEN NOT x.there AND {mode} = 'update' THEN 'not found'"
            f" WHEN x.there AND {mode} = 'create' THEN 'exists'"
            f" WHEN NOT x.there THEN 'create' WHEN x.differs THEN 'update' ELSE '{UNCHANGED}' END"
        )

    def _body(self) -> str:
        fields = self._object(self._is_written, lambda g: values.to_json(g, f"r.{g.stage}"))
        parts = [fields, *(self._list(name, "wish") for name in self.lists)]
        if self.model.kind is CONTACTS:
            role = self.model.named("role")
            unsaid = "" if role.startswith("NULL") else f" AND r.{role} IS NULL"
            parts.append(
                f"CASE WHEN {self._converts()} OR (NOT {self._exists()}{unsaid})"
                f' THEN \'{{"role": "user"}}\'::jsonb ELSE {NOTHING} END'
            )
        needed = f"{self._differs()} OR NOT {self._exists()}"
        return f"CASE WHEN {needed} THEN {' || '.join(parts)} END"

    def _before(self) -> str:
        fields = self._object(self._is_written, lambda g: values.shown_json(g, f"r.{g.shown}"))
        parts = [fields, *(self._list(name, "before") for name in self.lists)]
        if self.model.kind is CONTACTS:
            parts.append(
                f'CASE WHEN {self._converts()} THEN \'{{"role": "lead"}}\'::jsonb'
                f" ELSE {NOTHING} END"
            )
        return f"CASE WHEN r.is_shown AND {self._differs()} THEN {' || '.join(parts)} END"

    def _drift(self) -> str:
        any_of = " OR ".join(f"f.f{given.position}" for given in self.model.fields) or "false"
        wish = self._object(self._drifts, lambda g: values.to_json(g, f"r.{g.stage}"))
        now = self._object(self._drifts, lambda g: values.shown_json(g, f"u.u{g.position}"))
        return (
            f"CASE WHEN {any_of} THEN {wish} END AS drift,"
            f" CASE WHEN {any_of} THEN {now} END AS drift_before"
        )

    def _drifts(self, given: Given) -> str:
        return f"f.f{given.position}"

    def _list(self, name: str, column: str) -> str:
        return (
            f"CASE WHEN l_{name}.n IS NULL THEN {NOTHING}"
            f" ELSE jsonb_build_object('{name}', l_{name}.{column}) END"
        )

    def _object(self, condition: Callable[[Given], str], value: Callable[[Given], str]) -> str:
        """The fields that meet a condition, as they stand in a body."""
        own = self._entries([g for g in self.model.fields if not g.custom], condition, value)
        custom = [g for g in self.model.fields if g.custom]
        if not custom:
            return own
        any_of = " OR ".join(map(condition, custom))
        inner = self._entries(custom, condition, value)
        return (
            f"{own} || CASE WHEN {any_of} THEN jsonb_build_object('{CUSTOM}', {inner})"
            f" ELSE {NOTHING} END"
        )

    def _entries(
        self,
        fields: Iterable[Given],
        condition: Callable[[Given], str],
        value: Callable[[Given], str],
    ) -> str:
        parts = [
            f"CASE WHEN {condition(g)} THEN jsonb_build_object({literal(g.path)}, {value(g)})"
            f" ELSE {NOTHING} END"
            for g in fields
        ]
        return f"({' || '.join(parts)})" if parts else NOTHING

    def _equal(self) -> str:
        """The digests of what the mirror holds as the model wishes it, where others are stored."""
        fields = [g for g in self.model.fields if g.custom or g.path != "role"]
        if self.asked.dry_run or not fields:
            return "NULL::jsonb"
        kept = {literal(g.field): self._kept(g) for g in fields}
        others = " OR ".join(f"{new} <> coalesce(p.digests ->> {f}, '')" for f, new in kept.items())
        entries = [f"{name}, {new}" for name, new in kept.items()]
        made = " || ".join(
            f"jsonb_build_object({', '.join(entries[at : at + MOST])})"
            for at in range(0, len(entries), MOST)
        )
        return f"CASE WHEN r.is_shown AND ({others}) THEN jsonb_strip_nulls({made}) END"

    def _kept(self, given: Given) -> str:
        """The digest of a field that is equal, not by own wishes; else NULL."""
        equal = f"{self._is_wished(given)} AND NOT d.d{given.position} AND NOT {self._sent(given)}"
        return f"CASE WHEN {equal} THEN {values.digested(given, f'r.{given.stage}')} END"
