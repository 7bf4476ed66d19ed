"""Seeded documents of the pages around the rollouts: hosts, answers, dead letters, phases."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from contracts import indices
from contracts.records import HostSample
from contracts.results import (
    Answer,
    AnswerCode,
    DeadLetter,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    PhaseProgress,
    RolloutCommandAction,
    decision_id,
)
from tests.support.dashboard_seed import Documents, Story, fleet, plain

DAY_MS = 86_400_000
MINUTE_MS = 60_000


def everything(now_ms: int) -> Documents:
    """A fleet of rollouts with hosts, people's requests, failed deliveries and dead letters."""
    running = phased(now_ms, "basket")
    trail = answers("checkout", now_ms) + refused_delivery("checkout", now_ms)
    return fleet(now_ms) + running + hosts("checkout", now_ms) + trail + letters(now_ms)


def phased(now_ms: int, service: str, *, seconds: int = 240) -> Documents:
    """A good rollout in the second of its three phases, held by the hour of the day."""
    opened_at = (now_ms - seconds * 1000) // 10_000 * 10_000
    story = Story(service, "3.2.0", "3.1.4", opened_at, bad_rate=0.004, slower=1.0)
    documents = story.traffic(seconds)
    began = opened_at + 120_000
    last = story.looks[-1]
    phases = [
        PhaseProgress(
            name="canary", exposure=0.01, min_duration_s=60, min_exposures=1000,
            started_at=opened_at, ended_at=began, exposures=2880,
        ),
        PhaseProgress(
            name="early", exposure=0.1, min_duration_s=300, min_exposures=10_000,
            started_at=began, exposures=2880,
        ),
        PhaseProgress(name="everywhere", exposure=1.0, min_duration_s=600, min_exposures=50_000),
    ]  # fmt: skip
    verdict = msgspec.structs.replace(
        last, phase="early", phase_started_at=began, exposure=0.1, phases=phases,
        held_because="a freeze is on until 18:00",
    )  # fmt: skip
    return [*documents[:-1], (indices.ROLLOUTS, story.rollout, plain(verdict))]


def hosts(service: str, now_ms: int, *, number: int = 6, minutes: int = 60) -> Documents:
    """A sample of each host and minute; the canary's two hosts are busier."""
    rng = np.random.default_rng(3)
    documents: Documents = []
    for host in range(number):
        release = "1.5.0" if host < 2 else "1.4.2"
        for minute in range(minutes):
            at = now_ms - minute * MINUTE_MS
            wave = 6 * math.sin(minute / 9 + host)
            cpu = (62 if host < 2 else 41) + wave + float(rng.normal(0, 2))
            sample = HostSample(
                time=at, host=f"web-{host + 1}", service=service, release=release,
                cpu_percent=cpu, memory_percent=55 + host + wave / 3, load1=cpu / 16,
                disk_percent=38 + 2.0 * host,
                boot_time=now_ms - (20 * MINUTE_MS if host < 1 and minute < 20 else 9 * DAY_MS),
            )  # fmt: skip
            body = msgspec.to_builtins(sample)
            body["@timestamp"] = body.pop("time")
            documents.append((indices.HOSTS, f"{service}|{host}|{at // MINUTE_MS}", body))
    return documents


def answers(service: str, now_ms: int) -> Documents:
    """A hold that was accepted, and an override without a reason that was not."""
    told = (
        (RolloutCommandAction.HOLD, AnswerCode.ACCEPTED, "The rollout of 1.5.0 is held.",
         "waiting for the database team"),
        (RolloutCommandAction.ROLLBACK, AnswerCode.REASON_MISSING,
         "An override needs a reason.", ""),
    )  # fmt: skip
    documents: Documents = []
    for number, (action, code, message, reason) in enumerate(told):
        answer = Answer(
            id=f"{service}-{action}-{now_ms}", time=now_ms - 90_000 + 5_000 * number,
            service=service, action=action, code=code, message=message, canary="1.5.0",
            baseline="1.4.2", rollout=f"{service}-1.5.0", phase="canary", reason=reason,
            requested_by="alice",
        )  # fmt: skip
        documents.append((indices.ANSWERS, answer.id, plain(answer)))
    return documents


def refused_delivery(service: str, now_ms: int) -> Documents:
    """A chat that did not take the message."""
    rollout = f"{service}-1.5.0"
    delivery = Delivery(
        id=f"{rollout}/canary/rollback/chat/1", time=now_ms - 42_000,
        decision=decision_id(rollout, "canary", DecisionAction.ROLLBACK), service=service,
        rollout=rollout, action=DecisionAction.ROLLBACK, endpoint="chat",
        url="https://chat.example/hooks/coalmine", attempt=1, outcome=DeliveryOutcome.REFUSED,
        status=410, reason="http 410", duration_ms=31.0,
        body='{"type":"coalmine.rollback","service":"checkout","token":"[redacted]"}',
    )  # fmt: skip
    return [(indices.DELIVERIES, delivery.id, plain(delivery))]


def letters(now_ms: int, *, number: int = 7) -> Documents:
    """Lines that no parser takes."""
    documents: Documents = []
    for place in range(number):
        letter = DeadLetter(
            id=f"letter-{place}-{now_ms}", time=now_ms - place * MINUTE_MS, stage="ingest.parse",
            reason="not a log line" if place % 3 else "time out of range",
            detail="expected a date at the beginning", origin=f"/var/log/app.log:{4096 * place}",
            service="checkout",
        )  # fmt: skip
        documents.append((indices.DEADLETTERS, letter.id, plain(letter)))
    return documents
