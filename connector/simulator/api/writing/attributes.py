"""Defines custom attributes of contacts and companies."""

from __future__ import annotations

import re

from connector.simulator.api.writing.route import write
from connector.simulator.messages import Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call
from connector.simulator.writes.log import Entry
from connector.simulator.writes.values import invalid

_NAME = re.compile(r"[\w\s\-$€£¥]+")
_TYPES = frozenset({"string", "integer", "float", "boolean", "datetime", "date", "options"})
_DATA = {"contact": "people", "company": "company"}


def create_attribute(call: Call, entry: Entry) -> Response:
    """POST /data_attributes: a name is taken once for contacts and companies together."""
    body = call.body()
    name, model, kind = (body.get(key) for key in ("name", "model", "data_type"))
    if model not in _DATA:
        message = "The Data Attribute model field must be either contact or company"
        raise invalid(message)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "alphanumeric characters, currency symbols, and hyphens"
        raise invalid(f"Your name for this attribute must only contain {allowed}")
    if kind not in _TYPES:
        raise invalid("Data Type isn't an option")
    _check_free(call, name, model)
    fields: Record = {
        key: body[key] for key in ("description", "messenger_writable") if key in body
    }
    if kind == "options":
        fields["options"] = _options(body)
    full_name = call.simulator.control.create_data_attribute(model, name, kind)
    call.simulator.control.update_data_attribute(model, name, **fields)
    call.simulator.writes.log.note("created", "data_attributes", full_name)
    return call.json(call.space.data_attributes[-1])


def _check_free(call: Call, name: str, model: str) -> None:
    # The archived ones count as well.
    for known in call.space.data_attributes:
        if known["custom"] and known["name"].lower() == name.lower():
            where, new = _DATA[known["model"]], _DATA[model]
            raise invalid(
                f"You already have '{name}' in your {where} data."
                f" To save this as new {new} data, use a different name."
            )


def _options(body: Record) -> list[str]:
    options = body.get("options")
    listed = options if isinstance(options, list) else []
    found = [str(one["value"]) for one in listed if isinstance(one, dict) and one.get("value")]
    if len(found) < 2:
        raise invalid("At least two options are required")
    return found


ROUTES = [write("POST", "/data_attributes", "write_data_attributes", create_attribute)]
