"""What is the same for everybody, packed once: scripts cost 0.2 s of compression each time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PREFIXES = ("/_dash-component-suites/", "/assets/", "/_dash-layout", "/_dash-dependencies")
KEPT = (b"cache-control", b"public, max-age=31536000, immutable")
"""Told of what has its time in its address: another one is another address."""
MOST_BYTES = 64 * 1024 * 1024


class PackedAssets:
    """ASGI middleware that answers scripts and the shell of the pages from memory, gzip-packed.

    They never change while the process lives. Everything else, and every browser that does not
    take gzip, passes through.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._packed: dict[str, tuple[list[tuple[bytes, bytes]], bytes]] = {}
        self._bytes = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not _is_packable(scope):
            await self._app(scope, receive, send)
            return
        key = scope["path"]
        if key not in self._packed:
            await self._fill(key, scope, receive)
        if key not in self._packed:
            await self._app(scope, receive, send)
            return
        headers, body = self._packed[key]
        if key.startswith("/assets/") and scope["query_string"].startswith(b"m="):
            headers = [*headers, KEPT]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _fill(self, key: str, scope: Message, receive: Receive) -> None:
        """Ask the app once, without gzip, and keep the packed answer if it is a good one."""
        status = 0
        headers: list[tuple[bytes, bytes]] = []
        body = bytearray()

        async def collect(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                body.extend(message.get("body", b""))

        plain = [h for h in scope["headers"] if h[0] not in {b"accept-encoding", b"if-none-match"}]
        await self._app({**scope, "headers": plain}, receive, collect)
        packed = await asyncio.to_thread(gzip.compress, bytes(body), 6)
        if status != 200 or self._bytes + len(packed) > MOST_BYTES:
            return
        kept = [h for h in headers if h[0] not in {b"content-length", b"etag"}]
        self._packed[key] = (
            [
                *kept,
                (b"content-encoding", b"gzip"),
                (b"vary", b"accept-encoding"),
                (b"content-length", str(len(packed)).encode()),
            ],
            packed,
        )
        self._bytes += len(packed)


def _is_packable(scope: Message) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    if not scope["path"].startswith(PREFIXES):
        return False
    return any(n == b"accept-encoding" and b"gzip" in v for n, v in scope["headers"])
