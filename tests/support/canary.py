"""A bad canary as a stream of batches, and the moment at which it is decided."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import msgspec

from contracts import topics
from contracts.results import Decision, DecisionAction
from contracts.settings import KafkaSettings
from tests.support.stack import consume, produce
from tests.support.telemetry import EVENTS_TOPIC, Keyed, event_batches
from tests.support.waiting import wait_until

BASELINE, CANARY = "1.4.2", "1.5.0"
SECONDS = 30
ALONE = 10
"""Seconds before the canary starts."""
PER_SECOND = {BASELINE: 100, CANARY: 25}


@dataclass(frozen=True, slots=True)
class BadCanary:
    """Half a minute of one service; its canary fails ten times as often as its baseline.

    Args:
        service: a name of its own.
        start_ms: event time of its first second.
        seed: of the requests.
    """

    service: str
    start_ms: int
    seed: int = 5

    def batches(self) -> list[Keyed]:
        """One batch a second from each release, in order of event time."""
        baseline = list(self._batches(BASELINE, range(SECONDS), 0.01))
        canary = list(self._batches(CANARY, range(ALONE, SECONDS), 0.15))
        together = baseline[:ALONE]
        for second in range(SECONDS - ALONE):
            together += [baseline[ALONE + second], canary[second]]
        return together

    @property
    def requests(self) -> dict[str, int]:
        """Requests of each release in all batches."""
        return {BASELINE: 100 * SECONDS, CANARY: 25 * (SECONDS - ALONE)}

    def send(self, kafka: KafkaSettings) -> None:
        """Send all batches and wait until Kafka has them."""
        produce(kafka, EVENTS_TOPIC, self.batches())

    def decided_within_s(self, kafka: KafkaSettings, timeout_s: float = 60.0) -> float:
        """Seconds from now until the rollback is decided."""
        start = time.monotonic()
        wait_until(lambda: rollbacks(kafka, self.service), timeout_s=timeout_s, what="rollback")
        return time.monotonic() - start

    def _batches(self, release: str, seconds: range, error_rate: float) -> list[Keyed]:
        return list(
            event_batches(
                self.service,
                release,
                seconds,
                start_ms=self.start_ms,
                count=PER_SECOND[release],
                error_rate=error_rate,
                seed=self.seed,
            )
        )


def decisions(kafka: KafkaSettings, service: str) -> list[Decision]:
    """Every decision about a service so far."""
    known = []
    for message in consume(kafka, topics.DECISIONS.name, at_least=0):
        with contextlib.suppress(msgspec.DecodeError):  # other tests poison this topic
            known.append(msgspec.json.decode(message.value, type=Decision))
    return [d for d in known if d.service == service]


def rollbacks(kafka: KafkaSettings, service: str) -> set[str]:
    """Ids of the rollbacks decided for a service."""
    found = decisions(kafka, service)
    return {d.id for d in found if d.action is DecisionAction.ROLLBACK}
