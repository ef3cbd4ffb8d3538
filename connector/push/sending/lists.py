"""Whether tags and companies are on a contact as wished; longer lists are read whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from connector.intercom.paging.styles import NumberedPages, Style, WholeList
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.resources.declarations.contacts import TABLE

MOST = 60  # elements of a page of such a list


async def unlisted(sending: Sending, wish: Wish, record: Mapping[str, Any]) -> list[str]:
    """What is not as wished, each in a sentence; nothing where nothing of a list is wished."""
    wrong = list[str]()
    for name, wanted, unwanted in [
        ("tags", *await _tags(sending, wish)),
        ("companies", *await _companies(sending, wish)),
    ]:
        if wanted or unwanted:
            shown = await _shown(sending, name, record)
            wrong += _missing(name, wanted, unwanted, shown)
    return wrong


def _missing(
    name: str, wanted: Mapping[str, str], unwanted: Mapping[str, str], shown: Collection[str]
) -> Iterator[str]:
    for label, key in wanted.items():
        if key not in shown:
            yield f"{name} lacks {label!r}"
    for label, key in unwanted.items():
        if key in shown:
            yield f"{name} still has {label!r}"


async def _tags(sending: Sending, wish: Wish) -> tuple[dict[str, str], dict[str, str]]:
    tags: Mapping[str, Any] = wish.body.get("tags") or {}
    add, remove = list(tags.get("add") or ()), list(tags.get("remove") or ())
    return (
        await sending.directory.tags(add, create=True),
        await sending.directory.tags(remove, create=False),
    )


async def _companies(sending: Sending, wish: Wish) -> tuple[dict[str, str], dict[str, str]]:
    wanted, unwanted = dict[str, str](), dict[str, str]()
    for one in wish.body.get("companies") or ():
        label = str(one.get("company_id"))
        if one.get("remove"):
            if key := await sending.directory.known_company(label):
                unwanted[label] = key
        else:
            wanted[label] = await sending.directory.company(label, None)
    return wanted, unwanted


async def _shown(sending: Sending, name: str, record: Mapping[str, Any]) -> set[str]:
    """The ids of a list, which is read whole where the record embeds only its beginning."""
    embedded = record.get(name)
    found = embedded if isinstance(embedded, dict) else {}
    elements = found.get("data") or ()
    total = found.get("total_count") or len(elements)
    if not found or found.get("has_more") or total > len(elements):
        elements = await sending.listed(_whole(name, str(record.get("id"))))
    return {str(one.get("id")) for one in elements if isinstance(one, dict)}


def _whole(name: str, key: str) -> Style:
    """How Intercom lists all tags, or all companies, of a contact."""
    complete = next(link.complete for link in TABLE.links if f"{name}.data" in link.path)
    assert complete
    path = complete.path.format(id=key)
    if complete.numbered:
        return NumberedPages(path, complete.key, MOST)
    return WholeList(path, complete.key)
