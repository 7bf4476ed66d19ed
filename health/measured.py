"""Counts and times the requests of an HTTP app."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import Counter, Histogram

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Measured:
    """ASGI middleware.

    Args:
        app: whose requests.
        requests: counts them, by ``asked`` and ``status``.
        seconds: the time to the last byte, by ``asked``.
        asked_for: what a request led to, one of a few words; asked once it has been answered.
    """

    def __init__(
        self,
        app: App,
        requests: Counter,
        seconds: Histogram,
        asked_for: Callable[[Message], str],
    ) -> None:
        self._app = app
        self._requests = requests
        self._seconds = seconds
        self._asked_for = asked_for

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

        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, note)
        finally:
            asked = self._asked_for(scope)
            self._seconds.labels(asked).observe(time.perf_counter() - began_s)
            self._requests.labels(asked, f"{status // 100}xx").inc()
