"""What an alerter counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from contracts.results import DeliveryOutcome
from health.metrics import Bounded, new_registry

if TYPE_CHECKING:
    from alerting.notice import Notice

REGISTRY = new_registry()

DECISIONS = Counter(
    "coalmine_alerting_decisions", "Decisions taken on, by action.", ["action"], registry=REGISTRY
)
PENDING = Gauge(
    "coalmine_alerting_pending_decisions",
    "Decisions that some endpoint is still to be told of.",
    registry=REGISTRY,
)
PENDING_SECONDS = Gauge(
    "coalmine_alerting_pending_seconds",
    "Age of the oldest decision that some endpoint is still to be told of.",
    registry=REGISTRY,
)
LAG_MESSAGES = Gauge(
    "coalmine_alerting_lag_messages", "Decisions that wait to be read.", registry=REGISTRY
)
DEAD_LETTERS = Counter(
    "coalmine_alerting_dead_letters",
    "Messages set aside because they are no decisions, by reason.",
    ["reason"],
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "coalmine_alerting_deliveries",
    "Attempts to tell an endpoint of a decision, by endpoint and outcome.",
    ["endpoint", "outcome"],
    registry=REGISTRY,
)
RESENDS = Counter(
    "coalmine_alerting_resends",
    "Requests of people to send a decision again, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
VERIFICATIONS = Counter(
    "coalmine_alerting_verifications",
    "Looks for the effect of deliveries that came to a result, by endpoint and result.",
    ["endpoint", "result"],
    registry=REGISTRY,
)
CIRCUIT_OPEN = Gauge(
    "coalmine_alerting_circuit_open",
    "1 while an endpoint has failed so often that it is only probed.",
    ["endpoint"],
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "coalmine_alerting_attempt_seconds",
    "Time of one request to an endpoint, answered or not.",
    ["endpoint"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
    registry=REGISTRY,
)
WEBHOOK_SECONDS = Histogram(
    "coalmine_alerting_webhook_seconds",
    "From a decision to its delivery, retries included, by endpoint.",
    ["endpoint"],
    buckets=(0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900),
    registry=REGISTRY,
)

reason_label = Bounded()


def count(notice: Notice) -> None:
    """Count an attempt that is recorded; endpoints are those of the file, so few."""
    endpoint = notice.endpoint.name
    DELIVERIES.labels(endpoint, str(notice.outcome)).inc()
    if notice.exchange is None:
        return
    ATTEMPT_SECONDS.labels(endpoint).observe(notice.exchange.duration_ms / 1000)
    if notice.outcome is DeliveryOutcome.DELIVERED:
        answered_at = notice.started_at + notice.exchange.duration_ms
        waited_ms = answered_at - notice.decision.processed_time
        WEBHOOK_SECONDS.labels(endpoint).observe(waited_ms / 1000)
