"""What a dashboard counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from health.measured import App, Measured
from health.metrics import new_registry

REGISTRY = new_registry()

REQUESTS = Counter(
    "coalmine_dashboard_requests",
    "Requests of browsers, by what was asked for and class of status.",
    ["asked", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "coalmine_dashboard_request_seconds",
    "Time to the last byte of an answer, by what was asked for.",
    ["asked"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
SEARCHES = Counter(
    "coalmine_dashboard_searches",
    "Searches in Elasticsearch, by kind of document and result.",
    ["index", "result"],
    registry=REGISTRY,
)
SEARCH_SECONDS = Histogram(
    "coalmine_dashboard_search_seconds",
    "Time of a search in Elasticsearch, by kind of document.",
    ["index"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
    registry=REGISTRY,
)

_ASKED = {
    "/_dash-update-component": "callback",
    "/_dash-component-suites/": "asset",
    "/assets/": "asset",
    "/healthz": "health",
}


def measured(app: App) -> App:
    """The app, each of its requests counted and timed."""
    return Measured(app, REQUESTS, REQUEST_SECONDS, lambda scope: asked_for(scope["path"]))


def asked_for(path: str) -> str:
    """What a path leads to, one of a few words.

    >>> asked_for("/assets/first.js"), asked_for("/rollouts/anything")
    ('asset', 'page')
    """
    return next((asked for start, asked in _ASKED.items() if path.startswith(start)), "page")
