"""The receiver's thread: connections in bounds, slow clients cut off, requests to the handler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import structlog
from aiohttp import web

from contracts.clock import Clock
from contracts.config import Secret
from contracts.errors import ConfigError
from ingest.receiver.handler import Handler
from ingest.receiver.inbox import Inbox
from ingest.receiver.settings import ReceiverSettings

_STOP_S = 1.0
_CONNECTIONS_WAITING = 128

log = structlog.get_logger()


@contextmanager
def receiving(
    settings: ReceiverSettings, keys: Sequence[Secret], inbox: Inbox, host: str, clock: Clock
) -> Iterator[Receiver]:
    """Listen while the context lasts.

    Raises:
        ConfigError: nothing can listen there.
    """
    receiver = Receiver(settings, Handler(settings, keys, inbox, host, clock))
    receiver.open()
    try:
        yield receiver
    finally:
        receiver.stop()


class Receiver(threading.Thread):
    """Listens from ``open`` to ``stop``, on an event loop of its own: files never wait for it."""

    def __init__(self, settings: ReceiverSettings, handler: Handler) -> None:
        super().__init__(name="receiver", daemon=True)
        self._settings = settings
        self._handler = handler
        self._loop = asyncio.new_event_loop()
        self._ended: asyncio.Future[None] | None = None
        self._is_listening = threading.Event()
        self._port = 0
        self.failure: BaseException | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    def open(self) -> None:
        """Begin; returns when it listens.

        Raises:
            ConfigError: nothing can listen there.
        """
        self.start()
        self._is_listening.wait()
        if isinstance(self.failure, OSError):
            expected = f"cannot listen there: {self.failure.strerror}"
            listen = self._settings.listen
            raise ConfigError("receiver.listen", expected, value=listen) from self.failure
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        """Thread body."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the main thread ends the process
            self.failure = error
        finally:
            self._is_listening.set()

    def stop(self) -> None:
        """Answer what is in hand, within a second, and end."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self.join(2 * _STOP_S)

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def _serve(self) -> None:
        self._ended = self._loop.create_future()
        # aiohttp closes a connection whose request's headers do not arrive in this time
        timeout_s = float(self._settings.timeout)
        server = _Server(
            self._handler,
            self._settings.max_connections,
            keepalive_timeout=timeout_s,
            lingering_time=1.0,
            auto_decompress=False,
            access_log=None,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_STOP_S)
        await runner.setup()
        try:
            host, port = self._settings.address
            site = web.TCPSite(runner, host, port, backlog=_CONNECTIONS_WAITING)
            await site.start()
            self._port = int(cast("tuple[str, int]", runner.addresses[0])[1])
            log.info("receiver_listens", host=host, port=self._port)
            self._is_listening.set()
            await self._ended
        finally:
            await runner.cleanup()


class _Server(web.Server):
    """Takes so many connections and no more: they share the process's open files with the logs."""

    def __init__(self, handler: Handler, max_connections: int, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(handler, **options)
        self._max_connections = max_connections

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._max_connections:
            transport.abort()
