"""What a dashboard counts; every name stands in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from dashboard.assets_gzip import App, Message, Receive, Send
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


class Measured:
    """ASGI middleware that counts and times each request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        asked = asked_for(scope["path"])
        with REQUEST_SECONDS.labels(asked).time():
            try:
                await self._app(scope, receive, note)
            finally:
                REQUESTS.labels(asked, f"{status // 100}xx").inc()


def asked_for(path: str) -> str:
    """What a path leads to, one of a few words.

    >>> asked_for("/assets/first.js"), asked_for("/rollouts/anything")
    ('asset', 'page')
    """
    return next((asked for start, asked in _ASKED.items() if path.startswith(start)), "page")
