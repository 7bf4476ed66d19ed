"""The aggregate stage: telemetry messages to partials, many messages at once.

Results are acknowledged by Kafka, then the fences of the shipping agents, then the offsets. A crash
in between repeats messages, perhaps cut into other stretches; the judge takes what is new of them.
While Kafka takes the results of a stretch the next one is counted, but of a partition nothing is
sent before they are acknowledged: what the judge has of it never has a gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog

from contracts import topics
from contracts.clock import SystemClock
from contracts.errors import InvalidRecord
from contracts.policy import Policies
from contracts.records import RecordKind
from contracts.results import DeadLetter, Partial, encode_partial
from streams import metrics
from streams.messages import Aggregated, Message, aggregate, refused, unfenced
from streams.outlet import Outlet, Result, count_dead_letters
from streams.runs import Run, by_partition, in_parts
from streams.services import KnownServices
from streams.tables import DurableTable
from streams.windows.labels import fold_services

log = structlog.get_logger()

STRETCH_BYTES = 4_000_000
"""What is counted at once: larger ones cost less an event, but partials must fit into messages."""
STRETCH_CELLS = 10_000
"""What a stretch should give at most, about: a cell takes some kilobytes while it is here."""
_FIRST_BYTES = 500_000
"""Of the first stretch, of which nobody knows how many cells it will give."""
_TURNS = 8
"""Of the event loop, in which what was sent is written: counting would keep it from that."""
_MOST_BYTES = topics.PARTIALS.max_message_bytes - 10_000
"""Of a partial: a message has a key and a head as well."""


Ending = Callable[[], Coroutine[Any, Any, list[str]]]
"""Does what is left to be done with messages; gives the reasons of those that were set aside."""


class _Passed(NamedTuple):
    """The number of an agent's last batch that was counted, and where it came from."""

    seq: int
    partition: int


class _Found(NamedTuple):
    """What one or more messages gave."""

    results: list[Result]
    dead_letters: list[DeadLetter]
    records: int


class Aggregation:
    """Counts the messages of one kind of telemetry."""

    def __init__(
        self,
        kind: RecordKind,
        fences: DurableTable,
        known: KnownServices,
        outlet: Outlet,
        policies: Policies,
    ) -> None:
        self._kind = kind
        self._fences = fences
        self._known = known
        self._outlet = outlet
        self._policies = policies
        self._stretch_bytes = _FIRST_BYTES
        self._sent: dict[int, Sequence[asyncio.Future[Any]]] = {}
        """What each partition's last stretch gave, done when Kafka has it."""
        self._passed: dict[bytes, _Passed] = {}
        """Fences that are not set yet, of messages that were counted."""

    async def handle(self, messages: Sequence[Message]) -> Ending:
        """Count messages of any partitions, in their order, and send what they give.

        Returns:
            What is left to be done with these: it waits for Kafka, sets the fences, and gives the
            reasons of the messages that were set aside. Those of several calls are called in turn.
        """
        found: list[_Found] = []
        sent: list[asyncio.Future[Any]] = []
        passed: dict[bytes, _Passed] = {}
        left: deque[tuple[Sequence[Message], tuple[int, ...]]] = deque()
        for stretch in by_partition(messages):
            first = stretch[0]
            new = unfenced(stretch, partial(self._last_seq, first))
            _tell_duplicates(first, new.fenced)
            left.append((new.messages, new.fenced))
            for agent, seq in new.last_seq.items():
                passed[_fence(first, agent)] = _Passed(seq, first.partition)
        while left:  # partitions in turn: none waits for Kafka to have what it gave before
            waiting, fenced = left.popleft()
            if not waiting:
                continue
            part = next(in_parts(waiting, self._stretch_bytes))
            left.append((waiting[len(part) :], fenced))
            async for one in self._fitting(part, fenced):
                sent += await self._send(part[0].partition, one.results)
                found.append(one._replace(results=[]))
        self._passed |= passed
        return partial(self._end, messages, found, sent, passed)

    async def _send(
        self, partition: int, results: Sequence[Result]
    ) -> Sequence[asyncio.Future[Any]]:
        """Send what a stretch of a partition gives, once Kafka has what the one before it gave."""
        await asyncio.gather(*self._sent.get(partition, ()))
        self._sent[partition] = sent = await self._outlet.send(results)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return sent

    async def _end(
        self,
        messages: Sequence[Message],
        found: Sequence[_Found],
        sent: Sequence[asyncio.Future[Any]],
        passed: Mapping[bytes, _Passed],
    ) -> list[str]:
        await asyncio.gather(*sent)
        await asyncio.gather(
            *(
                self._fences.put(fence, b"", version=seq, partition=partition)
                for fence, (seq, partition) in passed.items()
            )
        )
        for fence, one in passed.items():
            if self._passed[fence] == one:  # no later one is on its way
                del self._passed[fence]
        metrics.RECORDS.labels(self._kind).inc(sum(one.records for one in found))
        letters = [letter for one in found for letter in one.dead_letters]
        count_dead_letters(letters)
        origins = {message.origin for message in messages} if letters else set()
        return [letter.reason for letter in letters if letter.origin in origins]

    async def _fitting(
        self, messages: Sequence[Message], without: tuple[int, ...]
    ) -> AsyncIterator[_Found]:
        """Aggregate a stretch, in halves where its partials would be too large for a message."""
        if not messages:
            return
        counted = [
            await self._bounded(one, messages[-1]) for one in self._counted(messages, without)
        ]
        size = Run.of(messages).size_bytes
        cells = sum(len(one.cells) for found in counted for one in found.partials)
        self._stretch_bytes = stretch_bytes(size, cells)
        partials = [(p.service, _encoded(p)) for one in counted for p in one.partials]
        largest = max((len(text) for _, text in partials), default=0)
        if largest > _MOST_BYTES and len(messages) > 1:
            half = len(messages) // 2
            for some in (messages[:half], messages[half:]):
                async for found in self._fitting(some, without):
                    yield found
            return
        if largest > _MOST_BYTES:
            error = InvalidRecord("too many labels", f"its counts take {largest:,} bytes")
            counted, partials = [refused(messages[0], error)], []
        letters = [letter for one in counted for letter in one.dead_letters]
        results: list[Result] = [
            *((topics.DEADLETTERS, letter.origin, letter) for letter in letters),
            *(
                (topics.CRASH_GROUPS, seen.service, seen)
                for one in counted
                for seen in one.sightings
            ),
            *((topics.PARTIALS, service, text) for service, text in partials),
        ]
        yield _Found(results, letters, sum(one.records for one in counted))

    async def _bounded(self, found: Aggregated, message: Message) -> Aggregated:
        """With the services beyond the limit folded into one."""
        known = await self._known.known([one.service for one in found.partials], message)
        return found._replace(partials=fold_services(found.partials, known))

    def _last_seq(self, message: Message, agent: str) -> int:
        fence = _fence(message, agent)
        passed = self._passed.get(fence)
        return max(passed.seq if passed else -1, self._fences.version_of(fence))

    def _counted(
        self, messages: Sequence[Message], without: tuple[int, ...]
    ) -> Iterator[Aggregated]:
        """Aggregate a stretch; what the core cannot work on is found by halving, and set aside."""
        if not messages:
            return
        try:
            yield aggregate(self._kind, messages, self._policies, without)
        except MemoryError:
            raise
        except Exception as error:
            if len(messages) == 1:
                log.exception("core_failed", origin=messages[0].origin)
                yield refused(messages[0], InvalidRecord("failed", repr(error)))
                return
            half = len(messages) // 2
            yield from self._counted(messages[:half], without)
            yield from self._counted(messages[half:], without)


def stretch_bytes(size: int, cells: int) -> int:
    """How many bytes give ``STRETCH_CELLS``, if they are like so many that gave so many cells.

    >>> stretch_bytes(4_000_000, 300), stretch_bytes(4_000_000, 50_000), stretch_bytes(100, 0)
    (4000000, 800000, 4000000)
    """
    return max(1, min(STRETCH_BYTES, size * STRETCH_CELLS // cells)) if cells else STRETCH_BYTES


def _encoded(counted: Partial) -> bytes:
    """A partial as it is sent, with the time of now in it."""
    counted.counted_at = SystemClock().now_ms()
    return encode_partial(counted)


def _fence(message: Message, agent: str) -> bytes:
    return f"{message.topic}/{agent}".encode()


def _tell_duplicates(message: Message, fenced: tuple[int, ...]) -> None:
    if fenced:
        log.info("duplicate_batches_fenced", place=message.place, offsets=fenced[:20])
        metrics.DUPLICATES.labels("aggregate").inc(len(fenced))
