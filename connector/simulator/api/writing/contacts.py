"""Writes single contacts and what hangs on them."""

from __future__ import annotations

from connector.simulator.api.contacts import absent, full_tags
from connector.simulator.api.writing.route import PEOPLE, write
from connector.simulator.encoding import decode
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Gone, Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.writes.log import Entry

_NO_DUPLICATES = (
    "Contacts can only be merged when they are duplicates (matching email or phone)."
    " Pass skip_duplicate_validation=true to override this check."
)


def create_contact(call: Call, entry: Entry) -> Response:
    """POST /contacts: 200 and never an update; 409 names the one that exists."""
    id = call.simulator.writes.contacts.create(call.body())
    return _shown(call, id)


def update_contact(call: Call, entry: Entry) -> Response:
    """PUT /contacts/{id}."""
    item = living(call)
    call.simulator.writes.contacts.update(item, call.body())
    return _shown(call, item.id)


def delete_contact(call: Call, entry: Entry) -> Response:
    """DELETE /contacts/{id}: for ever, also of an archived one."""
    id = call.params[0]
    if call.space.contacts.get(id) is None and _archived(call, id) is None:
        raise absent(call, id)
    item = call.simulator.writes.contacts.delete(id)
    return call.json({**_reference(item), "deleted": True})


def archive_contact(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/archive; again only where archived contacts can be read by id."""
    gone = _archived(call, call.params[0])
    if gone is not None and gone.item is not None and call.simulator.archived_by_id != "missing":
        item = gone.item
    else:
        item = living(call)
        call.simulator.control.archive_contact(item.id)
        call.simulator.writes.log.note("archived", "contacts", item.id)
    return call.json({**_reference(item), "archived": True})


def unarchive_contact(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/unarchive: nothing for one that lives, 404 for one that was deleted."""
    id = call.params[0]
    if _archived(call, id) is not None:
        call.simulator.control.unarchive_contact(id)
        call.simulator.writes.log.note("unarchived", "contacts", id)
    return call.json({**_reference(living(call)), "archived": False})


def merge_contacts(call: Call, entry: Entry) -> Response:
    """POST /contacts/merge: a lead into a user, and only of what looks like one person."""
    body = call.body()
    source, target = (_named(call, body, name) for name in ("from", "into"))
    if source.group != "lead" or target.group != "user":
        raise ApiError(400, "invalid_merge", "Only a lead can be merged, and only into a user")
    if body.get("skip_duplicate_validation") is not True and not _alike(source, target):
        raise ApiError(400, "invalid_merge", _NO_DUPLICATES)
    call.simulator.control.merge_contacts(source.id, target.id)
    call.simulator.writes.log.note("merged", "contacts", target.id)
    return _shown(call, target.id)


def tag_contact(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/tags: doing it again is nothing."""
    item, tag = living(call), call.body().get("id")
    if tag is None:
        raise ApiError(400, "parameter_not_found", "tag not specified")
    _known_tag(call, str(tag))
    call.simulator.writes.associations.tag(item.id, str(tag))
    ties = call.space.contacts.current[item.id].owned
    return call.json(next(one for one in full_tags(call, ties) if one["id"] == str(tag)))


def untag_contact(call: Call, entry: Entry) -> Response:
    """DELETE /contacts/{id}/tags/{tag}: a tag that it does not have is no error."""
    item, tag = living(call), call.params[1]
    _known_tag(call, tag)
    shown = [one for one in full_tags(call, item.owned) if one["id"] == tag]
    call.simulator.writes.associations.untag(item.id, tag)
    return call.json(shown[0] if shown else call.space.tags[tag])


def attach_company(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/companies: by Intercom's id of the company."""
    item, company = living(call), call.body().get("id")
    if company is None:
        raise ApiError(400, "parameter_not_found", "company not specified")
    joined = call.simulator.writes.companies.living(company)
    call.simulator.writes.associations.attach(item.id, joined.id)
    return call.reply(call.space.companies.current[joined.id].body)


def detach_company(call: Call, entry: Entry) -> Response:
    """DELETE /contacts/{id}/companies/{company}."""
    item = living(call)
    left = call.simulator.writes.companies.living(call.params[1])
    call.simulator.writes.associations.detach(item.id, left.id)
    return call.reply(call.space.companies.current[left.id].body)


def living(call: Call) -> Item:
    """The contact of the path; archived ones cannot be written, merged ones are elsewhere."""
    item = call.space.contacts.get(call.params[0])
    if item is None:
        raise absent(call, call.params[0])
    return item


def _named(call: Call, body: Record, name: str) -> Item:
    id = str(body.get(name))
    item = call.space.contacts.get(id)
    if item is None:
        raise absent(call, id)
    return item


def _alike(source: Item, target: Item) -> bool:
    one, other = decode(source.body), decode(target.body)
    return any(one[name] and one[name] == other[name] for name in ("email", "phone"))


def _archived(call: Call, id: str) -> Gone | None:
    gone = call.space.gone.get("contacts", {}).get(id)
    return gone if gone is not None and gone.how == "archived" else None


def _known_tag(call: Call, tag: str) -> None:
    if tag not in call.space.tags:
        raise not_found()


def _reference(item: Item) -> Record:
    external_id = decode(item.body)["external_id"]
    return {"type": "contact", "id": item.id, "external_id": external_id}


def _shown(call: Call, id: str) -> Response:
    item = call.space.contacts.current[id]
    return call.reply(item.body, signed=item.signed)


ROUTES = [
    write("POST", "/contacts", PEOPLE, create_contact),
    write("POST", "/contacts/merge", PEOPLE, merge_contacts),
    write("PUT", "/contacts/{}", PEOPLE, update_contact),
    write("DELETE", "/contacts/{}", PEOPLE, delete_contact),
    write("POST", "/contacts/{}/archive", PEOPLE, archive_contact),
    write("POST", "/contacts/{}/unarchive", PEOPLE, unarchive_contact),
    write("POST", "/contacts/{}/tags", "write_tags", tag_contact),
    write("DELETE", "/contacts/{}/tags/{}", "write_tags", untag_contact),
    write("POST", "/contacts/{}/companies", PEOPLE, attach_company),
    write("DELETE", "/contacts/{}/companies/{}", PEOPLE, detach_company),
]
