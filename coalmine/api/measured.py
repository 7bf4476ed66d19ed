"""Counts and times every request."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coalmine.api import metrics


class Measured:
    """ASGI middleware; what was asked for is the route's template, never a name of a service."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, note)
        finally:
            asked = asked_for(scope)
            metrics.REQUEST_SECONDS.labels(asked).observe(time.perf_counter() - began_s)
            metrics.REQUESTS.labels(asked, f"{status // 100}xx").inc()


def asked_for(scope: Scope) -> str:
    """The template of the route that a request led to."""
    return getattr(scope.get("route"), "path", "other")
