"""The simulator's lagging index, under random changes, against a plain model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.simulator.records.shelf import INDEXED, Item, Shelf

CHANGES = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["user", "lead"]),
        st.integers(0, 5),
        st.booleans(),
        st.integers(0, 8),
        st.booleans(),
    ),
    max_size=160,
)


def item(number: int, group: str, updated_at: int, shown: bool) -> Item:
    return Item(f"id{number:02d}", group, number % 3, updated_at, b"{}", shown=shown)


@settings(max_examples=120, deadline=None)
@given(CHANGES)
def test_an_index_is_what_was_visible_and_sorted(changes):
    shelf = Shelf(item(number, "user", 0, True) for number in range(6))
    for field in INDEXED:
        shelf.index(field, "user")
    visible = {f"id{number:02d}": (-1, "user", 0) for number in range(6)}
    pending: list[tuple[float, int, str, tuple[int, str, int] | None]] = []
    applied: dict[str, int] = {}
    for now, (number, group, updated_at, shown, lag, dropped) in enumerate(changes):
        new = item(number, group, updated_at, shown)
        if dropped:
            shelf.drop(new.id, now + lag)
        else:
            shelf.put(new, now + lag)
        kept = (now, group, updated_at) if shown and not dropped else None
        pending.append((now + lag, now, new.id, kept))
        shelf.settle(now)
        for change in [one for one in pending if one[0] <= now]:
            pending.remove(change)
            _, sequence, id, state = change
            if sequence < applied.get(id, -1):
                continue
            applied[id] = sequence
            visible.pop(id, None)
            if state is not None:
                visible[id] = state
    for group in ("user", "lead"):
        expected = sorted((state[2], id) for id, state in visible.items() if state[1] == group)
        assert [entry[:2] for entry in shelf.index("updated_at", group)] == expected
        assert [entry[0] for entry in shelf.index("id", group)] == sorted(id for _, id in expected)
