"""Triggers that others put on tables of ours."""

from __future__ import annotations


def keep(table: str, body: str = "RETURN NULL;", event: str = "UPDATE") -> str:
    """What puts one there; unless told otherwise every row stays as it is, in silence."""
    return (
        f"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f" CREATE TRIGGER keep BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION keep()"
    )


def free(table: str) -> str:
    """What takes it away."""
    return f"DROP TRIGGER keep ON {table}; DROP FUNCTION keep()"
