"""``contact_duplicates``: living contacts that share an email, an external id or a phone."""

from __future__ import annotations

from connector.resources import MERGES
from connector.warehouse.sql.names import Names, literal
from connector.warehouse.sql.rows import living
from connector.warehouse.views.view import View, over

_SPACE = literal(" \t\n\r\f\v")
_MATCHES = {
    "email": f"lower(btrim(k.email, {_SPACE}))",
    "external_id": "k.external_id",
    "phone": "CASE WHEN length(regexp_replace(k.phone, '[^0-9]', '', 'g')) >= 6"
    " THEN regexp_replace(k.phone, '[^0-9]', '', 'g') END",
}
_COLUMNS = {
    "match": "What they share: email, external_id or phone",
    "value": "Its value: an email in lower case and trimmed, the digits of a phone",
    "contact_ids": "The contacts (contacts.id), sorted",
    "contacts": "How many they are",
}


def contact_duplicates(names: Names) -> View:
    """One row for each value that two or more contacts share."""
    found = " UNION ALL ".join(
        f"SELECT '{match}'::text AS match, v.value, array_agg(v.id) AS ids"
        f" FROM (SELECT k.id, {value} AS value FROM {names('contacts')} k"
        f" WHERE {living('k')} AND {_remains(names)}) v"
        " WHERE v.value <> '' GROUP BY v.value HAVING count(*) > 1"
        for match, value in _MATCHES.items()
    )
    query = f"""
        SELECT g.match, g.value,
               ARRAY(SELECT u.id FROM unnest(g.ids) u (id) ORDER BY u.id COLLATE "C")
                   AS contact_ids,
               cardinality(g.ids)::bigint AS contacts
        FROM ({found}) g"""
    source, columns = over(query, "m", _COLUMNS)
    return View(
        "contact_duplicates",
        "Living contacts, after merges, of which two or more share an email, an external id or a"
        " phone.",
        source,
        columns,
    )


def _remains(names: Names) -> str:
    """Whether a contact was not merged into another one, whose row stands for it then."""
    return (
        f"NOT EXISTS (SELECT FROM {names(MERGES.table.name)} m"
        f" WHERE m.{MERGES.subject} = k.id AND m.{MERGES.owner} IS NOT NULL)"
    )
