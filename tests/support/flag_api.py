"""The API's own routes on a port, over a board that the test feeds, without Kafka."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import msgspec
import uvicorn

from coalmine.api.access import Access
from coalmine.api.app import build, guarded
from coalmine.api.board import Board
from contracts import topics
from contracts.clock import SystemClock
from contracts.errors import Recoverable
from contracts.flags import FlagState
from contracts.results import RolloutCommand
from tests.support.waiting import wait_until


async def _nobody(command: RolloutCommand) -> None:
    raise Recoverable(f"nobody takes {command.id}")


class FlagApi:
    """An API of one machine; ``stop`` and ``start`` keep its port.

    Args:
        access: who may ask; everybody on this machine by default.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._access = access or Access(is_open=True)
        self.board = Board()
        self.is_current = True
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self._version = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        clock = SystemClock()
        app = build(self.board, _nobody, lambda: self.is_current, clock)
        config = uvicorn.Config(
            guarded(app, self._access, clock),
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            timeout_graceful_shutdown=0,
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: server.started, timeout_s=20, what="the API listens")

    def stop(self) -> None:
        """Be away, connections cut."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)

    def tell(self, state: FlagState) -> float:
        """What the judge says of a flag; the monotonic time at which it was said."""
        self._version += 1
        state = msgspec.structs.replace(state, version=self._version)
        said_s = time.monotonic()
        self.board.take(topics.FLAGS.name, msgspec.json.encode(state))
        return said_s
