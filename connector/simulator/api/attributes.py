"""Serves the catalogues of attributes of contacts, companies and conversations."""

from __future__ import annotations

from connector.simulator.call import Call
from connector.simulator.messages import ApiError, Response
from connector.simulator.routing import Route
from connector.simulator.workspace import (
    COMPANY_ATTRIBUTES,
    CONTACT_ATTRIBUTES,
    CONVERSATION_ATTRIBUTES,
    Record,
)

_CUSTOM = {"contact": CONTACT_ATTRIBUTES, "company": COMPANY_ATTRIBUTES}
_DEFAULT = {
    "contact": {"name": "string", "email": "string", "signed_up_at": "date"},
    "company": {"name": "string", "company_id": "string", "user_count": "integer"},
}


def data_attributes(call: Call) -> Response:
    """GET /data_attributes: default ones have neither id nor times."""
    model = call.request.query.get("model")
    if model is not None and model not in _CUSTOM:
        message = f"model={model} is no longer supported. Use GET /conversations/attributes instead"
        status = 422 if call.is_at_least(16) else 400
        raise ApiError(status, "parameter_invalid", message)
    models = [model] if model else list(_CUSTOM)
    data = [entry for one in models for entry in _attributes(call, one)]
    return call.json({"type": "list", "data": data})


def conversation_attributes(call: Call) -> Response:
    """GET /conversations/attributes, since 2.16."""
    if not call.is_at_least(16):
        raise ApiError(404, "not_found", "Resource Not Found")
    created = call.space.app["created_at"]
    data = [
        {
            "type": "conversation_attribute",
            "id": number,
            "name": name,
            "description": "",
            "data_type": type,
            "required": False,
            "visible_to_team_ids": [],
            "archived": False,
            "created_at": created,
            "updated_at": created,
            "admin_id": call.space.me,
            "multiline": False,
        }
        for number, (name, type) in enumerate(CONVERSATION_ATTRIBUTES.items(), 1)
    ]
    return call.json({"type": "list", "data": data})


def _attributes(call: Call, model: str) -> list[Record]:
    entries = [_attribute(model, name, name, type) for name, type in _DEFAULT[model].items()]
    created = call.space.app["created_at"]
    for number, (name, type) in enumerate(_CUSTOM[model].items(), 1):
        entry = _attribute(model, name, f"custom_attributes.{name}", type)
        entry.update(
            id=12_878 + number if model == "contact" else 13_878 + number,
            custom=True,
            api_writable=True,
            created_at=created,
            updated_at=created,
            admin_id=call.space.me,
        )
        entries.append(entry)
    return entries


def _attribute(model: str, name: str, full_name: str, type: str) -> Record:
    return {
        "type": "data_attribute",
        "name": name,
        "full_name": full_name,
        "label": name.replace("_", " ").capitalize(),
        "description": "",
        "data_type": type,
        "api_writable": False,
        "ui_writable": False,
        "messenger_writable": False,
        "custom": False,
        "archived": False,
        "model": model,
    }


ROUTES = [
    Route("GET", "/data_attributes", data_attributes),
    Route("GET", "/conversations/attributes", conversation_attributes),
]
