"""Alive, ready, and what the health port says about it."""

from __future__ import annotations

import http.client
import json
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from contracts.clock import ManualClock
from contracts.errors import ConfigError
from health.address import Address
from health.metrics import OTHER, Bounded, new_registry
from health.server import answer, serve
from health.vitals import Vitals

_HERE = "127.0.0.1"


def _get(port: int | None, path: str, method: str = "GET") -> tuple[int, str]:
    assert port is not None
    connection = http.client.HTTPConnection(_HERE, port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_a_loop_that_stands_still_is_stuck_only_while_it_is_due() -> None:
    """Before its first beat, at rest, and within its limit a loop may stand still."""
    clock = ManualClock()
    vitals = Vitals(clock)
    loop = vitals.pulse("reading", limit_s=10)
    clock.advance(100)
    assert vitals.stuck() == []  # it has not begun
    loop.beat()
    clock.advance(10)
    assert vitals.stuck() == []
    clock.advance(0.1)
    assert vitals.stuck() == ["reading"]
    loop.beat()
    assert vitals.stuck() == []
    loop.rest()
    clock.advance(100)
    assert (vitals.stuck(), vitals.still_s()) == ([], {"reading": 0.0})


def test_an_excuse_gives_time_but_wakes_nobody() -> None:
    """A loop that waits for a server which is away is not stuck; one at rest stays at rest."""
    clock = ManualClock()
    vitals = Vitals(clock)
    waiting, resting = vitals.pulse("waiting", 10), vitals.pulse("resting", 10)
    waiting.beat()
    for _ in range(3):
        clock.advance(8)
        waiting.excuse()
        resting.excuse()
    assert vitals.stuck() == []
    clock.advance(11)
    assert vitals.stuck() == ["waiting"]


def test_a_handler_that_raises_is_not_stuck() -> None:
    """The context ends with the work, however it ends."""
    clock = ManualClock()
    vitals = Vitals(clock)
    pulse = vitals.pulse("handling", 10)
    with pytest.raises(ValueError, match="bad"), pulse:
        raise ValueError("bad")
    clock.advance(11)
    assert vitals.stuck() == []


def test_the_answers_follow_pulses_and_needs() -> None:
    """Alive and ready are different things, and each refusal names its cause."""
    clock = ManualClock()
    vitals = Vitals(clock)
    registry = CollectorRegistry()
    is_connected = False
    vitals.need("kafka answers", lambda: is_connected)
    vitals.pulse("reading", 10).beat()
    assert answer("/healthz", vitals, registry).status == 200
    away = answer("/readyz", vitals, registry)
    assert (away.status, json.loads(away.body)["missing"]) == (503, ["kafka answers"])
    is_connected = True
    vitals.warn("policies are refused", lambda: "a.yaml is broken")
    ready = answer("/readyz?verbose", vitals, registry)
    assert (ready.status, json.loads(ready.body)["warnings"]) == (
        200,
        ["policies are refused: a.yaml is broken"],
    )
    clock.advance(11)
    for path in ("/healthz", "/readyz"):
        stuck = answer(path, vitals, registry)
        assert (stuck.status, json.loads(stuck.body)["stuck"]) == (503, ["reading"])
    assert answer("/", vitals, registry).status == 404


def test_the_port_serves_all_three_and_closes() -> None:
    """Metrics are what prometheus_client's own parser reads; after the context nothing listens."""
    registry = new_registry()
    Counter("coalmine_test_things", "Things.", registry=registry).inc(3)
    vitals = Vitals()
    vitals.pulse("reading", 10).beat()
    with serve(Address(_HERE, 0), vitals, registry) as port:
        status, text = _get(port, "/metrics")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert status == 200
        assert families["coalmine_test_things"].samples[0].value == 3
        assert families["coalmine_health_ready"].samples[0].value == 1
        assert {"process_resident_memory_bytes", "coalmine_build_info"} <= set(families)
        assert not any(name.endswith("_created") for name in families)
        assert _get(port, "/healthz")[0] == 200
        assert _get(port, "/readyz", "HEAD") == (200, "")
        assert _get(port, "/secrets")[0] == 404
        assert _get(port, "/healthz", "POST")[0] == 501
    with pytest.raises(ConnectionRefusedError):
        _get(port, "/healthz")


def test_a_client_that_never_finishes_delays_nobody() -> None:
    """Each connection has a thread and a time limit of its own."""
    with (
        serve(Address(_HERE, 0), Vitals(), new_registry()) as port,
        socket.create_connection((_HERE, port or 0)) as slow,
    ):
        slow.sendall(b"GET /hea")
        assert _get(port, "/healthz")[0] == 200


def test_a_taken_port_is_a_clear_error() -> None:
    """The user is told which port, and why."""
    with socket.socket() as taken:
        taken.bind((_HERE, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"cannot listen .*in use.*{port}"),
            serve(Address(_HERE, port), Vitals(), new_registry()),
        ):
            pytest.fail("nothing can listen there")


def test_without_an_address_nothing_is_served() -> None:
    """A process that was not told of a port opens none."""
    with serve(None, Vitals(), new_registry()) as port:
        assert port is None


def test_labels_are_bounded() -> None:
    """However many values come, and however long they are, a label has a limit."""
    label = Bounded(3)
    seen = {label(str(number)) for number in range(100)} | {label("x" * 1000)}
    assert seen == {"0", "1", "2", OTHER}
