"""Serves the catalogues of attributes of contacts, companies and conversations."""

from __future__ import annotations

from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.requests.routing import Route

_MODELS = ("contact", "company")


def data_attributes(call: Call) -> Response:
    """GET /data_attributes: default ones have neither id nor times; since 2.16 no conversations."""
    model = call.request.query.get("model")
    if model == "conversation" and not call.is_at_least(16):
        data = [_older(one) for one in _kept(call, call.space.conversation_attributes)]
        return call.json({"type": "list", "data": data})
    if model == "conversation":
        message = f"model={model} is no longer supported. Use GET /conversations/attributes instead"
        raise ApiError(422, "parameter_invalid", message)
    if model is not None and model not in _MODELS:
        raise ApiError(400, "parameter_invalid", f"{model} is not a valid model")
    entries = _kept(call, call.space.data_attributes)
    found = [one for one in entries if model in (None, one["model"])]
    return call.json({"type": "list", "data": found})


def conversation_attributes(call: Call) -> Response:
    """GET /conversations/attributes, since 2.16."""
    if not call.is_at_least(16):
        raise not_found()
    data = _kept(call, call.space.conversation_attributes)
    return call.json({"type": "list", "data": data})


def _kept(call: Call, entries: list[Record]) -> list[Record]:
    # Archived attributes are listed only on demand.
    everything = call.request.query.get("include_archived") == "true"
    return [one for one in entries if everything or not one["archived"]]


def _older(entry: Record) -> Record:
    kept = ("name", "description", "data_type", "archived", "created_at", "updated_at", "admin_id")
    return {
        "type": "data_attribute",
        "id": entry["id"],
        "full_name": entry["name"],
        "label": entry["name"],
        "api_writable": True,
        "ui_writable": True,
        "messenger_writable": False,
        "custom": True,
        "model": "conversation",
        **{name: entry[name] for name in kept},
    }


ROUTES = [
    Route("GET", "/data_attributes", data_attributes),
    Route("GET", "/conversations/attributes", conversation_attributes),
]
