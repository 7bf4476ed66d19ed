"""States are held as objects while there is room."""

from __future__ import annotations

from streams.judge.service_state import ServiceState
from streams.state import DecodedStates


def _state(name: str) -> ServiceState:
    return ServiceState(service=name)


def test_what_was_not_used_for_longest_makes_room() -> None:
    """By the size of the bytes, whatever the number."""
    held, states = DecodedStates(room=100), {name: _state(name) for name in "abc"}
    for name in "ab":
        held.hold(name.encode(), 1, states[name], size=40)
    assert held.get(b"a", 1) is states["a"]
    held.hold(b"c", 1, states["c"], size=60)
    assert held.get(b"b", 1) is None
    assert held.get(b"a", 1) is states["a"]
    assert held.get(b"c", 1) is states["c"]


def test_a_state_is_held_in_one_version() -> None:
    """Another worker may have written another one; and a newer one takes the place of the older."""
    held, old, new = DecodedStates(room=100), _state("a"), _state("a")
    held.hold(b"a", 1, old, size=60)
    assert held.get(b"a", 2) is None
    held.hold(b"a", 2, new, size=60)
    assert held.get(b"a", 2) is new
    assert held.get(b"a", 1) is None


def test_what_is_larger_than_the_room_is_not_held() -> None:
    """And leaves no room for others, nor takes any of it afterwards."""
    held, small = DecodedStates(room=100), _state("b")
    held.hold(b"a", 1, _state("a"), size=101)
    assert held.get(b"a", 1) is None
    held.hold(b"b", 1, small, size=100)
    assert held.get(b"b", 1) is small


def test_a_state_that_was_dropped_takes_no_room() -> None:
    """It is being worked on."""
    held = DecodedStates(room=100)
    for version in range(5):
        held.hold(b"a", version, _state("a"), size=80)
        held.drop(b"a")
        held.drop(b"a")
    b, c = _state("b"), _state("c")
    held.hold(b"b", 1, b, size=50)
    held.hold(b"c", 1, c, size=50)
    assert held.get(b"b", 1) is b
    assert held.get(b"c", 1) is c
