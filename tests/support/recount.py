"""What a service's traffic must come to, counted without Kafka, Faust or any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from contracts import topics
from contracts.policy import Policies, Policy
from contracts.records import RecordKind
from contracts.results import Decision, Partial, Window
from contracts.settings import KafkaSettings
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.messages import Message, aggregate
from tests.support.stack import consume
from tests.support.telemetry import EVENTS_TOPIC, Keyed

COUNTERS = ("request", "request.bad", "request.bytes")

Totals = Counter[tuple[str, str]]
"""Release and counter to its sum."""


def recount(batches: Iterable[Keyed]) -> Totals:
    """The counters of all batches, each batch once."""
    totals: Totals = Counter()
    for partial in _partials(batches):
        for cell in partial.cells:
            totals.update({(cell.release, name): cell.counts.get(name, 0) for name in COUNTERS})
    return totals


def undisturbed_decisions(batches: Iterable[Keyed], policy: Policy) -> list[Decision]:
    """What the judge decides when all batches come once and in order."""
    state = ServiceState(service="")
    found: list[Decision] = []
    for partial in _partials(batches):
        state.service = partial.service
        outputs = apply_partial(state, partial, policy, processed_time=partial.sent_at)
        found += [one for one in outputs if isinstance(one, Decision)]
    return found


def counted(kafka: KafkaSettings, service: str) -> Totals:
    """The counters of a service's windows on Kafka, of each window its latest version."""
    latest: dict[tuple[str, ...], Window] = {}
    for message in consume(kafka, topics.WINDOWS.name, at_least=0):
        try:
            window = msgspec.json.decode(message.value, type=Window)
        except msgspec.DecodeError:
            continue  # poison of another test
        key = (window.service, window.release, window.arm, str(window.time), window.part)
        if window.service == service and (
            key not in latest or latest[key].version <= window.version
        ):
            latest[key] = window
    totals: Totals = Counter()
    for window in latest.values():
        totals.update({(window.release, name): window.counts.get(name, 0) for name in COUNTERS})
    return totals


def _partials(batches: Iterable[Keyed]) -> Iterator[Partial]:
    for offset, (_, value, headers) in enumerate(batches):
        sent_at = 4_000_000_000_000
        message = Message(EVENTS_TOPIC, 0, offset, sent_at, dict(headers), value)
        yield from aggregate(RecordKind.EVENTS, [message], Policies()).partials
