"""A TCP proxy on loopback whose network breaks on request: slow, paused, cut, flapping, gone.

No library in the environment does this; it runs an asyncio loop in a thread of its own, and a test
turns its knobs from outside.

>>> # with FaultProxy("127.0.0.1:9200") as proxy:
>>> #     proxy.delay_s = 0.2; proxy.pause(); proxy.resume(); proxy.cut(); proxy.refuse()
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

_CHUNK = 16_384
_REQUEST = re.compile(rb"^(?:GET|HEAD|POST|PUT|DELETE) \S+ HTTP/1\.1\r\n", re.MULTILINE)


class Request(NamedTuple):
    """One HTTP request that passed: monotonic seconds, and its first line."""

    at_s: float
    line: str


class FaultProxy:
    """Forwards a port of the loopback interface to ``target``, as its knobs allow.

    Args:
        target: ``host:port`` of the server; it may come and go.
        port: where to listen; a free one if not given.

    Attributes:
        delay_s: every chunk waits so long, in both directions.
        bytes_per_s: each direction of a connection passes no more than that; 0 for no limit.
        answer: an HTTP answer that is given instead of asking the server.
        lost_answers: so many HTTP requests reach the server, and their answers reach nobody.
        requests: the HTTP requests that came, forwarded or not.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        host, _, number = target.rpartition(":")
        self._target = (host, int(number))
        self.port = port
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self.answer = b""
        self.lost_answers = 0
        self.requests: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._flow = asyncio.Event()
        self._flow.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The same for HTTP; it does not change when the proxy refuses and accepts again."""
        return f"http://{self.address}"

    # --- knobs ---------------------------------------------------------------------------------

    def accept(self) -> None:
        """Listen (again, on the same port)."""
        self._do(self._accept())

    def refuse(self) -> None:
        """Refuse new connections and cut those that are open, as a killed server would."""
        self._do(self._refuse())

    def cut(self) -> None:
        """Reset every open connection; new ones are welcome."""
        self._do(self._cut())

    def pause(self) -> None:
        """Pass nothing, close nothing: a network that swallows."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def resume(self) -> None:
        """Pass what was held back."""
        self._loop.call_soon_threadsafe(self._flow.set)

    @contextmanager
    def flapping(self, every_s: float) -> Iterator[None]:
        """Gone and back in turn, each for ``every_s``; back at the end."""
        is_over = threading.Event()

        def flap() -> None:
            while not is_over.wait(every_s):
                self.refuse()
                is_over.wait(every_s)
                self.accept()

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    # --- life ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.resume()
        self.refuse()
        self._do(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _finish(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # --- one connection ------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        pair = {writer, forth}
        self._writers |= pair
        try:
            with contextlib.suppress(OSError):
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(reader, forth, writer))
                    both.create_task(self._pump(back, writer, None))
        except* (OSError, EOFError):
            pass
        finally:
            self._writers -= pair
            for one in pair:
                _reset(one)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None,
    ) -> None:
        """One direction; ``client`` is given for the way to the server."""
        while data := await source.read(_CHUNK):
            await self._hold_up(len(data))
            if client is not None:
                lines = _REQUEST.findall(data)
                self.requests += [Request(time.monotonic(), x.decode().strip()) for x in lines]
                if lines and self.answer:
                    client.write(self.answer)
                    await client.drain()
                    raise EOFError
            elif self.lost_answers and data.startswith(b"HTTP/1.1"):
                self.lost_answers -= 1
                raise EOFError
            sink.write(data)
            await sink.drain()
        raise EOFError

    async def _hold_up(self, size: int) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.bytes_per_s:
            await asyncio.sleep(size / self.bytes_per_s)
        await self._flow.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a host that went down and came back does."""
    with contextlib.suppress(OSError):
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()
