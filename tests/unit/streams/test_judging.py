"""The judge stage between its topics and its table: when a service that seems quiet is told so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from contracts import topics
from contracts.policy import Policies
from contracts.results import Partial, Source
from streams import judging
from streams.judge.service_state import ServiceState
from streams.judging import BEATEN_MS, Judging
from streams.messages import Message
from streams.outlet import Result
from streams.state import DecodedStates, decode_state, encode_state
from tests.support.judge import BASELINE, Judge, heartbeat
from tests.support.partials import Traffic


class _Table:
    """The table's interface over a dict."""

    assignments = 1

    def __init__(self, state: ServiceState) -> None:
        self._values = {state.service.encode(): (encode_state(state), state.version)}

    def own_keys(self) -> list[bytes]:
        return list(self._values)

    def value_of(self, key: bytes) -> bytes | None:
        return self._values[key][0] if key in self._values else None

    def version_of(self, key: bytes) -> int:
        return self._values[key][1]

    async def put(self, key: bytes, value: bytes, *, version: int, partition: int) -> None:
        assert partition == 0
        self._values[key] = (value, version)


class _Outlet:
    """What is published, as the topic would have it."""

    def __init__(self) -> None:
        self.heartbeats: list[Message] = []

    async def publish(self, results: Iterable[Result]) -> None:
        for topic, key, value in results:
            if topic is topics.PARTIALS:
                assert key == "checkout"
                assert isinstance(value, Partial)
                assert value.source is None
                body = msgspec.json.encode(value)
                self.heartbeats.append(Message(topic.name, 0, 0, value.sent_at, {}, body))


def _quiet() -> ServiceState:
    """A service that has a window to write and nothing more to say."""
    judge = Judge()
    judge.run(Traffic(), range(3), [BASELINE])
    assert judge.state.is_pending
    return judge.state


def test_a_service_has_one_heartbeat_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more comes only once it was handled, or is so old that another worker has it."""
    state = _quiet()
    now = state.heard_at + 60_000
    monkeypatch.setattr(judging, "_now_ms", lambda: now)
    outlet: Any = _Outlet()
    table: Any = _Table(state)
    rereader: Any = None
    stage = Judging(table, outlet, Policies(), rereader)

    async def live() -> None:
        nonlocal now
        for _ in range(5):
            await stage.beat()
            now += 500
        assert len(outlet.heartbeats) == 1
        now += BEATEN_MS
        await stage.beat()
        assert len(outlet.heartbeats) == 2
        assert await stage.handle(outlet.heartbeats) == []
        await stage.beat()
        assert len(outlet.heartbeats) == 2, "nothing is pending any more"

    asyncio.run(live())


def test_a_heartbeat_that_another_worker_may_have_heard_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A partition was another's for a moment: what this worker sent meanwhile never comes back."""
    state = _quiet()
    monkeypatch.setattr(judging, "_now_ms", lambda: state.heard_at + 60_000)
    outlet: Any = _Outlet()
    table: Any = _Table(state)
    rereader: Any = None
    stage = Judging(table, outlet, Policies(), rereader)

    async def live() -> None:
        await stage.beat()
        await stage.beat()
        assert len(outlet.heartbeats) == 1
        table.assignments += 2
        await stage.beat()
        await stage.beat()
        assert len(outlet.heartbeats) == 2

    asyncio.run(live())


def test_a_heartbeat_that_was_handled_and_overtaken_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that what is pending is judged as soon as the service really is quiet."""
    state = _quiet()
    now = state.heard_at + 60_000
    monkeypatch.setattr(judging, "_now_ms", lambda: now)
    outlet: Any = _Outlet()
    table: Any = _Table(state)
    rereader: Any = None
    stage = Judging(table, outlet, Policies(), rereader)
    old = Partial(service="checkout", sent_at=state.heard_at - 1)

    async def live() -> None:
        await stage.beat()
        body = msgspec.json.encode(old)
        await stage.handle([Message(topics.PARTIALS.name, 0, 1, old.sent_at, {}, body)])
        await stage.beat()
        assert len(outlet.heartbeats) == 2

    asyncio.run(live())


def test_a_service_that_waits_for_nothing_is_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it is heard of: there may be thousands of them, and a look at each every second."""
    judge = Judge()
    judge.run(Traffic(), range(3), [BASELINE])
    judge.hear(heartbeat(judge.state.heard_at + 60_000))
    assert not judge.state.is_pending
    now = judge.state.heard_at + 120_000
    monkeypatch.setattr(judging, "_now_ms", lambda: now)
    outlet: Any = _Outlet()
    table: Any = _Table(judge.state)
    rereader: Any = None
    stage = Judging(table, outlet, Policies(), rereader)
    looks = 0

    def looked_at(value: bytes) -> ServiceState:
        nonlocal looks
        looks += 1
        return decode_state(value)

    monkeypatch.setattr(judging, "decode_state", looked_at)
    monkeypatch.setattr(DecodedStates, "get", lambda *_: None)

    async def live() -> None:
        nonlocal now
        for _ in range(3):
            await stage.beat()
            now += 1_000
        assert looks == 1
        assert outlet.heartbeats == []
        [told] = Traffic(seed=2, start=Traffic().start + 60_000).second(0, [BASELINE])
        told.source = Source(topic="coalmine.events", partition=1, offset=0)
        body = msgspec.json.encode(told)
        await stage.handle([Message(topics.PARTIALS.name, 0, 2, told.sent_at, {}, body)])
        await stage.beat()
        assert outlet.heartbeats == [], "it is not quiet"
        now += 60_000
        await stage.beat()
        assert len(outlet.heartbeats) == 1

    asyncio.run(live())
