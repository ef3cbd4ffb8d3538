"""Every change to a simulated workspace is told by its topics, or declared to be silent."""

from __future__ import annotations

import inspect

import pytest

from connector.simulator import Control
from tests.simulator.webhooks.changes import SILENT, TOLD
from tests.support.listening import Listener


def changing() -> set[str]:
    """Every control that changes one thing in the workspace."""
    many = {"change", "live"}
    return {
        name
        for name, method in inspect.getmembers(Control, inspect.isfunction)
        if method.__module__.startswith("connector.simulator.changes.")
        and not name.startswith("_")
        and name not in many
    }


def test_every_change_is_told_or_declared_silent() -> None:
    assert TOLD.keys() | SILENT.keys() == changing()
    assert not TOLD.keys() & SILENT.keys()


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_change_tells_its_topics(name: str) -> None:
    listener = Listener()
    do, topics = TOLD[name]
    do(listener)
    told = set(listener.topics())
    assert told
    assert told <= topics
    assert told == topics or name == "untag_contact"


@pytest.mark.parametrize("name", sorted(SILENT))
def test_what_has_no_topic_is_not_told(listener: Listener, name: str) -> None:
    SILENT[name](listener)
    assert listener.topics() == []


def test_what_has_a_topic_for_one_kind_has_none_for_another(listener: Listener) -> None:
    macro = listener.control.create_record("macros")
    listener.control.update_record("macros", macro, name="N")
    listener.control.delete_record("macros", macro)
    assert listener.topics() == []


def test_edits_that_change_nothing_are_not_told(listener: Listener) -> None:
    id = listener.a("contacts", "user")
    name = listener.control.truth_one("contacts", id)["name"]
    listener.control.update_contact(id, name=name)
    listener.control.rate(listener.a("conversations"), silent=True)
    listener.control.mark_read(listener.a("conversations"), read=False)
    listener.control.update_conversation(listener.a("conversations"), title="T")
    assert listener.topics() == []


def test_a_workspace_that_lives_on_keeps_its_size_and_tells_of_every_kind() -> None:
    listener = Listener()
    before = {kind: len(listener.space.shelf(kind)) for kind in ("contacts", "conversations")}
    told: set[str] = set()
    for _ in range(1_500):
        listener.control.live()
        told.update(listener.topics())
    for kind, size in before.items():
        assert size * 0.7 - 4 < len(listener.space.shelf(kind)) < size * 1.1 + 5
    assert {
        "contact.merged", "contact.deleted", "contact.archived", "company.deleted",
        "conversation.deleted", "conversation.contact.attached", "ticket.created",
        "event.created", "article.updated", "call.started", "granular.subscribe",
        "contact.email.updated", "company.contact.detached", "conversation_part.redacted",
        "admin.away_mode_updated",
    } <= told  # fmt: skip


def test_the_same_seed_lives_the_same_life() -> None:
    one, other = Listener(), Listener()
    assert [one.control.live(3, seed=n) for n in range(40)] == [
        other.control.live(3, seed=n) for n in range(40)
    ]
