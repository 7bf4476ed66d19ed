"""What a Faust worker reads: fetched at once, in turn, and acknowledged when it was done.

Faust's price is per message, so what was fetched of a partition goes through it as one, a
``Stretch``. And it is kept from losing, repeating or delaying messages:

- it long-polls for 1.5 s, which stalls busy partitions that share a broker with an idle one: 50 ms
  here; and where a stream agent's queue is full it polls the idle partitions for a second before it
  looks again: ``PromptConsumer`` goes on when there is room;
- after a rebalance it resumes partitions before it has found their committed offsets, and can lose
  the message that is in a queue meanwhile; where nothing was committed yet it does not go back at
  all: ``PromptConsumer.perform_seek`` stops the flow, and goes back everywhere. Whatever comes
  out of turn all the same is fetched again;
- its ``take`` acknowledges what it gave out even if that was cut short: ``batches`` does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any

import structlog
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver

from streams.runs import NO_HEADERS, Run, Runs

log = structlog.get_logger()

FETCH_MAX_WAIT_MS = 50
FETCH_BYTES = 4_000_000
"""Of one partition that are fetched ahead; a message that is larger comes by itself."""
FIRST_POLL_MESSAGES = 100
POLL_MESSAGES = 4_000
POLL_BYTES = 4_000_000
"""Of messages that are read at once, about: what is fetched waits compressed until then."""


class PromptConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    """Fetches with a short wait, and leaves records as they were parsed; no setting does."""

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - Faust has no types
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - no public way
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Faust has no types
        waiting = consumer._fetcher._records  # noqa: SLF001 - no public way
        leave_as_parsed(waiting.values())
        found = await super()._fetch_records(consumer, *args, **options)
        for place in [place for place in waiting if place in found]:
            waiting.move_to_end(place)  # it is the others' turn: aiokafka would read it to its end
        return found


class PromptConsumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    """A consumer whose thread is ``PromptConsumerThread``, and that seeks with its flow stopped."""

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Faust has no types
        super().__init__(*args, **options)
        self._next: dict[Any, int] = {}
        """Offset of the message of each partition that comes next."""
        self._missing: dict[Any, int] = {}
        """Where a partition was sought for messages that did not come."""
        self._has_room = asyncio.Event()
        """Set when a stream agent's full queue has room again."""

    def on_buffer_full(self, tp: Any) -> None:  # noqa: ANN401 - Faust has no types
        """A queue is full: none of the partitions that go into it is read until it has room.

        Faust leaves out the one whose message came last, and until the others are read to their
        ends: they keep the queue full.
        """
        for place in self._beside(tp):
            super().on_buffer_full(place)

    def on_buffer_drop(self, tp: Any) -> None:  # noqa: ANN401 - Faust has no types
        """A queue that was full has room."""
        for place in self._beside(tp):
            super().on_buffer_drop(place)
        self._has_room.set()

    def _beside(self, tp: Any) -> list[Any]:  # noqa: ANN401 - Faust has no types
        """The partitions of its topic, whose messages go into the same queue."""
        return [place for place in self.assignment() if place.topic == tp.topic]

    async def perform_seek(self) -> None:
        """Seek to the committed offsets before any message is given out; recovery resumes the flow.

        Faust resumes the partitions first, so that messages reach the queues while it still seeks;
        it then clears the queues, but remembers what stood in them as read: a message is lost.
        And aiokafka leaves the partitions of which nothing is committed where they were read to.
        """
        self.stop_flow()
        await super().perform_seek()
        places = self.assignment()
        starts = {p: self._committed_offset[p] for p in places if self._committed_offset[p]}
        if uncommitted := [place for place in places if place not in starts]:
            earliest = await self.earliest_offsets(*uncommitted)
            for place, offset in earliest.items():
                await self.seek(place, offset)
            starts |= earliest
        self._next = starts

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        """What was fetched, each partition's messages as one: Faust's price is per message."""
        records, active = await self._next_records(timeout)
        found = {place: run_of(place, some) for place, some in (records or {}).items() if some}
        self._bound_next_poll(found.values())
        fetched = {}
        for place, run in found.items():
            if await self._is_in_turn(place, run.offsets[0]):
                fetched[place] = [_as_one(run, self._next.get(place))]
                self._next[place] = run.offsets[-1] + 1
        return fetched, active

    def _bound_next_poll(self, found: Collection[Run]) -> None:
        """Read as many messages next time as would have ``POLL_BYTES`` if they are like these."""
        if size := sum(run.size_bytes for run in found):
            most = max(1, min(POLL_MESSAGES, POLL_BYTES * sum(map(len, found)) // size))
            self._thread._consumer._max_poll_records = most  # noqa: SLF001 - no public way

    async def _next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        """Faust's own, but for partitions whose queue is full: they go on when it has room.

        Faust leaves them out of the poll and waits for the others, for a second if they are idle.
        """
        if not (self.flow_active and self._buffered_partitions):
            records, active = await super()._wait_next_records(timeout)
            return records, active
        self._has_room.clear()
        active = self._get_active_partitions()
        records = await self._getmany(active, timeout=0.0) if active else {}
        if not records:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_room.wait(), FETCH_MAX_WAIT_MS / 1000)
        return records, active

    async def _is_in_turn(self, place: Any, first: int) -> bool:  # noqa: ANN401 - Faust has no types
        """Whether no message before ``first`` is missing; sought for once, it is gone from the log.

        What was fetched before a seek may come after it, and what was given out may have been
        dropped: whoever counted the later messages would fence the earlier ones as known.
        """
        start = self._next.get(place, first)
        if first <= start or self._missing.pop(place, None) == start:
            return True
        log.warning("fetched_out_of_turn", place=f"{place.topic}/{place.partition}", start=start)
        self._missing[place] = start
        await self.seek(place, start)
        return False

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:  # noqa: ANN401 - Faust has no types
        """Nothing: what seems to be missing is inside a stretch, and acknowledged with it.

        Faust counts a gap as acknowledged as soon as something in or behind it is, also if the
        messages are fetched again after a rebalance and cut elsewhere: they would be lost.
        """

    def ack(self, message: Any) -> bool:  # noqa: ANN401 - Faust has no types
        """Acknowledge the messages of a stretch that was done, in the generation it was read in.

        Faust also calls this for what it skips while partitions change hands.
        """
        stretch = message.value
        if not isinstance(stretch, Stretch):
            return bool(super().ack(message))
        if not stretch.is_done or message.generation_id != self.app.consumer_generation_id:
            return False
        self._acked[message.tp].append(stretch.offsets)
        self._n_acked += len(stretch.offsets)
        self._unacked_messages.discard(message)
        message.acked = True
        return True

    def _new_offset(self, tp: Any) -> int | None:  # noqa: ANN401 - Faust has no types
        """The offset to commit, if there is one: where what was done ends to be without a gap."""
        committed = self._committed_offset[tp]
        done = sorted(self._acked[tp], key=lambda offsets: offsets.start)
        self._acked[tp] = [offsets for offsets in done if offsets.stop > (committed or 0)]
        return end_without_gap(self._acked[tp], committed)


def end_without_gap(done: Iterable[range], committed: int | None) -> int | None:
    """Where ranges of offsets end to follow one another, from the committed offset on.

    Args:
        done: ordered by their starts.
        committed: the offset that was committed; without one, the first range's start is it.

    >>> end_without_gap([range(3, 7), range(7, 9), range(10, 12)], 3)
    9
    >>> end_without_gap([range(3, 7)], 2), end_without_gap([], None)
    (None, None)
    """
    end = committed
    for offsets in done:
        if end is not None and offsets.start > end:
            break
        end = offsets.stop if end is None else max(end, offsets.stop)
    return None if end == committed else end


class Stretch(bytes):
    """Messages of one partition that go through Faust as the value of one."""

    messages: Run
    offsets: range
    """All that is acknowledged with it: also what is missing in the log before it."""
    is_done: bool = False


def leave_as_parsed(fetched: Iterable[Any]) -> None:
    """Have what aiokafka fetched read as its parser gives it: that is all a ``Run`` needs.

    A ``ConsumerRecord`` of each costs as much as parsing it. What arrives later becomes one all the
    same; both have the same names.
    """
    for one in fetched:
        records = getattr(one, "_partition_records", None)  # none of an error
        if records is not None:
            records._consumer_record = _as_parsed  # noqa: SLF001 - no public way


def _as_parsed(_place: object, record: Any) -> Any:  # noqa: ANN401 - aiokafka has no types
    return record


def run_of(place: Any, records: Sequence[Any]) -> Run:  # noqa: ANN401 - aiokafka has no types
    """The records of one partition, as they were parsed or not."""
    return Run(
        place.topic,
        place.partition,
        [record.offset for record in records],
        [record.timestamp for record in records],
        [dict(headers) if (headers := record.headers) else NO_HEADERS for record in records],
        [record.value or b"" for record in records],
    )


def _as_one(run: Run, start: int | None) -> ConsumerRecord[bytes, bytes]:
    first, last = run.offsets[0], run.offsets[-1]
    whole = Stretch()
    whole.offsets = range(first if start is None else min(first, start), last + 1)
    whole.messages = run
    arrival = run.timestamps[-1]
    return ConsumerRecord(
        run.topic, run.partition, last, arrival, 0, None, whole, None, -1, run.size_bytes, ()
    )


class Batch(Runs):
    """Messages of any partitions, as they came, to be acknowledged when all they ask for is done.

    Args:
        stream: they came from.
        events: Faust's, each with a ``Stretch``.
    """

    def __init__(self, stream: Any, events: Sequence[Any]) -> None:  # noqa: ANN401 - Faust has no types
        super().__init__([event.message.value.messages for event in events])
        self._stream = stream
        self._events = events

    async def acknowledge(self) -> None:
        """Have their offsets committed; those of a partition in the order in which they came."""
        for event in self._events:
            event.message.value.is_done = True
            await self._stream.ack(event)


async def batches(stream: Any, most: int, within_s: float) -> AsyncIterator[Batch]:  # noqa: ANN401 - Faust has no types
    """Messages as they come, which whoever takes them acknowledges.

    Faust's own ``take`` acknowledges also what was cut short by the end of the process.

    Args:
        stream: of topics of ours.
        most: stretches to wait for.
        within_s: how long to wait for them.
    """
    async for events in stream.noack_take(most, within=within_s):
        yield Batch(stream, events)
