"""Which fields a search accepts, of what type, and how to read them; knows no operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from connector.simulator.encoding import decode
from connector.simulator.records.shelf import Item


class Probe:
    """A record opened for inspection, parsed only when a filter needs it."""

    def __init__(self, item: Item) -> None:
        self.item = item

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record as a dictionary."""
        record: dict[str, Any] = decode(self.item.body)
        return record

    def path(self, path: str) -> Any:
        """The value under a dotted path, None where anything on the way is missing."""
        value: Any = self.record
        for part in path.split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value


class Field(Struct, frozen=True):
    """A searchable field: its type (string, integer, float, boolean, date, reference, text)."""

    type: str
    read: Callable[[Probe], Any]


Fields = Mapping[str, Field]


def _at(type: str, path: str) -> Field:
    return Field(type, lambda probe: probe.path(path))


def _all(type: str, names: str) -> dict[str, Field]:
    return {name: _at(type, name) for name in names.split()}


def _custom(types: Mapping[str, str]) -> dict[str, Field]:
    def field(name: str, type: str) -> Field:
        return Field(type, lambda probe: (probe.record.get("custom_attributes") or {}).get(name))

    return {"custom_attributes." + name: field(name, type) for name, type in types.items()}


def _formatted_phone(probe: Probe) -> str | None:
    phone = probe.record.get("phone")
    return phone.replace(" ", "").replace("-", "") if isinstance(phone, str) else None


def _email_domain(probe: Probe) -> str | None:
    email = probe.record.get("email")
    return email.partition("@")[2] or None if isinstance(email, str) else None


def contact_fields(custom: Mapping[str, str]) -> Fields:
    """The fields POST /contacts/search accepts. Companies are not among them."""
    return {
        **_all(
            "string",
            "id role name owner_id email phone external_id language_override browser"
            " browser_language os location.country location.region location.city"
            " ios_app_version ios_device ios_os_version ios_app_name ios_sdk_version"
            " android_app_version android_device android_app_name android_sdk_version",
        ),
        **_all(
            "date",
            "created_at signed_up_at updated_at last_seen_at last_contacted_at last_replied_at"
            " last_email_opened_at last_email_clicked_at ios_last_seen_at android_last_seen_at",
        ),
        **_all("boolean", "unsubscribed_from_emails marked_email_as_spam has_hard_bounced"),
        "avatar": _at("string", "avatar.image_url"),
        "email_domain": Field("string", _email_domain),
        "formatted_phone": Field("string", _formatted_phone),
        # Spelled like this by Intercom.
        "andoid_sdk_version": _at("string", "android_sdk_version"),
        "segment_id": Field("reference", lambda probe: list(probe.item.owned.segments)),
        "tag_id": Field("tag", lambda probe: [tag.id for tag in probe.item.owned.tags]),
        **_custom(custom),
    }


def _references(*path: str) -> Callable[[Probe], list[str]]:
    def read(probe: Probe) -> list[str]:
        entries = probe.path(".".join(path)) or []
        return [str(entry["id"]) for entry in entries]

    return read


def _null_if_zero(name: str) -> Field:
    return Field("integer", lambda probe: probe.record.get(name) or 0)


_STATISTIC_DATES = (
    "first_contact_reply_at first_assignment_at first_admin_reply_at first_close_at"
    " last_assignment_at last_assignment_admin_reply_at last_contact_reply_at"
    " last_admin_reply_at last_close_at"
)
_STATISTIC_COUNTS = (
    "time_to_assignment time_to_admin_reply time_to_first_close time_to_last_close"
    " median_time_to_reply count_reopens count_assignments count_conversation_parts"
)


def conversation_fields(custom: Mapping[str, str]) -> Fields:
    """The fields POST /conversations/search accepts."""
    return {
        "id": Field("integer", lambda probe: probe.item.key),
        **_all("date", "created_at updated_at waiting_since snoozed_until"),
        **_all("boolean", "open read ai_agent_participated"),
        **_all(
            "string",
            "source.type source.id source.delivered_as source.subject source.author.id"
            " source.author.type source.author.name source.author.email source.url state priority"
            " ai_agent.resolution_state ai_agent.last_answer_type ai_agent.source_type"
            " ai_agent.source_title ai_agent.rating_remark",
        ),
        "source.body": _at("text", "source.body"),
        "ai_agent.rating": _at("integer", "ai_agent.rating"),
        "channel_initiated": _at("string", "channel.initial"),
        "contact_ids": Field("reference", _references("contacts", "contacts")),
        "teammate_ids": Field("reference", _references("teammates", "admins")),
        "tag_ids": Field("reference", _references("tags", "tags")),
        "admin_assignee_id": _null_if_zero("admin_assignee_id"),
        "team_assignee_id": _null_if_zero("team_assignee_id"),
        **{f"statistics.{n}": _at("date", f"statistics.{n}") for n in _STATISTIC_DATES.split()},
        **{f"statistics.{n}": _at("integer", f"statistics.{n}") for n in _STATISTIC_COUNTS.split()},
        "conversation_rating.requested_at": _at("date", "conversation_rating.created_at"),
        "conversation_rating.replied_at": _at("date", "conversation_rating.updated_at"),
        "conversation_rating.score": _at("integer", "conversation_rating.rating"),
        "conversation_rating.remark": _at("string", "conversation_rating.remark"),
        "conversation_rating.contact_id": _at("string", "conversation_rating.contact.id"),
        # Spelled like this by Intercom.
        "conversation_rating.admin_d": _at("string", "conversation_rating.teammate.id"),
        **_custom(custom),
    }


def company_fields(custom: Mapping[str, str]) -> Fields:
    """The fields POST /companies/search (Preview) accepts; plan and segment_id are not."""
    return {
        **_all("string", "company_id name"),
        **_all("date", "created_at updated_at remote_created_at last_request_at"),
        **_all("integer", "monthly_spend session_count user_count"),
        "tag_id": Field("tag", _references("tags", "tags")),
        **_custom(custom),
    }


# What the search calls the categories.
_TERMS = {"Customer": "request", "Back-office": "task", "Tracker": "tracker"}
_ATTRIBUTE_TYPES = {
    "integer": "integer",
    "decimal": "float",
    "boolean": "boolean",
    "datetime": "date",
}


def ticket_fields(
    attributes: Mapping[str, tuple[str, str]], category_of: Callable[[str], str]
) -> Fields:
    """The fields POST /tickets/search accepts; attributes go by id there, by name in tickets."""

    def attribute(name: str, type: str) -> Field:
        kind = _ATTRIBUTE_TYPES.get(type, "string")
        return Field(kind, lambda probe: probe.record["ticket_attributes"].get(name))

    return {
        "id": Field("integer", lambda probe: probe.item.key),
        **_all("date", "created_at updated_at snoozed_until"),
        "open": _at("boolean", "open"),
        "title": _at("string", "ticket_attributes._default_title_"),
        "description": _at("string", "ticket_attributes._default_description_"),
        "category": Field("string", lambda probe: _TERMS[probe.record["category"]]),
        "state": Field("string", lambda probe: category_of(probe.item.owned.state)),
        "ticket_type_id": Field("string", lambda probe: probe.item.owned.type),
        "contact_ids": Field("reference", _references("contacts", "contacts")),
        "teammate_ids": Field("reference", _teammates),
        "admin_assignee_id": _null_if_zero("admin_assignee_id"),
        "team_assignee_id": _null_if_zero("team_assignee_id"),
        **{f"ticket_attribute.{id}": attribute(*one) for id, one in attributes.items()},
    }


def _teammates(probe: Probe) -> list[str]:
    authors = (decode(part)["author"] for part in probe.item.owned.parts)
    return [author["id"] for author in authors if author["type"] == "admin"]
