"""The simulator's answers against the response schemas of Intercom's OpenAPI description.

A checker of its own, because the description is OpenAPI 3.0 (`nullable`) and because keys it does
not mention count as deviations too. Every deviation is listed with its reason, and must occur.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.transport.caller import Caller
from tests.support.places import ROOT

NOW = 1_780_000_000
STORED = ROOT / "tests/data/openapi/responses-2.16.json"
# Places of the description: the operation it describes and what the simulator is asked for it.
# {name} is replaced by every id of that name.
ENDPOINTS: tuple[tuple[str, str, Any], ...] = (
    ("get", "/me", "/me"),
    ("get", "/admins", "/admins"),
    ("get", "/admins/{admin_id}", "/admins/{admins}"),
    ("get", "/admins/activity_logs", "/admins/activity_logs?created_at_after=1"),
    ("post", "/admins/activity_logs/search", {"created_at_after": 1, "per_page": 250}),
    ("get", "/admins/activity_log_event_types", "/admins/activity_log_event_types"),
    ("get", "/teams", "/teams"),
    ("get", "/teams/{team_id}", "/teams/{teams}"),
    ("get", "/tags", "/tags"),
    ("get", "/tags/{tag_id}", "/tags/{tags}"),
    ("get", "/segments", "/segments"),
    ("get", "/segments/{segment_id}", "/segments/{segments}"),
    ("get", "/subscription_types", "/subscription_types"),
    ("get", "/data_attributes", "/data_attributes?include_archived=true"),
    ("get", "/conversations/attributes", "/conversations/attributes?include_archived=true"),
    ("get", "/contacts", "/contacts?per_page=150"),
    ("post", "/contacts/search", {"query": ["created_at", ">", 0], "pagination": 150}),
    ("get", "/contacts/{contact_id}", "/contacts/{contacts}?include_merge_history=true"),
    ("get", "/contacts/{contact_id}/tags", "/contacts/{contacts}/tags"),
    ("get", "/contacts/{contact_id}/notes", "/contacts/{contacts}/notes"),
    ("get", "/contacts/{contact_id}/companies", "/contacts/{contacts}/companies"),
    ("get", "/contacts/{contact_id}/segments", "/contacts/{contacts}/segments"),
    ("get", "/contacts/{contact_id}/subscriptions", "/contacts/{contacts}/subscriptions"),
    ("get", "/contacts/{id}/merge_history", "/contacts/{contacts}/merge_history"),
    ("get", "/companies/{company_id}", "/companies/{companies}"),
    ("get", "/companies/{company_id}/contacts", "/companies/{companies}/contacts"),
    ("get", "/companies/{company_id}/segments", "/companies/{companies}/segments"),
    ("post", "/companies/list", {}),
    ("get", "/companies/scroll", "/companies/scroll"),
    ("get", "/conversations", "/conversations?per_page=150"),
    ("post", "/conversations/search", {"query": ["created_at", ">", 0], "pagination": 150}),
    ("get", "/conversations/{conversation_id}", "/conversations/{conversations}"),
    ("get", "/conversations/deleted", "/conversations/deleted"),
    ("post", "/tickets/search", {"query": ["created_at", ">", 0], "pagination": 150}),
    ("get", "/tickets/{ticket_id}", "/tickets/{tickets}"),
    ("get", "/ticket_types", "/ticket_types"),
    ("get", "/ticket_types/{ticket_type_id}", "/ticket_types/{ticket_types}"),
    ("get", "/ticket_states", "/ticket_states"),
    ("get", "/events", "/events?type=user&intercom_user_id={events}&summary=true"),
    ("get", "/articles", "/articles?per_page=50"),
    ("get", "/articles/{article_id}", "/articles/{articles}"),
    ("get", "/help_center/collections", "/help_center/collections?per_page=50"),
    ("get", "/help_center/collections/{collection_id}", "/help_center/collections/{collections}"),
    ("get", "/help_center/help_centers", "/help_center/help_centers"),
    (
        "get",
        "/help_center/help_centers/{help_center_id}",
        "/help_center/help_centers/{help_centers}",
    ),
    ("get", "/news/news_items", "/news/news_items?per_page=50"),
    ("get", "/news/news_items/{news_item_id}", "/news/news_items/{news_items}"),
    ("get", "/news/newsfeeds", "/news/newsfeeds"),
    ("get", "/news/newsfeeds/{newsfeed_id}", "/news/newsfeeds/{newsfeeds}"),
    ("get", "/news/newsfeeds/{newsfeed_id}/items", "/news/newsfeeds/{newsfeeds}/items"),
    ("get", "/macros", "/macros?per_page=150"),
    ("get", "/macros/{id}", "/macros/{macros}"),
    ("get", "/calls", "/calls"),
    ("get", "/calls/{call_id}", "/calls/{calls}"),
)
# The description gives the summary's schema to GET /events; the list's own schema exists apart.
BY_SCHEMA = (("data_event_list", "/events?type=user&intercom_user_id={events}"),)
# What is written, in this order, each to the thing named: the operation, the address, the body.
WRITES: tuple[tuple[str, str, str, Any], ...] = (
    ("post", "/contacts", "/contacts", {"email": "joebloggs@intercom.io"}),
    ("post", "/contacts", "/contacts", {"role": "lead", "phone": "+353871234567"}),
    ("put", "/contacts/{contact_id}", "/contacts/{user}", {"name": "joe bloggs"}),
    ("post", "/contacts/{contact_id}/tags", "/contacts/{user}/tags", {"id": "{tag}"}),
    ("delete", "/contacts/{contact_id}/tags/{tag_id}", "/contacts/{user}/tags/{tag}", None),
    (
        "post",
        "/contacts/{contact_id}/companies",
        "/contacts/{user}/companies",
        {"id": "{company}"},
    ),
    ("post", "/contacts/{contact_id}/notes", "/contacts/{user}/notes", {"body": "Hello"}),
    (
        "post",
        "/contacts/{contact_id}/subscriptions",
        "/contacts/{user}/subscriptions",
        {"id": "135", "consent_type": "opt_out"},
    ),
    (
        "delete",
        "/contacts/{contact_id}/subscriptions/{subscription_id}",
        "/contacts/{user}/subscriptions/135",
        None,
    ),
    (
        "delete",
        "/contacts/{contact_id}/companies/{company_id}",
        "/contacts/{user}/companies/{company}",
        None,
    ),
    ("post", "/contacts/{contact_id}/archive", "/contacts/{user}/archive", None),
    ("post", "/contacts/{contact_id}/unarchive", "/contacts/{user}/unarchive", None),
    (
        "post",
        "/contacts/merge",
        "/contacts/merge",
        {"from": "{lead}", "into": "{user}", "skip_duplicate_validation": True},
    ),
    ("delete", "/contacts/{contact_id}", "/contacts/{user}", None),
    ("post", "/companies", "/companies", {"company_id": "remote", "name": "my company"}),
    ("put", "/companies/{company_id}", "/companies/{company}", {"name": "company2"}),
    ("post", "/tags", "/tags", {"name": "test", "companies": [{"id": "{company}"}]}),
    ("delete", "/companies/{company_id}", "/companies/{company}", None),
    (
        "post",
        "/data_attributes",
        "/data_attributes",
        {"name": "Mithril Shirt", "model": "company", "data_type": "string"},
    ),
)
# Bulk operations are Preview's; each is asked with one item.
BULK = tuple(
    (method, f"/{kind}/bulk{rest}", kind)
    for kind in ("contacts", "companies")
    for method, rest in (("post", ""), ("put", ""), ("post", "/delete"), ("get", "/{id}"))
)
KEPT = (
    "type", "nullable", "enum", "format", "properties", "items", "required", "oneOf", "anyOf",
    "allOf", "additionalProperties", "$ref",
)  # fmt: skip
EXAMPLES = 40
Problem = tuple[str, str]


def _known(reason: str, problem: str, place: str, keys: str = "") -> dict[Problem, str]:
    return {(f"{place}{key}", problem): reason for key in keys.split() or [""]}


LIVE = "recorded traffic has it, the description does not"
UNSET = "recorded traffic has null where nothing is set or nothing has happened yet"
# What the simulator does otherwise than the description says, and why.
DEVIATIONS: dict[Problem, str] = {
    **_known(
        LIVE,
        "undocumented",
        "contact",
        ".utm_campaign .utm_content .utm_medium .utm_source .utm_term .referrer .sms_consent"
        " .unsubscribed_from_sms .enabled_push_messaging .opted_in_subscription_types"
        " .opted_out_subscription_types _location.country_code _location.continent_code",
    ),
    **_known(
        "the description's examples have it, its schemas do not",
        "undocumented",
        "",
        "app.secure contact_companies.type contact_notes.type contact_tags.type"
        " contact_social_profiles.type activity_log_metadata.message ticket_type.is_internal",
    ),
    **_known(
        "the schemas name these lists otherwise than examples and recorded traffic do",
        "undocumented",
        "",
        "conversation_teammates.admins contact_attached_companies.data"
        " ticket_type_attribute_list.data",
    ),
    **_known(
        "recorded traffic of older versions still has it",
        "undocumented",
        "",
        "conversation.ticket conversation.topics conversation_list_item.ticket"
        " conversation_list_item.topics",
    ),
    **_known(
        "the page comes with the token, as the documentation of paging shows",
        "undocumented",
        "starting_after_paging.page",
    ),
    **_known(
        "page-number lists give an address in `next`, as pages_link and the texts say",
        "not object",
        "starting_after_paging",
    ),
    **_known(UNSET, "null", "contact", ".email .email_domain"),
    **_known(
        UNSET,
        "null",
        "conversation_statistics",
        ".first_admin_reply_at .first_assignment_at .first_close_at .first_contact_reply_at"
        " .last_admin_reply_at .last_assignment_admin_reply_at .last_assignment_at .last_close_at"
        " .last_closed_by_id .last_contact_reply_at .median_time_to_reply .time_to_admin_reply"
        " .time_to_assignment .time_to_first_close .time_to_last_close",
    ),
    **_known(
        UNSET,
        "null",
        "",
        "ai_agent company conversation_source conversation_rating.remark email_message_metadata"
        " event_details part_attachment.height part_attachment.width reference",
    ),
    **_known(
        "a call that nobody answered was answered at no time",
        "null",
        "datetime",
    ),
    **_known(
        "an example leaves out the bodies of a large list",
        "null",
        "macro",
        ".body .body_text",
    ),
    **_known(
        "a number in recorded traffic",
        "not string",
        "",
        "conversation_statistics.last_closed_by_id",
    ),
    **_known(
        "attributes have the types of their catalogue, also true, false and decimals",
        "not string",
        "",
        "company.custom_attributes.* custom_attributes.*",
    ),
    **_known(
        "text and example describe numbers, links with a text and amounts of money",
        "not string",
        "data_event.metadata.*",
    ),
    **_known("applications send null as well", "null", "data_event.metadata.*"),
    **_known(
        "the example has text before and after a change",
        "not object",
        "activity_log_metadata",
        ".before .after",
    ),
}


def description() -> Path | None:
    """Intercom's description, where it is at hand."""
    named = os.environ.get("INTERCOM_OPENAPI")
    path = Path(named) if named else ROOT.parent / "shared/openapi/intercom-2.16.yaml"
    return path if path.is_file() else None


def trimmed(path: Path) -> dict[str, Any]:
    """The schemas of the endpoints above, and all they refer to, without texts."""
    whole, preview = _loaded(path), _loaded(path.with_name("intercom-preview.yaml"))
    known = {**preview["components"]["schemas"], **whole["components"]["schemas"]}
    responses: dict[str, Any] = {}
    operations = [(method, place) for method, place, _ in ENDPOINTS]
    operations += [(method, place) for method, place, *_ in WRITES]
    for method, place in operations:
        responses[f"{method} {place}"] = _answer(whole, method, place, "200")
    for method, place, _ in BULK:
        status = "200" if method == "get" else "202"
        responses[f"{method} {place}"] = _answer(preview, method, place, status)
    schemas: dict[str, Any] = {}
    wanted = [*_references(responses), "error", *(name for name, _ in BY_SCHEMA)]
    while wanted:
        name = wanted.pop()
        if name not in schemas:
            schemas[name] = _slim(known[name])
            wanted += _references(schemas[name])
    return {"responses": responses, "schemas": dict(sorted(schemas.items()))}


def _loaded(path: Path) -> Any:
    import yaml

    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _answer(whole: Any, method: str, place: str, status: str) -> Any:
    content = whole["paths"][place][method]["responses"][status]["content"]
    return _slim(content["application/json"]["schema"])


def _slim(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_slim(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    slim = {}
    for key in KEPT:
        if key == "properties" and key in schema:
            slim[key] = {name: _slim(one) for name, one in schema[key].items()}
        elif key in schema:
            slim[key] = _slim(schema[key])
    return slim


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _references(one)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("$ref")
    names = [own.rpartition("/")[2]] if isinstance(own, str) else []
    return names + [name for one in schema.values() for name in _references(one)]


class Checker:
    """Compares values with schemas; a problem is a place (schema and keys) and what is wrong."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.schemas = schemas

    def problems(self, schema: Any, value: Any, place: str) -> Iterator[Problem]:
        schema, place = self._resolved(schema, place)
        if value is None:
            if not self._nullable(schema):
                yield place, "null"
            return
        first = schema.get("allOf", [{}])[0].get("$ref")
        if first:
            place = first.rpartition("/")[2]
        for key in ("oneOf", "anyOf"):
            if key in schema:
                yield from self._one_of(schema[key], value, place)
                return
        schema = self._joined(schema)
        kind = schema.get("type")
        if kind is not None and not _is(kind, schema.get("format"), value):
            yield place, f"not {kind}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield place, "not in the enumeration"
        if isinstance(value, dict):
            yield from self._object(schema, value, place)
        elif isinstance(value, list) and "items" in schema:
            for one in value:
                yield from self.problems(schema["items"], one, place + "[]")

    def _object(self, schema: Any, value: dict[str, Any], place: str) -> Iterator[Problem]:
        known = schema.get("properties", {})
        more = schema.get("additionalProperties")
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{place}.{name}", "missing"
        for name, one in value.items():
            if name in known:
                yield from self.problems(known[name], one, f"{place}.{name}")
            elif isinstance(more, dict):
                yield from self.problems(more, one, f"{place}.*")
            elif known and more is not True:
                yield f"{place}.{name}", "undocumented"

    def _nullable(self, schema: Any) -> bool:
        schema = self._resolved(schema, "")[0]
        if not schema or schema.get("nullable") or None in schema.get("enum", ()):
            return True
        options = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
        return any(self._nullable(option) for option in options)

    def _one_of(self, options: list[Any], value: Any, place: str) -> Iterator[Problem]:
        found = [list(self.problems(option, value, place)) for option in options]
        if all(found):
            # Where every alternative is missed, the nearest one tells what is wrong.
            yield from min(found, key=len)

    def _resolved(self, schema: Any, place: str) -> tuple[Any, str]:
        while "$ref" in schema:
            place = schema["$ref"].rpartition("/")[2]
            schema = self.schemas[place]
        return schema, place

    def _joined(self, schema: Any) -> Any:
        if "allOf" not in schema:
            return schema
        whole = {**schema, "properties": dict(schema.get("properties", {})), "required": []}
        for part in whole.pop("allOf"):
            part = self._joined(self._resolved(part, "")[0])
            whole["properties"].update(part.get("properties", {}))
            whole["required"] += part.get("required", [])
            whole.setdefault("type", part.get("type", "object"))
        return whole


def _is(kind: str, format: str | None, value: Any) -> bool:
    if kind in ("integer", "number"):
        allowed = int if kind == "integer" else (int, float)
        return isinstance(value, allowed) and not isinstance(value, bool)
    if kind == "string" and format == "date-time" and isinstance(value, str):
        try:
            return datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            return False
    types = {"string": str, "boolean": bool, "array": list, "object": dict}
    return isinstance(value, types[kind])


def rich() -> Simulator:
    """A workspace in which everything the schemas know occurs."""
    space = Workspace.generate(5, now=NOW, contacts=400, companies=40, conversations=300)
    simulator = Simulator(space, clock=lambda: float(NOW), index_lag=0)
    control = simulator.control
    ids: dict[str, list[str]] = {group: [] for group in ("user", "lead")}
    for item in space.contacts.current.values():
        ids[item.group].append(item.id)
    control.merge_contacts(ids["lead"][0], ids["user"][0])
    control.delete_conversation(next(iter(space.conversations.current)))
    return simulator


def answers(simulator: Simulator, request: Any, place: str) -> Iterator[Any]:
    """What the simulator says, once or for many ids."""
    caller = Caller(simulator)
    if not isinstance(request, str):
        body = dict(request)
        if "query" in body:
            names = ("field", "operator", "value")
            body["query"] = dict(zip(names, body["query"], strict=True))
            body["pagination"] = {"per_page": body["pagination"]}
        yield _whole(caller, "POST", place, body)
        return
    path, _, query = request.partition("?")
    parameters = dict(one.split("=") for one in query.split("&")) if query else {}
    kind = request.partition("{")[2].partition("}")[0]
    for id in _ids(simulator, kind) if kind else [""]:
        filled = {name: value.replace(f"{{{kind}}}", id) for name, value in parameters.items()}
        yield _whole(caller, "GET", path.replace(f"{{{kind}}}", id), None, **filled)


def written(simulator: Simulator) -> Iterator[tuple[str, Any]]:
    """What is said of each write, and of bulk jobs before and after they end."""
    caller, control = Caller(simulator), simulator.control
    named = {
        "user": control.create_contact("user", external_id="70"),
        "lead": control.create_contact("lead"),
        "company": control.create_company("company1"),
        "tag": control.create_tag("Manual tag"),
    }
    for method, place, path, body in WRITES:
        body = json.loads(_filled(json.dumps(body), named))
        yield f"{method} {place}", _whole(caller, method.upper(), _filled(path, named), body)
    preview, jobs = Caller(simulator, "Preview"), dict[str, str]()
    for method, place, kind in BULK:
        if method == "get":
            control.advance(60)
        body = {kind: [{"id": named["user"]}], "job": {"id": jobs.get(kind)}}
        path = place.replace("{id}", jobs.get(kind, ""))
        answer = json.loads(preview.ask(method.upper(), path, body).body)
        jobs[kind] = answer["id"]
        yield f"{method} {place}", answer


def _filled(text: str, named: dict[str, str]) -> str:
    for name, id in named.items():
        text = text.replace(f"{{{name}}}", id)
    return text


def _ids(simulator: Simulator, kind: str) -> list[str]:
    space = simulator.workspace
    if kind == "events":
        ids = sorted(space.events, key=lambda id: len(space.events[id]), reverse=True)
    elif kind in ("contacts", "companies", "conversations", "tickets"):
        ids = list(space.shelf(kind).current)
    else:
        ids = list(space.directory(kind))
    # The merged contact is the first user, and the long conversation comes early.
    step = max(1, len(ids) // EXAMPLES)
    return [*ids[:8], *ids[8::step]]


def _whole(caller: Caller, method: str, path: str, body: Any, **query: Any) -> Any:
    response = caller.ask(method, path, body, **query)
    assert response.status == 200, (method, path, response.body)
    return json.loads(response.body)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    path = description()
    return trimmed(path) if path else json.loads(STORED.read_text())


@pytest.fixture(scope="module")
def found(document) -> dict[Problem, str]:
    """Every problem, and the endpoint where it was met first."""
    simulator = rich()
    checker = Checker(document["schemas"])
    problems: dict[Problem, str] = {}
    for method, place, request in ENDPOINTS:
        schema = document["responses"][f"{method} {place}"]
        for value in answers(simulator, request, place):
            for problem in checker.problems(schema, value, f"{method} {place}"):
                problems.setdefault(problem, place)
    for operation, value in written(simulator):
        for problem in checker.problems(document["responses"][operation], value, operation):
            problems.setdefault(problem, operation)
    for name, request in BY_SCHEMA:
        reference = {"$ref": f"#/components/schemas/{name}"}
        for value in answers(simulator, request, ""):
            for problem in checker.problems(reference, value, name):
                problems.setdefault(problem, request)
    return problems


def test_answers_deviate_only_where_it_is_known_why(found):
    unknown = [f"{k[0]}: {k[1]} (at {at})" for k, at in found.items() if k not in DEVIATIONS]
    assert unknown == []


def test_every_known_deviation_still_occurs(found):
    assert [problem for problem in DEVIATIONS if problem not in found] == []


def test_errors_have_the_described_envelope(document):
    checker = Checker(document["schemas"])
    caller = Caller(rich())
    caller.simulator.control.deny("^/calls", code="api_plan_restricted")
    for status, path, query in (
        (404, "/tickets/1", {}),
        (404, "/events", {"type": "user", "intercom_user_id": "0"}),
        (403, "/calls", {}),
        (422, "/data_attributes", {"model": "conversation"}),
        (400, "/macros", {"per_page": 151}),
    ):
        response = caller.ask("GET", path, **query)
        assert response.status == status
        reference = {"$ref": "#/components/schemas/error"}
        assert list(checker.problems(reference, json.loads(response.body), path)) == []


def test_the_stored_schemas_are_those_of_the_description(document):
    assert json.loads(STORED.read_text()) == document


def test_the_checker_finds_what_is_wrong():
    checker = Checker({"tag": {"type": "object", "properties": {"id": {"type": "string"}}}})
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "b": {"enum": ["x"]},
            "t": {"$ref": "#/components/schemas/tag"},
            "n": {"type": "integer", "nullable": True},
            "o": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        },
    }
    value: dict[str, Any] = {"b": "y", "t": {"id": 1, "more": 2}, "n": None, "o": [], "u": 1}
    assert sorted(checker.problems(schema, value, "at")) == [
        ("at.a", "missing"),
        ("at.b", "not in the enumeration"),
        ("at.o", "not string"),
        ("at.u", "undocumented"),
        ("tag.id", "not string"),
        ("tag.more", "undocumented"),
    ]
    assert list(checker.problems(schema, {"a": True, "n": True}, "at")) == [
        ("at.a", "undocumented"),
        ("at.n", "not integer"),
    ]


if __name__ == "__main__":
    source = description()
    assert source is not None, "set INTERCOM_OPENAPI to the description"
    STORED.write_text(json.dumps(trimmed(source), indent=0, sort_keys=False) + "\n")
