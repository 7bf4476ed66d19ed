"""What is acknowledged, and how what was fetched is read."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from contracts.settings import KafkaSettings
from streams.consuming import Stretch, end_without_gap, leave_as_parsed, run_of
from streams.durable import new_app
from streams.runs import Message

PLACE = TopicPartition("events", 0)


def new_consumer() -> Any:
    """Of an app that is never started, in generation 1, with offset 100 committed."""
    app = new_app("test", KafkaSettings())
    consumer = app.consumer
    app.consumer_generation_id = 1
    consumer._committed_offset[PLACE] = 100
    return consumer


@dataclass(eq=False)
class Taken:
    """What Faust knows as a message, as far as it is looked at."""

    value: Stretch
    generation_id: int
    tp: TopicPartition = PLACE
    acked: bool = False


def stretch(offsets: range, *, is_done: bool = True, generation: int = 1) -> Taken:
    """A stretch of these offsets."""
    value = Stretch()
    value.offsets, value.is_done = offsets, is_done
    return Taken(value, generation)


def test_what_is_committed_is_what_was_done_without_a_gap() -> None:
    """In whatever order stretches are done, and however often: as offset by offset."""
    for seed in range(300):
        chosen = random.Random(seed)
        starts = [chosen.randrange(95, 140) for _ in range(chosen.randrange(8))]
        done = [range(start, start + chosen.randrange(1, 12)) for start in starts]
        offsets = {offset for some in done for offset in some}
        end = next(offset for offset in range(100, 200) if offset not in offsets)
        found = end_without_gap(sorted(done, key=lambda some: some.start), 100)
        assert found == (end if end > 100 else None), f"seed {seed}"


async def test_stretches_are_acknowledged_when_done_and_committed_up_to_the_first_gap() -> None:
    """A stretch that was cut short, or is of another generation, is not."""
    consumer = new_consumer()
    assert not consumer.ack(stretch(range(100, 110), is_done=False))
    assert not consumer.ack(stretch(range(100, 110), generation=0))
    assert consumer._new_offset(PLACE) is None
    consumer.ack(stretch(range(110, 120)))
    assert consumer._new_offset(PLACE) is None
    consumer.ack(stretch(range(100, 110)))
    assert consumer._new_offset(PLACE) == 120


async def test_a_commit_that_failed_is_made_up_for_by_the_next_one() -> None:
    """What was done stays known until Kafka has it committed."""
    consumer = new_consumer()
    consumer.ack(stretch(range(100, 110)))
    assert [consumer._new_offset(PLACE), consumer._new_offset(PLACE)] == [110, 110]
    consumer._committed_offset[PLACE] = 110
    consumer.ack(stretch(range(110, 120)))
    assert (consumer._new_offset(PLACE), consumer._acked[PLACE]) == (120, [range(110, 120)])


def test_what_was_fetched_can_be_left_as_it_was_parsed() -> None:
    """An object fewer for each record; it has all that a run needs."""
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000)
    batch.append(0, timestamp=5, key=None, value=b"some", headers=[("a", b"b")])
    batch.append(1, timestamp=6, key=b"key", value=None, headers=[])
    records = MemoryRecords(bytes(batch.build()))
    parts = PartitionRecords(PLACE, records, [], 0, None, None, True, 0)
    fetched = FetchResult(PLACE, assignment=None, partition_records=parts, backoff=0)
    leave_as_parsed([fetched, FetchError(error=ValueError(), backoff=0)])
    found = list(fetched._partition_records)
    assert {type(record).__name__ for record in found} == {"DefaultRecord"}
    assert list(run_of(PLACE, found)) == [
        Message("events", 0, 0, 5, {"a": b"b"}, b"some"),
        Message("events", 0, 1, 6, {}, b""),
    ]
