"""``check --facts``: asks Intercom, in few reading requests, whether it is as it is known to be.

Each probe answers for one fact: confirmed, refuted, or not seen (nothing in the workspace could
show it, or it was refused). What it says are shapes and counts, never a value of the workspace, so
that the report can be sent to others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from connector.errors import IntercomError, MergedError, NotFoundError, TokenRefusedError
from connector.intercom import facts
from connector.intercom.budget import Account, spending
from connector.intercom.client import Client
from connector.intercom.facts import FACTS, Fact
from connector.intercom.paging.search import compare
from connector.intercom.responses import Reply
from connector.intercom.retry import ONCE
from connector.jsontext import decode
from connector.resources import BY_NAME, PERSONS, RESOURCES, embedded_in
from connector.resources.lists import embedded
from connector.resources.readings import (
    Activities,
    Deletions,
    FullScan,
    PerContact,
    Search,
    Snapshot,
)
from connector.resources.resource import Resource

CONFIRMED, REFUTED, NOT_SEEN = "confirmed", "refuted", "not seen"
NO_REPLY = "Intercom answered nothing"
MOST_REQUESTS = 60
DAY = 86_400
LISTED = 50  # records of a list that are looked at
COMPARED = 3  # contacts whose complete lists are asked for

Record = Mapping[str, Any]


class Verdict(Struct, frozen=True):
    """What was found out about one fact, and by what."""

    fact: Fact
    verdict: str
    detail: str


class _SpentError(Exception):
    """There are no requests left."""


class Asker(Struct):
    """Sends the reading requests of the probes, at most so many."""

    client: Client
    spent: Account
    headers: dict[str, str] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        """The decoded reply; raises what the client raises."""
        return decode((await self.reply(method, path, **more)).body)

    async def reply(self, method: str, path: str, **more: Any) -> Reply:
        if self.spent.requests >= MOST_REQUESTS:
            raise _SpentError
        reply = await self.client.request(method, path, retry=ONCE, **more)
        self.headers.update(reply.headers)
        return reply

    async def get(self, path: str, **more: Any) -> Any:
        """The decoded reply to a GET, asked for once; raises what it raised."""
        key = f"{path} {sorted(more.items(), key=str)}"
        if key not in self._kept:
            try:
                self._kept[key] = await self.ask("GET", path, **more)
            except (NotFoundError, MergedError) as error:
                self._kept[key] = error
        if isinstance(self._kept[key], Exception):
            raise self._kept[key]
        return self._kept[key]

    async def object(self, resource: Resource, id: Any) -> Any:
        """One object, read by id."""
        return await self.get(resource.by_id.format(id=id), params=dict(resource.params))

    async def search(
        self, resource: Resource, filters: Sequence[Any] = (), per_page: int = LISTED, **more: Any
    ) -> tuple[list[Record], int | None]:
        """The first page of a search, and what it counts."""
        reading = resource.reading
        assert isinstance(reading, Search)
        wanted = [*(compare(*one) for one in reading.filters), *filters]
        body = {
            "query": {"operator": "AND", "value": wanted or [compare("created_at", ">", 0)]},
            "pagination": {"per_page": per_page},
            **more,
        }
        found = await self.ask("POST", reading.path, json=body, params=dict(resource.params))
        listed = found.get(reading.key, found.get("data", []))
        total = found.get("total_count")
        return listed, total if type(total) is int else None

    async def newest(self, resource: Resource) -> list[Record]:
        """The records that changed last, the newest first."""
        if resource.name not in self._kept:
            sort = {"field": "updated_at", "order": "descending"}
            self._kept[resource.name], _ = await self.search(resource, sort=sort)
        found: list[Record] = self._kept[resource.name]
        return found


Told = tuple[str, str]
Probe = Callable[[Asker], Awaitable[Told]]
NOTHING: Told = (NOT_SEEN, "the workspace has nothing that could show it")


async def probe(client: Client) -> tuple[list[Verdict], int]:
    """A verdict on each fact, and the number of requests.

    Raises TokenRefusedError if the token is refused, and what the client raises if Intercom does
    not answer at all.
    """
    client = client.chain()  # some of what is asked for are page tokens
    with spending() as spent:
        await client.request("GET", "/me", retry=ONCE)
        asker = Asker(client, spent)
        verdicts = [Verdict(fact, *await _ask(asker, fact)) for fact in FACTS]
    return verdicts, spent.requests


async def _ask(asker: Asker, fact: Fact) -> Told:
    if fact.id not in PROBES:
        return NOT_SEEN, "reading requests cannot show it"
    try:
        return await PROBES[fact.id](asker)
    except TokenRefusedError:
        raise
    except IntercomError as error:
        return NOT_SEEN, f"it could not be asked for: {error.status or 'no usable reply'}"
    except _SpentError:
        return NOT_SEEN, f"{MOST_REQUESTS} requests were sent"
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return NOT_SEEN, "a reply has another shape than is known"


# -- searches --------------------------------------------------------------------------------


async def _by_day(asker: Asker) -> Told:
    if asker.client.version == "Preview":
        return NOT_SEEN, "this API version is not a stable one"
    return await _compare(asker, ["users", "leads"], expected="day")


async def _by_second(asker: Asker) -> Told:
    names = ["conversations", "tickets"]
    if asker.client.version == "Preview":
        names = ["users", "leads", *names]
    return await _compare(asker, names, expected="second")


async def _compare(asker: Asker, names: Sequence[str], expected: str) -> Told:
    """How the searches of these compare times: what one second excludes and a day does not."""
    seen = []
    for name in names:
        found = await asker.newest(BY_NAME[name])
        if not found:
            continue
        last = max(int(one["updated_at"]) for one in found)
        some, _ = await asker.search(BY_NAME[name], [compare("updated_at", ">", last - 1)], 1)
        unit = "second" if some else "day"
        seen.append((name, unit))
    if not seen:
        return NOTHING
    text = ", ".join(f"{name} by the {unit}" for name, unit in seen)
    return (CONFIRMED if all(unit == expected for _, unit in seen) else REFUTED), text


async def _sorted(asker: Asker) -> Told:
    checked = 0
    for name in ("users", "conversations", "tickets"):
        for by in ("updated_at", "created_at"):
            sort = {"field": by, "order": "ascending"}
            found, _ = await asker.search(BY_NAME[name], per_page=20, sort=sort)
            times = [int(one[by]) for one in found]
            if times != sorted(times):
                return REFUTED, f"{name} by {by}, ascending"
            checked += len(set(times)) > 1
        times = [int(one["updated_at"]) for one in await asker.newest(BY_NAME[name])]
        if times != sorted(times, reverse=True):
            return REFUTED, f"{name} by updated_at, descending"
    return (CONFIRMED, f"{checked} searches came in order") if checked else NOTHING


async def _counts(asker: Asker) -> Told:
    checked = 0
    for name in ("users", "conversations", "tickets"):
        found = await asker.newest(BY_NAME[name])
        if len(found) < 2:
            continue
        # What changed since the middle of the page: few enough for one page, by whole days.
        since = int(found[len(found) // 2]["created_at"]) - DAY
        some, total = await asker.search(
            BY_NAME[name], [compare("created_at", ">", since)], per_page=150
        )
        if total is None or total > 150:
            continue
        if total != len(some):
            return REFUTED, f"{name}: {total} are counted and {len(some)} are shown"
        checked += 1
    return (CONFIRMED, f"{checked} searches showed what they counted") if checked else NOTHING


async def _roles(asker: Asker) -> Told:
    path = BY_NAME["users"].reading
    assert isinstance(path, Search)
    body = {"query": compare("created_at", ">", 0), "pagination": {"per_page": LISTED}}
    found = await asker.ask("POST", path.path, json=body)
    of_all = found.get("total_count")
    others = sum(one.get("role") not in ("user", "lead") for one in found["data"])
    _, users = await asker.search(BY_NAME["users"], per_page=1)
    _, leads = await asker.search(BY_NAME["leads"], per_page=1)
    if type(of_all) is not int or users is None or leads is None:
        return NOT_SEEN, "nothing is counted"
    if others or of_all > users + leads:
        return REFUTED, f"{of_all} contacts, {users + leads} of them leads and users"
    return CONFIRMED, f"{of_all} contacts are leads and users"


# -- lists -----------------------------------------------------------------------------------


async def _embedded(asker: Asker) -> Told:
    lists: list[tuple[int, str, str, Record]] = []
    for name in ("users", "leads"):
        for one in await asker.newest(BY_NAME[name]):
            for key in ("tags", "companies"):
                wrapper = one.get(key)
                if isinstance(wrapper, dict) and wrapper.get("data"):
                    lists.append((len(wrapper["data"]), key, str(one["id"]), wrapper))
    lists.sort(key=lambda found: found[:3], reverse=True)
    if not lists:
        return NOTHING
    for number, key, id, wrapper in lists[:COMPARED]:
        found = await asker.ask("GET", f"/contacts/{id}/{key}")
        complete = len(found["data"])
        says_more = wrapper.get("has_more") is True
        if says_more != (complete > number):
            return REFUTED, f"{number} {key} are embedded of {complete}, has_more {says_more}"
    return CONFIRMED, f"{min(len(lists), COMPARED)} lists of up to {lists[0][0]} elements"


async def _subscriptions(asker: Asker) -> Told:
    ((resource, link),) = embedded_in(PERSONS)
    contacts = [one for name in ("users", "leads") for one in await asker.newest(BY_NAME[name])]
    contacts.sort(key=lambda one: len(embedded(link, one)[1] or ()), reverse=True)
    for one in contacts[:COMPARED]:
        _, elements = embedded(link, one)
        if elements is None:
            return REFUTED, "a contact does not embed them"
        assert isinstance(resource.reading, PerContact)
        found = await asker.ask("GET", resource.reading.path.format(id=one["id"]))
        if {str(e.get("id")) for e in found["data"]} != {str(e.get("id")) for e in elements}:
            return REFUTED, f"{len(elements)} are embedded and {len(found['data'])} are listed"
    if not contacts:
        return NOTHING
    most = len(embedded(link, contacts[0])[1] or ())
    return CONFIRMED, f"{min(len(contacts), COMPARED)} contacts with up to {most}"


async def _whole(asker: Asker) -> Told:
    checked = 0
    for resource in RESOURCES:
        if not isinstance(resource.reading, Snapshot):
            continue
        reading = resource.reading
        part = reading.parts[0]
        try:
            found = await asker.ask("GET", part.path or reading.path, params=dict(part.params))
        except TokenRefusedError:
            raise
        except IntercomError:
            continue
        listed = found.get(reading.key, found.get("data", []))
        paging, total = found.get("pages"), found.get("total_count")
        goes_on = isinstance(paging, dict) and bool(paging.get("next"))
        if goes_on or (type(total) is int and total > len(listed)):
            return REFUTED, f"{resource.name}: {len(listed)} are shown, and there are more"
        checked += 1
    return (CONFIRMED, f"{checked} lists came whole") if checked else NOTHING


async def _notes(asker: Asker) -> Told:
    reading = BY_NAME["contact_notes"].reading
    assert isinstance(reading, PerContact)
    for one in await asker.newest(BY_NAME["users"]):
        counted = (one.get("notes") or {}).get("total_count")
        if type(counted) is int and 0 < counted <= LISTED:
            found = await asker.ask("GET", reading.path.format(id=one["id"]))
            shown = len(found["data"])
            told = f"{counted} are counted and {shown} are shown"
            return (CONFIRMED if shown == counted else REFUTED), told
    return NOTHING


async def _scroll(asker: Asker) -> Told:
    reading = BY_NAME["companies"].reading
    assert isinstance(reading, FullScan)
    return NOT_SEEN, "a scroll would keep others from scrolling for a minute"


# -- objects ---------------------------------------------------------------------------------


async def _parts(asker: Asker) -> Record | None:
    """A conversation with parts, read by id."""
    for one in (await asker.newest(BY_NAME["conversations"]))[:COMPARED]:
        found: Record = await asker.object(BY_NAME["conversations"], one["id"])
        if (found.get("conversation_parts") or {}).get("conversation_parts"):
            return found
    return None


async def _parts_shown(asker: Asker) -> Told:
    found = await _parts(asker)
    if found is None:
        return NOTHING
    parts = found["conversation_parts"]
    shown, total = len(parts["conversation_parts"]), parts.get("total_count")
    told = f"{shown} of {total} parts are shown"
    cut_short = type(total) is int and shown < min(total, 500)
    return (REFUTED if cut_short or shown > 500 else CONFIRMED), told


async def _parts_counted(asker: Asker) -> Told:
    found = await _parts(asker)
    counted = ((found or {}).get("statistics") or {}).get("count_conversation_parts")
    if found is None or type(counted) is not int:
        return NOTHING
    shown = len(found["conversation_parts"]["conversation_parts"])
    told = f"{counted} are counted and {shown} are shown"
    return (CONFIRMED if counted == shown + 1 or shown == 500 else REFUTED), told


async def _current(asker: Asker) -> Told:
    checked = 0
    for name in ("users", "conversations", "tickets"):
        for one in (await asker.newest(BY_NAME[name]))[:COMPARED]:
            try:
                found = await asker.object(BY_NAME[name], one["id"])
            except (NotFoundError, MergedError):
                continue
            if int(found["updated_at"]) < int(one["updated_at"]):
                return REFUTED, f"a read by id of {name} is older than the search"
            checked += 1
    return (CONFIRMED, f"{checked} objects are as new by id") if checked else NOTHING


async def _absent(asker: Asker) -> Told:
    checked = 0
    for name, most in (("conversations", 10), ("users", COMPARED), ("tickets", COMPARED)):
        for one in (await asker.newest(BY_NAME[name]))[:most]:
            try:
                await asker.object(BY_NAME[name], one["id"])
            except NotFoundError:
                found, _ = await asker.search(BY_NAME[name], [compare("id", "=", one["id"])], 1)
                if found:
                    return REFUTED, f"a search of {name} shows what GET by id answers 404 to"
            except MergedError:
                continue
            checked += 1
    return (CONFIRMED, f"{checked} listed objects are found by id") if checked else NOTHING


async def _created(asker: Asker) -> Told:
    checked = 0
    for name in ("users", "conversations"):
        for one in (await asker.newest(BY_NAME[name]))[:1]:
            found = await asker.object(BY_NAME[name], one["id"])
            if found["created_at"] != one["created_at"]:
                return REFUTED, f"{name}: by id it is another one than in the search"
            checked += 1
    return (NOT_SEEN, f"{checked} are the same by id; nobody can see that they stay so")


# -- feeds -----------------------------------------------------------------------------------


async def _deletions(asker: Asker) -> Told:
    reading = BY_NAME["deleted_conversations"].reading
    assert isinstance(reading, Deletions)
    found = (await asker.ask("GET", reading.path, params={"per_page": 20}))[reading.key]
    times = [int(one[reading.at]) for one in found]
    if not times:
        return NOTHING
    if times != sorted(times, reverse=True):
        return REFUTED, f"{len(times)} deletions do not come newest first"
    try:
        await asker.ask("GET", f"/conversations/{found[0]['id']}")
    except NotFoundError:
        return CONFIRMED, f"{len(times)} deletions, the newest of which is not found by id"
    return REFUTED, "a conversation that is told to be deleted is found by id"


async def _activities(asker: Asker) -> Told:
    reading = BY_NAME["contact_merges"].reading
    assert isinstance(reading, Activities)
    found = await _activity_page(asker, reading)
    times = [int(one["created_at"]) for one in found]
    if not times:
        return NOTHING
    if times != sorted(times):
        return REFUTED, f"{len(times)} activities do not come oldest first"
    return CONFIRMED, f"{len(times)} activities of {len({o['event_type'] for o in found})} kinds"


async def _activity_page(asker: Asker, reading: Activities) -> list[Record]:
    params = {"per_page": reading.per_page}
    found = await asker.get(reading.path, params=params, version=reading.version)
    listed: list[Record] = found["data"]
    return listed


async def _a_merge(asker: Asker) -> Record | None:
    """A merge that the feed tells of."""
    reading = BY_NAME["contact_merges"].reading
    assert isinstance(reading, Activities)
    merged = [
        one for one in await _activity_page(asker, reading) if one["event_type"] == reading.merged
    ]
    return merged[-1] if merged else None


async def _merged(asker: Asker) -> Told:
    merge = await _a_merge(asker)
    if merge is None:
        return NOTHING
    try:
        await asker.ask("GET", f"/contacts/{merge['merge_source_id']}")
    except MergedError as error:
        told = "a 410 with a link" if error.merged_into else "a 410 without a link"
        return (CONFIRMED if error.merged_into else REFUTED), told
    except NotFoundError:
        return REFUTED, "a contact that was merged answers 404"
    return REFUTED, "a contact that was merged is found by id"


async def _merge_history(asker: Asker) -> Told:
    merge = await _a_merge(asker)
    if merge is None:
        return NOTHING
    params = {"include_merge_history": "true"}
    try:
        found = await asker.ask("GET", f"/contacts/{merge['merge_target_id']}", params=params)
    except (NotFoundError, MergedError):
        return NOTHING
    number = len(found.get("merge_history") or [])
    told = f"{number} merges stand with a contact that others were merged into"
    return (CONFIRMED if number else REFUTED), told


# -- the border ------------------------------------------------------------------------------


async def _limit(asker: Asker) -> Told:
    if not asker.headers:
        return NOT_SEEN, NO_REPLY
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    there = sum(name in asker.headers for name in names)
    return (CONFIRMED if there == len(names) else REFUTED), f"{there} of {len(names)} headers"


async def _date(asker: Asker) -> Told:
    if not asker.headers:
        return NOT_SEEN, NO_REPLY
    if "date" not in asker.headers:
        return REFUTED, "replies have no Date"
    return CONFIRMED, "replies have a Date"


PROBES: dict[str, Probe] = {
    facts.SEARCH_BY_DAY.id: _by_day,
    facts.SEARCH_BY_SECOND.id: _by_second,
    facts.SEARCH_SORTED.id: _sorted,
    facts.SEARCH_COUNTS.id: _counts,
    facts.EMBEDDED_LISTS.id: _embedded,
    facts.SUBSCRIPTIONS_EMBEDDED.id: _subscriptions,
    facts.WHOLE_LISTS.id: _whole,
    facts.PARTS_SHOWN.id: _parts_shown,
    facts.PARTS_COUNTED.id: _parts_counted,
    facts.CREATED_AT_FIXED.id: _created,
    facts.ABSENT_IS_GONE.id: _absent,
    facts.MERGED_IS_TOLD.id: _merged,
    facts.BY_ID_IS_CURRENT.id: _current,
    facts.DELETIONS_FED.id: _deletions,
    facts.CONTACT_ACTIVITIES.id: _activities,
    facts.NOTES_COUNTED.id: _notes,
    facts.MERGE_HISTORY.id: _merge_history,
    facts.ROLES.id: _roles,
    facts.SCROLL.id: _scroll,
    facts.RATE_LIMIT.id: _limit,
    facts.DATE_HEADER.id: _date,
}
