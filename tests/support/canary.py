"""A bad canary as a stream of batches, and the moment at which it is decided."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from contracts import topics
from contracts.results import Decision, DecisionAction, Verdict
from contracts.settings import KafkaSettings
from contracts.topics import Topic
from tests.support.recount import counted
from tests.support.stack import consume, produce
from tests.support.telemetry import EVENTS_TOPIC, Keyed, event_batches
from tests.support.waiting import wait_until

BASELINE, CANARY = "1.4.2", "1.5.0"
T = TypeVar("T", Decision, Verdict)
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
        try:
            wait_until(lambda: rollbacks(kafka, self.service), timeout_s=timeout_s, what="rollback")
        except AssertionError as error:
            last = verdicts(kafka, self.service)[-1:]
            said = f"{counted(kafka, self.service)} counted, last verdict {last}"
            raise AssertionError(f"{self.service} not rolled back: {said}") from error
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
    return _said(kafka, topics.DECISIONS, Decision, service)


def verdicts(kafka: KafkaSettings, service: str) -> list[Verdict]:
    """Every verdict about a service so far."""
    return _said(kafka, topics.VERDICTS, Verdict, service)


def canary_exposures(kafka: KafkaSettings, service: str) -> float:
    """Of the last verdict's error rate; the others, which are many and large, are not decoded."""
    said = consume(kafka, topics.VERDICTS.name, at_least=0)
    of_service = [m for m in said if m.key == service.encode()]
    last = [msgspec.json.decode(message.value, type=Verdict) for message in of_service[-1:]]
    found = [m for v in last for m in v.metrics if m.name == "error_rate"]
    return found[0].exposures.canary if found else 0.0


def _said(kafka: KafkaSettings, topic: Topic, as_type: type[T], service: str) -> list[T]:
    known = []
    for message in consume(kafka, topic.name, at_least=0):
        with contextlib.suppress(msgspec.DecodeError):  # other tests poison these topics
            known.append(msgspec.json.decode(message.value, type=as_type))
    return [one for one in known if one.service == service]


def rollbacks(kafka: KafkaSettings, service: str) -> set[str]:
    """Ids of the rollbacks decided for a service."""
    found = decisions(kafka, service)
    return {d.id for d in found if d.action is DecisionAction.ROLLBACK}
