"""What an API counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from health.measured import App, Measured, Message
from health.metrics import new_registry

REGISTRY = new_registry()

REQUESTS = Counter(
    "coalmine_api_requests",
    "Requests, by what was asked for and class of status.",
    ["asked", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "coalmine_api_request_seconds",
    "Time to the last byte of an answer, by what was asked for.",
    ["asked"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
REFUSED_TOKENS = Counter(
    "coalmine_api_refused_tokens",
    "Requests without a token that is known.",
    registry=REGISTRY,
)
ANSWER_SECONDS = Histogram(
    "coalmine_api_answer_seconds",
    "From a command to the judge's answer.",
    buckets=(0.03, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
UNANSWERED = Counter(
    "coalmine_api_unanswered",
    "Commands that the judge did not answer in time.",
    registry=REGISTRY,
)
MESSAGES = Counter(
    "coalmine_api_messages",
    "Results read from Kafka, by topic.",
    ["topic"],
    registry=REGISTRY,
)
UNREADABLE = Counter(
    "coalmine_api_unreadable",
    "Messages that are not what their topic carries; the indexer sets them aside.",
    registry=REGISTRY,
)
LAG_MESSAGES = Gauge(
    "coalmine_api_lag_messages",
    "Results that wait to be read.",
    registry=REGISTRY,
)
HELD = Gauge(
    "coalmine_api_held_entries",
    "What is held in memory, by kind.",
    ["kind"],
    registry=REGISTRY,
)


def measured(app: App) -> App:
    """The app, each of its requests counted and timed by the template of its route."""
    return Measured(app, REQUESTS, REQUEST_SECONDS, asked_for)


def asked_for(scope: Message) -> str:
    """The template of the route that a request led to, never a name of a service."""
    return getattr(scope.get("route"), "path", "other")
