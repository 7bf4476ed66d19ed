"""How long marked lines took from stage to stage, read from the topics after the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import pyarrow as pa

from benchmarks.system.shop import CANARY, MARK
from benchmarks.throughput.broker import messages_of
from contracts import arrow, topics
from contracts.records import RecordKind
from contracts.results import RolloutStatus, Verdict, decode_partial
from contracts.settings import KafkaSettings
from streams.judge.service import WATERMARK_SLACK_MS


class Way(NamedTuple):
    """One marked line: milliseconds from stage to stage."""

    agent: float
    """Written to its batch being sent to Kafka."""
    aggregate: float
    """The batch sent to its partial being sent."""
    judge: float
    """The partial sent to the verdict being sent: the wait for the end of the tick included."""
    tick: float
    """Written to the moment at which its tick could be judged: its end, and the slack."""
    whole: float
    """Written to verdict sent."""


class Followed(NamedTuple):
    """What became of the marked lines."""

    ways: list[Way]
    marks: int
    counted: int
    """Marked lines in the verdicts: all of them, if nothing was lost or counted twice."""


def follow(kafka: KafkaSettings, marks: dict[str, list[int]]) -> Followed:
    """Find the batch, the partial and the first verdict of each marked line of each canary.

    Args:
        kafka: where everything is.
        marks: by service the times of its canary's marked lines, ascending.
    """
    batches = _batches(kafka)
    partials = _partials(kafka)
    ways: list[Way] = []
    counted = 0
    for service, times in marks.items():
        verdicts = list(_verdicts(kafka, service))
        counted += len(verdicts)
        for written, (verdict_ms, end) in zip(times, verdicts, strict=False):
            place, sent_ms = batches[service, written]
            partial_ms = _first_at(partials[service, *place[:2]], place[2])
            ways.append(
                Way(
                    agent=sent_ms - written,
                    aggregate=partial_ms - sent_ms,
                    judge=verdict_ms - partial_ms,
                    tick=end + WATERMARK_SLACK_MS - written,
                    whole=verdict_ms - written,
                )
            )
    return Followed(ways, sum(map(len, marks.values())), counted)


def judged(kafka: KafkaSettings, services: Iterable[str]) -> int:
    """How many marked lines are in verdicts by now."""
    return sum(1 for service in services for _ in _verdicts(kafka, service))


Place = tuple[str, int, int]


def _batches(kafka: KafkaSettings) -> dict[tuple[str, int], tuple[Place, int]]:
    """Service and time of a canary's marked line to its message's place and time."""
    found: dict[tuple[str, int], tuple[Place, int]] = {}
    for record in messages_of(kafka.client_options(), topics.EVENTS.name):
        batch = arrow.decode(RecordKind.EVENTS, record.value)
        names = batch.column("name").to_pylist()
        if MARK not in names:
            continue
        marked = arrow.where(batch, pa.array([name == MARK for name in names]))
        for event in arrow.records_from_batch(RecordKind.EVENTS, marked):
            if event.release == CANARY:
                place = (record.topic, record.partition, record.offset)
                found[event.service, event.time] = (place, record.timestamp)
    return found


def _partials(kafka: KafkaSettings) -> dict[tuple[str, str, int], list[tuple[int, int]]]:
    """Service and source partition to last offset and time of each partial."""
    found: dict[tuple[str, str, int], list[tuple[int, int]]] = defaultdict(list)
    for record in messages_of(kafka.client_options(), topics.PARTIALS.name):
        partial = decode_partial(record.value)
        if source := partial.source:
            key = (partial.service, source.topic, source.partition)
            found[key].append((source.offset, record.timestamp))
    return found


def _first_at(partials: list[tuple[int, int]], offset: int) -> int:
    """When the partial was sent whose stretch holds ``offset``."""
    return min(partials, key=lambda found: (found[0] < offset, found[0]))[1]


def _verdicts(kafka: KafkaSettings, service: str) -> Iterator[tuple[int, int]]:
    """Of each marked line that was judged, in order: when its verdict was sent, its tick's end."""
    for record in messages_of(kafka.client_options(), topics.VERDICTS.name):
        if record.key != service.encode():
            continue
        verdict = msgspec.json.decode(record.value, type=Verdict)
        metric = next(m for m in verdict.metrics if m.name == MARK)
        marked = sum(window.canary_exposures for window in metric.windows)
        for _ in range(round(marked)):
            yield record.timestamp, verdict.time


def aborted(kafka: KafkaSettings) -> dict[str, int]:
    """Rollout to when the verdict that it was aborted was sent."""
    found: dict[str, int] = {}
    for record in messages_of(kafka.client_options(), topics.VERDICTS.name):
        verdict = msgspec.json.decode(record.value, type=Verdict)
        if verdict.status is RolloutStatus.ABORTED:
            found[verdict.rollout] = record.timestamp
    return found
