"""The words of the metrics, as SQL conditions on a part; docs/metrics.md says the same in prose."""

from __future__ import annotations

CONTACTS = ("user", "lead", "contact", "visitor")
MESSAGES = ("comment", "quick_reply")
"""Parts that have a text wherever texts are not stored."""
LONGEST = 1_000  # digits of an id that is ordered by its value; PostgreSQL takes many more


def side(author: str) -> str:
    """Whose side a message is on; ``author`` is what its author's columns begin with."""
    listed = ", ".join(f"'{kind}'" for kind in CONTACTS)
    return (
        f"CASE WHEN {author}_from_ai_agent OR {author}_is_ai_answer THEN 'ai'"
        f" WHEN {author}_type IN ({listed}) THEN 'contact'"
        f" WHEN {author}_type = 'admin' THEN 'admin' ELSE 'bot' END"
    )


def reply(part: str, without_texts: str) -> str:
    """Whether a part is a reply: it has a text, or had one, and is no note.

    Where the condition ``without_texts`` holds, texts are kept out of the warehouse, and the kind
    of the part must tell.
    """
    kinds = ", ".join(f"'{kind}'" for kind in MESSAGES)
    told = (
        f"octet_length({part}.body) > 0 OR {part}.redacted OR ({part}.part_type IN ({kinds}) AND"
        f" {without_texts})"
    )
    return f"coalesce(({told}) AND NOT {note(part)}, false)"


def note(part: str) -> str:
    """Whether a part is a note."""
    return _is(part, "LIKE 'note%'")


def assignment(part: str) -> str:
    """Whether a part assigns the conversation."""
    return _is(part, "LIKE '%assign%'")


def reopen(part: str) -> str:
    """Whether a part opens the conversation again."""
    return _is(part, "= 'open'", "LIKE '%reopen%'")


def close(part: str) -> str:
    """Whether a part closes the conversation."""
    return _is(part, "LIKE 'close%'")


def snooze(part: str) -> str:
    """Whether a part snoozes the conversation."""
    return _is(part, "= 'snoozed'")


def _is(part: str, *conditions: str) -> str:
    kind = f"coalesce({part}.part_type, '')"
    return f"({' OR '.join(f'{kind} {condition}' for condition in conditions)})"


def order(part: str) -> str:
    """The order of a conversation's parts: by time, then numeric ids by value, others as text."""
    is_number = f"translate({part}.id, '0123456789', '') = '' AND length({part}.id) <= {LONGEST}"
    number = f"CASE WHEN {is_number} AND {part}.id <> '' THEN {part}.id::numeric END"
    return f'{part}.created_at, {number}, {part}.id COLLATE "C"'


def seconds(since: str, until: str) -> str:
    """Whole seconds from one instant to another; null where that would be less than none."""
    passed = f"floor(extract(epoch FROM {until} - {since}))"
    return f"CASE WHEN {until} >= {since} THEN {passed}::bigint END"


def ai_outcome(conversation: str) -> str:
    """How the part of an AI agent that took part ended."""
    state = f"{conversation}.ai_agent_resolution_state"
    return (
        f"CASE WHEN NOT coalesce({conversation}.ai_agent_participated, false) THEN NULL"
        f" WHEN {state} IN ('confirmed_resolution', 'assumed_resolution') THEN 'resolved'"
        f" WHEN {state} IN ('escalated', 'negative_feedback', 'procedure_handoff',"
        f" 'routed_to_team') THEN 'escalated' ELSE 'unresolved' END"
    )


def median(value: str, filtered: str = "") -> str:
    """The median of whole seconds, rounded down."""
    found = f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {value}){filtered}"
    return f"floor({found})::bigint"
