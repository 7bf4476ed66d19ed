"""The aggregate stage beside itself: the next messages are counted before Kafka has the last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from contracts import topics
from contracts.policy import Policies
from contracts.records import RecordKind
from contracts.results import Partial, decode_partial
from streams.aggregating import Aggregation
from streams.messages import Message
from streams.outlet import Result
from streams.services import KnownServices
from streams.tables import DurableTable
from tests.support.tables import table_alone
from tests.support.telemetry import batch_message, events

pytestmark = pytest.mark.timeout(20)  # who waits for what never comes waits for ever

START_MS = 1_700_000_000_000
EVENTS = topics.EVENTS.name


class _Outlet:
    """What was sent; Kafka has it when a test says so."""

    def __init__(self) -> None:
        self.sent: list[Partial] = []
        self.under_way: list[asyncio.Future[None]] = []

    async def send(self, results: Iterable[Result]) -> list[asyncio.Future[None]]:
        futures = []
        for topic, service, value in results:
            assert topic is topics.PARTIALS
            assert isinstance(value, bytes)
            self.sent.append(decode_partial(value))
            assert self.sent[-1].service == service
            futures.append(asyncio.get_running_loop().create_future())
        self.under_way += futures
        return futures

    def acknowledge(self) -> None:
        for future in self.under_way:
            future.set_result(None)
        self.under_way.clear()

    @property
    def places(self) -> list[tuple[int, int]]:
        """Partition and last offset of what each partial counts."""
        sources = [one.source for one in self.sent]
        return [(source.partition, source.offset) for source in sources if source]


@pytest.fixture
def outlet() -> _Outlet:
    """Where the stage sends."""
    return _Outlet()


@pytest.fixture
def fences(monkeypatch: pytest.MonkeyPatch) -> DurableTable:
    """The fences of the stage."""
    return table_alone("fences", monkeypatch)


@pytest.fixture
def stage(outlet: Any, fences: DurableTable, monkeypatch: pytest.MonkeyPatch) -> Aggregation:
    """Of events."""
    known = KnownServices(table_alone("services", monkeypatch), Policies())
    return Aggregation(RecordKind.EVENTS, fences, known, outlet, Policies())


def _message(partition: int, offset: int, seq: int, service: str = "checkout") -> Message:
    """A batch of ten events of the partition's agent."""
    made: list[Any] = [*events(seq, service, "1", second_ms=START_MS, count=10)]
    _, value, headers = batch_message(RecordKind.EVENTS, f"agent-{partition}", seq, made)
    return Message(EVENTS, partition, offset, START_MS + 1000, dict(headers), value)


async def test_what_an_agent_sends_again_counts_once_before_its_fence_is_set(
    stage: Aggregation, outlet: _Outlet, fences: DurableTable
) -> None:
    """The fence is set when Kafka has the partials, and not before."""
    first = await stage.handle([_message(0, 10, seq=1)])
    again = await stage.handle([_message(0, 11, seq=1)])
    assert outlet.places == [(0, 10)]

    ending = asyncio.create_task(first())
    await asyncio.sleep(0.01)
    assert fences.version_of(b"coalmine.events/agent-0") == -1
    outlet.acknowledge()
    assert await ending == []
    assert fences.version_of(b"coalmine.events/agent-0") == 1
    assert await again() == []
    await stage.handle([_message(0, 12, seq=1)])
    assert outlet.places == [(0, 10)]


async def test_a_later_batch_is_fenced_by_its_own_number_when_an_earlier_one_ends(
    stage: Aggregation, outlet: _Outlet, fences: DurableTable
) -> None:
    """The end of the first one leaves what is known of the second one."""
    endings = [await stage.handle([_message(0, 10, seq=1)])]
    counting = asyncio.create_task(stage.handle([_message(0, 11, seq=2)]))
    await asyncio.sleep(0.01)
    outlet.acknowledge()
    endings.append(await counting)
    await endings[0]()
    await stage.handle([_message(0, 12, seq=2)])
    assert outlet.places == [(0, 10), (0, 11)]
    outlet.acknowledge()
    await endings[1]()
    assert fences.version_of(b"coalmine.events/agent-0") == 2


async def test_of_a_partition_nothing_is_sent_before_kafka_has_what_came_before(
    stage: Aggregation, outlet: _Outlet
) -> None:
    """Or a judge might have a gap; other partitions go on."""
    await stage.handle([_message(0, 10, seq=1)])
    waiting = asyncio.create_task(stage.handle([_message(0, 11, seq=2)]))
    await stage.handle([_message(1, 5, seq=1)])
    await asyncio.sleep(0.01)
    assert outlet.places == [(0, 10), (1, 5)]
    assert not waiting.done()
    outlet.acknowledge()
    await waiting
    assert outlet.places == [(0, 10), (1, 5), (0, 11)]


async def test_partitions_take_turns(
    stage: Aggregation, outlet: _Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one partition gave is with Kafka while another one is counted."""
    monkeypatch.setattr("streams.aggregating.STRETCH_BYTES", 1)  # each message is a stretch
    stage._stretch_bytes = 1
    messages = [_message(number, 10 + seq, seq) for number in (0, 1) for seq in range(3)]
    counting = asyncio.create_task(stage.handle(messages))
    while not counting.done():
        outlet.acknowledge()
        await asyncio.sleep(0)
    assert outlet.places == [(0, 10), (1, 10), (0, 11), (1, 11), (0, 12), (1, 12)]


async def test_what_kafka_refuses_ends_without_a_fence(
    stage: Aggregation, outlet: _Outlet, fences: DurableTable
) -> None:
    """So that the messages come again."""
    ending = await stage.handle([_message(0, 10, seq=1)])
    outlet.under_way[0].set_exception(OSError("refused"))
    with pytest.raises(OSError, match="refused"):
        await ending()
    assert fences.version_of(b"coalmine.events/agent-0") == -1
