"""When a process that still runs is replaced, and when it is left alone."""

from __future__ import annotations

import pytest

from coalmine.stack.health import Level, process_health
from coalmine.stack.ports import free_port
from coalmine.stack.watchdog import Finding, Watchdog, ask
from contracts.clock import ManualClock
from health.address import Address
from health.metrics import new_registry
from health.server import serve
from health.vitals import Vitals

_WELL = Finding(is_heard=True)
_SILENT = Finding(is_heard=False)
_STUCK = Finding(is_heard=True, stuck=("judge_rollouts",))


def _looks(dog: Watchdog, found: Finding, seconds: range) -> list[str]:
    return [dog.note(found, now_s=second) for second in seconds]


def test_a_silent_process_is_replaced_after_half_a_minute() -> None:
    """Not earlier, and the reason says for how long it was silent."""
    dog = Watchdog(started_s=0)
    dog.note(_WELL, now_s=100)
    assert not any(_looks(dog, _SILENT, range(105, 131, 5)))
    assert dog.unwell == "has not answered for 30 s"
    assert dog.note(_SILENT, now_s=135) == "has not answered for 35 s"


def test_one_answer_begins_the_patience_anew() -> None:
    """A slow process is not a dead one."""
    dog = Watchdog(started_s=0)
    for minute in range(1, 10):
        dog.note(_WELL, now_s=60 * minute)
        assert not any(_looks(dog, _SILENT, range(60 * minute + 5, 60 * minute + 30, 5)))
    dog.note(_WELL, now_s=600)
    assert dog.unwell == ""


def test_a_start_has_more_time() -> None:
    """What has never answered is starting, for three minutes."""
    dog = Watchdog(started_s=1000)
    assert not any(_looks(dog, _SILENT, range(1005, 1181, 5)))
    assert dog.unwell == ""
    assert dog.note(_SILENT, now_s=1185)


def test_a_supervisor_that_was_held_up_does_not_blame_its_processes() -> None:
    """An hour's gap between two looks is no hour of silence."""
    dog = Watchdog(started_s=0)
    dog.note(_WELL, now_s=10)
    assert not any(_looks(dog, _SILENT, range(3600, 3604, 2)))
    assert dog.note(_WELL, now_s=3606) == ""


def test_a_process_that_says_it_is_stuck_is_believed_the_second_time() -> None:
    """It knows its own limits; one look may have met a passing moment."""
    dog = Watchdog(started_s=0)
    assert _looks(dog, _STUCK, range(10, 11)) == [""]
    assert dog.unwell == "stands still: judge_rollouts"
    assert dog.note(_WELL, now_s=12) == ""
    assert _looks(dog, _STUCK, range(14, 18, 2)) == ["", "stands still: judge_rollouts"]


def test_a_health_port_is_asked_as_it_answers() -> None:
    """Well, stuck, not ready and silent are told apart, for the watchdog and for doctor."""
    clock = ManualClock()
    vitals = Vitals(clock)
    is_connected = False
    vitals.need("kafka answers", lambda: is_connected)
    vitals.pulse("reading", 10).beat()
    with serve(Address("127.0.0.1", 0), vitals, new_registry()) as port:
        assert port is not None
        assert ask(port) == _WELL
        assert ask(port, "/readyz").missing == ("kafka answers",)
        assert process_health("agent", port).level is Level.WARN
        is_connected = True
        assert process_health("agent", port).level is Level.OK
        vitals.warn("policies are refused", lambda: "a.yaml is broken")
        assert process_health("agent", port).level is Level.WARN
        assert "ready, but policies are refused: a.yaml" in process_health("agent", port).found
        clock.advance(11)
        assert ask(port).stuck == ("reading",)
        assert process_health("agent", port).level is Level.FAIL
    assert ask(port) == _SILENT
    assert "no answer" in process_health("agent", port).found


@pytest.mark.parametrize("path", ["/metrics", "/nothing"])
def test_an_answer_that_is_not_of_health_is_silence(path: str) -> None:
    """Something else may listen on a port that a process has left."""
    with serve(Address("127.0.0.1", 0), Vitals(), new_registry()) as port:
        assert ask(port or free_port(), path) == _SILENT
