"""The shapes of contacts and notes, with their lists embedded up to ten; knows no history."""

from __future__ import annotations

from connector.simulator.encoding import is_signed, render
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Ties, Workspace
from connector.simulator.times import object_id

MACHINE = "fe4e2e91dc"
# Contacts embed no more than this many tags, notes, companies and subscriptions.
EMBEDDED = 10
_NULLS = (
    "last_seen_at last_replied_at last_contacted_at last_email_opened_at last_email_clicked_at"
    " language_override browser browser_version browser_language os"
)
_DEVICES = (
    "android_app_name android_app_version android_device android_os_version android_sdk_version"
    " android_last_seen_at ios_app_name ios_app_version ios_device ios_os_version ios_sdk_version"
    " ios_last_seen_at"
)
_UTM = "utm_campaign utm_content utm_medium utm_source utm_term referrer"
_NOTHING_SEEN: Record = dict.fromkeys(_NULLS.split())
_NO_DEVICES: Record = dict.fromkeys(_DEVICES.split())
_NO_UTM: Record = dict.fromkeys(_UTM.split())


def new_contact(space: Workspace, created: int, role: str) -> Record:
    """A contact with nothing set but what every contact has."""
    id = object_id(created, MACHINE, space.next_number("contact", 0x100000))
    return {
        "type": "contact",
        "id": id,
        "workspace_id": space.app["id_code"],
        "external_id": None,
        "role": role,
        "email": None,
        "email_domain": None,
        "phone": None,
        "name": None,
        "avatar": None,
        "owner_id": None,
        "social_profiles": {"type": "list", "data": []},
        "has_hard_bounced": False,
        "marked_email_as_spam": False,
        "unsubscribed_from_emails": False,
        "created_at": created,
        "updated_at": created,
        "signed_up_at": None,
        **_NOTHING_SEEN,
        "location": {
            "type": "location",
            "country": None,
            "region": None,
            "city": None,
            "country_code": None,
            "continent_code": None,
        },
        **_NO_DEVICES,
        "custom_attributes": {},
        "tags": None,
        "notes": None,
        "companies": None,
        "opted_out_subscription_types": None,
        "opted_in_subscription_types": None,
        **_NO_UTM,
        "sms_consent": False,
        "unsubscribed_from_sms": False,
        "enabled_push_messaging": None,
    }


def contact_item(record: Record, ties: Ties) -> Item:
    """A contact as the shelf keeps it, its lists embedded up to ten."""
    id = record["id"]
    url = f"/contacts/{id}/"
    record["tags"] = _embedded([_link("tag", "tags", tag.id) for tag in ties.tags], url + "tags")
    notes = [_link("note", "notes", note_id(note)) for note in ties.notes]
    record["notes"] = _embedded(notes, url + "notes")
    companies = [_link("company", "companies", company) for company in ties.companies]
    record["companies"] = _embedded(companies, url + "companies")
    for name, ids in (("opted_out", ties.opted_out), ("opted_in", ties.opted_in)):
        entries = [_link("subscription", "subscriptions", one) for one in ids]
        record[f"{name}_subscription_types"] = _embedded(entries, url + "subscriptions")
    body = render(record)
    return Item(
        id,
        record["role"],
        record["created_at"],
        record["updated_at"],
        body,
        signed=record["avatar"] is not None or is_signed(body),
        owned=ties,
    )


def note_id(note: bytes) -> str:
    """The id of a rendered note; it stands first after the type."""
    return note[len(b'{"type":"note","id":"') : note.index(b'","created_at"')].decode()


def note(space: Workspace, contact: str, author: Record, created: int, body: str) -> bytes:
    """A rendered note."""
    names = ("type", "id", "name", "email", "away_mode_enabled", "away_mode_reassign")
    return render(
        {
            "type": "note",
            "id": str(space.next_number("note")),
            "created_at": created,
            "contact": {"type": "contact", "id": contact},
            "author": {name: author[name] for name in names},
            "body": body,
        }
    )


def _embedded(entries: list[Record], url: str) -> Record:
    return {
        "type": "list",
        "data": entries[:EMBEDDED],
        "url": url,
        "total_count": len(entries),
        "has_more": len(entries) > EMBEDDED,
    }


def _link(type: str, plural: str, id: str) -> Record:
    return {"id": id, "type": type, "url": f"/{plural}/{id}"}
