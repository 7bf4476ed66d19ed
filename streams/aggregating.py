"""The aggregate stage: telemetry messages to partials, many messages at once.

Results are acknowledged by Kafka, then the fences of the shipping agents, then the offsets. A crash
in between repeats messages, perhaps cut into other stretches; the judge takes what is new of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

import msgspec
import structlog

from contracts import topics
from contracts.errors import InvalidRecord
from contracts.policy import Policies
from contracts.records import RecordKind
from contracts.results import DeadLetter
from contracts.topics import Topic
from streams import metrics
from streams.durable import DurableTable
from streams.messages import Aggregated, Message, aggregate, refused, unfenced
from streams.outlet import Outlet, count_dead_letters
from streams.services import KnownServices
from streams.windows.labels import fold_services

log = structlog.get_logger()

STRETCH_BYTES = 1_000_000


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

    async def handle(self, messages: Sequence[Message]) -> list[str]:
        """Count messages of any partitions, in their order.

        Returns:
            The reasons of the messages that were set aside.
        """
        letters: list[DeadLetter] = []
        passed: list[tuple[bytes, int, int]] = []
        for _, of_one in groupby(sorted(messages, key=_place), key=_place):
            stretch = list(of_one)
            new = unfenced(stretch, partial(self._last_seq, stretch[0]))
            _tell_duplicates(stretch[0], new.fenced)
            for part in _cut(new.messages):
                found = [
                    await self._bounded(one, stretch[-1]) for one in self._counted(part, new.fenced)
                ]
                await self._outlet.publish(_results(found))
                letters += [letter for one in found for letter in one.dead_letters]
                metrics.RECORDS.labels(self._kind).inc(sum(one.records for one in found))
            partition = stretch[0].partition
            passed += [
                (_fence(stretch[0], agent), seq, partition) for agent, seq in new.last_seq.items()
            ]
        await asyncio.gather(
            *(
                self._fences.put(fence, b"", version=seq, partition=partition)
                for fence, seq, partition in passed
            )
        )
        count_dead_letters(letters)
        origins = {message.origin for message in messages} if letters else set()
        return [letter.reason for letter in letters if letter.origin in origins]

    async def _bounded(self, found: Aggregated, message: Message) -> Aggregated:
        """With the services beyond the limit folded into one."""
        partials = found.partials
        known = {p.service for p in partials if await self._known.knows(p.service, message)}
        return found._replace(partials=fold_services(partials, known))

    def _last_seq(self, message: Message, agent: str) -> int:
        return self._fences.version_of(_fence(message, agent))

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


def _cut(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Stretches whose partials fit into a message of Kafka: they are smaller than the records."""
    start = size = 0
    for number, message in enumerate(messages):
        if size and size + len(message.value) > STRETCH_BYTES:
            yield messages[start:number]
            start, size = number, 0
        size += len(message.value)
    yield messages[start:]


_place = attrgetter("topic", "partition")


def _fence(message: Message, agent: str) -> bytes:
    return f"{message.topic}/{agent}".encode()


def _tell_duplicates(message: Message, fenced: tuple[int, ...]) -> None:
    if fenced:
        log.info("duplicate_batches_fenced", place=message.place, offsets=fenced[:20])
        metrics.DUPLICATES.labels("aggregate").inc(len(fenced))


def _results(stretches: Sequence[Aggregated]) -> Iterator[tuple[Topic, str, msgspec.Struct]]:
    for one in stretches:
        yield from ((topics.DEADLETTERS, letter.origin, letter) for letter in one.dead_letters)
        yield from ((topics.CRASH_GROUPS, seen.service, seen) for seen in one.sightings)
        yield from ((topics.PARTIALS, found.service, found) for found in one.partials)
