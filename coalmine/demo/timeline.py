"""What a demo run proved, as one object: assembled from Coalmine's own results, pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts import topics
from contracts.results import (
    Action,
    Decision,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    Outcome,
    RelativeRisk,
    Verdict,
    decode_partial,
)


class Counted(msgspec.Struct, kw_only=True):
    """The head of a partial: proof that a line of the shop reached the judge's door."""

    service: str
    sent_at: int

    @property
    def time(self) -> int:
        """When it was sent."""
        return self.sent_at


Message = Verdict | Decision | Delivery | Counted


def _counted(value: bytes) -> Counted:
    partial = decode_partial(value)
    return Counted(service=partial.service, sent_at=partial.sent_at)


TOPICS: dict[str, Callable[[bytes], Message]] = {
    topics.PARTIALS.name: _counted,
    topics.VERDICTS.name: msgspec.json.Decoder(Verdict).decode,
    topics.DECISIONS.name: msgspec.json.Decoder(Decision).decode,
    topics.DELIVERIES.name: msgspec.json.Decoder(Delivery).decode,
}
"""What is followed, and how it is read; a ``msgspec.DecodeError`` where it is nothing known."""


class Timeline(msgspec.Struct, kw_only=True, frozen=True):
    """One rollout from deploy to drained; times are RFC 3339, None where it did not happen."""

    canary: str
    baseline: str
    outcome: str
    action: str
    guilty_metric: str | None
    relative_risk: RelativeRisk
    evidence_log10: float
    canary_started_at: str
    first_bad_event_at: str | None
    verdict_at: str | None
    webhook_at: str | None
    drained_at: str | None
    rollback_verified: bool
    events_written: int
    """Lines in the shop's access logs, counted outside Coalmine."""
    events_counted: int
    """Requests in Elasticsearch."""


@dataclass(slots=True)
class Results:
    """What the results topics have said so far about one service since one moment."""

    service: str
    since_ms: int
    verdict: Verdict | None = None
    rollback: Decision | None = None
    verified: Decision | None = None
    webhook: Delivery | None = None
    has_counts: bool = False
    failed: Delivery | None = None
    """Latest attempt that did not succeed."""

    def apply(self, message: Message) -> None:
        """Take one message in; what is older, or of another service, changes nothing."""
        if message.service != self.service or message.time < self.since_ms:
            return
        if isinstance(message, Verdict):
            if self.verdict is None or message.processed_time >= self.verdict.processed_time:
                self.verdict = message
        elif isinstance(message, Decision):
            self._apply_decision(message)
        elif isinstance(message, Delivery):
            self._apply_delivery(message)
        else:
            self.has_counts = True

    def _apply_decision(self, decision: Decision) -> None:
        if decision.action is DecisionAction.ROLLBACK:
            self.rollback = self.rollback or decision
        elif decision.action is DecisionAction.ROLLBACK_VERIFIED:
            self.verified = self.verified or decision

    def _apply_delivery(self, delivery: Delivery) -> None:
        if delivery.action is not DecisionAction.ROLLBACK:
            return
        if delivery.outcome is DeliveryOutcome.DELIVERED:
            self.webhook = self.webhook or delivery
        else:
            self.failed = delivery

    @property
    def first_bad_event_at(self) -> int | None:
        """Time of the canary's first bad event in this run."""
        at = self.verdict.first_bad_event_at if self.verdict else None
        return at if at is not None and at >= self.since_ms else None

    def milestones(self) -> list[str]:
        """What has happened so far, one sentence each, in the order of a rollback."""
        bad = self.first_bad_event_at
        return [
            *([f"first bad event of the canary at {rfc3339(bad)}"] if bad is not None else []),
            *([f"rollback decided: {self.rollback.reason}"] if self.rollback else []),
            *([f"webhook not delivered yet: {self.failed.reason}"] if self.failed else []),
            *([f"webhook delivered to {self.webhook.endpoint}"] if self.webhook else []),
            *(["rollback verified: the canary gets no traffic"] if self.is_verified else []),
        ]

    @property
    def is_rolled_back(self) -> bool:
        """Whether the rollback was decided, delivered and seen to work."""
        return bool(self.webhook and self.drained_at and self.is_verified)

    @property
    def is_verified(self) -> bool:
        """Whether Coalmine saw the traffic of the canary end after the rollback."""
        return bool(self.verdict and self.verdict.rollback_verified)

    @property
    def drained_at(self) -> int | None:
        """Time of the canary's last request, once the rollback is verified."""
        return self.verdict.drained_at if self.verdict else None


def assemble(
    results: Results,
    *,
    canary: str,
    baseline: str,
    canary_started_ms: int,
    events_written: int,
    events_counted: int,
) -> Timeline:
    """The timeline of a run that is over.

    Outcome, metric, risk and evidence are those of the rollback decision where there is one (what
    the judge knew when it decided), else those of the last look.
    """
    return Timeline(
        canary=canary,
        baseline=baseline,
        **_finding_of(results),
        canary_started_at=rfc3339(canary_started_ms),
        first_bad_event_at=_maybe(results.first_bad_event_at),
        verdict_at=_maybe(results.rollback.processed_time if results.rollback else None),
        webhook_at=_maybe(results.webhook.time if results.webhook else None),
        drained_at=_maybe(results.drained_at),
        rollback_verified=results.is_verified,
        events_written=events_written,
        events_counted=events_counted,
    )


def _finding_of(results: Results) -> dict[str, Any]:
    if decided := results.rollback:
        return {
            "outcome": decided.outcome.value,
            "action": Action.ROLLBACK.value,
            "guilty_metric": decided.guilty_metric,
            "relative_risk": decided.relative_risk,
            "evidence_log10": round(decided.evidence_log10, 3),
        }
    if last := results.verdict:
        guilty = [m.relative_risk for m in last.metrics if m.name == last.guilty_metric]
        return {
            "outcome": last.outcome.value,
            "action": last.action.value,
            "guilty_metric": last.guilty_metric,
            "relative_risk": guilty[0] if guilty else RelativeRisk(),
            "evidence_log10": round(last.evidence_log10, 3),
        }
    return {
        "outcome": Outcome.NO_DATA.value,
        "action": Action.CONTINUE.value,
        "guilty_metric": None,
        "relative_risk": RelativeRisk(),
        "evidence_log10": 0.0,
    }


def ended_as_it_should(timeline: Timeline, *, bad_release: bool) -> bool:
    """Whether the bad release was rolled back, or the good one left alone, and all was counted."""
    all_counted = timeline.events_written == timeline.events_counted > 0
    if bad_release:
        return (
            all_counted
            and timeline.action == Action.ROLLBACK.value
            and timeline.webhook_at is not None
            and timeline.rollback_verified
        )
    looked = timeline.outcome not in (Outcome.NO_DATA.value, Outcome.ERROR.value)
    return all_counted and looked and timeline.verdict_at is None


def rfc3339(time_ms: int) -> str:
    """The moment with milliseconds, UTC.

    >>> rfc3339(1795428000123)
    '2026-11-23T10:00:00.123Z'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _maybe(time_ms: int | None) -> str | None:
    return None if time_ms is None else rfc3339(time_ms)
