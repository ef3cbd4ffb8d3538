"""Which ids names stand for: tags by name, companies by the customer's own id.

All tags are read once, in one request, for the mirror may be a night old. Companies are looked up
in the mirror. What does not exist is created, which does nothing where it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

import sqlalchemy as sa

from connector.errors import NotFoundError
from connector.intercom.client import Client
from connector.intercom.writes import object_of, write
from connector.push.outbox.store import Store
from connector.warehouse.sql.execute import fetch, names_of
from connector.warehouse.sql.rows import living


class Directory:
    """The ids of tags and companies, each found once."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client, self._store = client, store
        self._tags: dict[str, str] | None = None
        self._companies: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def tags(self, names: Iterable[str], *, create: bool) -> dict[str, str]:
        """The ids of tags by their names, in any case; those that exist, or all."""
        wanted = list(names)
        async with self._turn:
            if wanted and self._tags is None:
                self._tags = await self._listed()
            known = self._tags if self._tags is not None else {}
            for name in wanted:
                if create and name.lower() not in known:
                    made = object_of(await write(self._client, "POST", "/tags", {"name": name}))
                    known[name.lower()] = str(made.get("id"))
            return {n: known[n.lower()] for n in wanted if n.lower() in known}

    async def _listed(self) -> dict[str, str]:
        found = object_of(await self._client.request("GET", "/tags")).get("data") or ()
        return {str(one.get("name")).lower(): str(one.get("id")) for one in found}

    async def company(self, company_id: str, name: str | None) -> str:
        """The id of a company, which is created, or named, as is wished."""
        async with self._turn:
            known = self._companies.get(company_id)
            known = known or await self._store.do(partial(_company, company_id, name))
            if known is None:
                body = {"company_id": company_id} | ({"name": name} if name else {})
                known = str(object_of(await write(self._client, "POST", "/companies", body))["id"])
            self._companies[company_id] = known
            return known

    async def known_company(self, company_id: str) -> str | None:
        """The id of a company that the mirror or Intercom knows."""
        known = self._companies.get(company_id)
        known = known or await self._store.do(partial(_company, company_id, None))
        if known is None:
            try:
                reply = await self._client.request(
                    "GET", "/companies", params={"company_id": company_id}
                )
            except NotFoundError:
                return None
            known = str(object_of(reply).get("id"))
        self._companies[company_id] = known
        return known


def _company(company_id: str, name: str | None, conn: sa.Connection) -> str | None:
    """Of that name too, where one is given."""
    rows = fetch(
        conn,
        f"SELECT id FROM {names_of(conn)('companies')} WHERE {living()}"
        " AND company_id = %(company_id)s AND (%(name)s::text IS NULL OR name = %(name)s)"
        " ORDER BY id LIMIT 1",
        {"company_id": company_id, "name": name},
    )
    return rows[0][0] if rows else None
