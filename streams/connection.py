"""Connections to Kafka that say when they are broken, and receive what is large where it will stay.

aiokafka reads through asyncio's streams: what arrives is a new ``bytes`` for each read, joined in a
buffer that grows, and copied when it is whole. Of a worker that reads megabytes at once that was a
tenth of its CPU time. ``Frames`` receives a large answer into a buffer of its size.
"""

from __future__ import annotations

import asyncio
import struct
import weakref
from typing import Any, Protocol

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError, KafkaError

_SIZE = struct.Struct(">i")
_SMALL_BYTES = 1 << 16
"""Of the buffer for answers that are no larger, and for the beginnings of those that are."""


class Taker(Protocol):
    """Who waits for Kafka's answers."""

    def connected(self) -> bool:
        """Whether it still does."""

    def take(self, answer: bytes) -> None:
        """Be given the next one."""


class Frames(asyncio.BufferedProtocol):
    """Receives Kafka's answers, each behind its size; all else is left to the streams' protocol.

    Args:
        taker: is given each answer; is not kept alive.
        streams: the protocol the connection began with.
    """

    def __init__(self, taker: Taker, streams: asyncio.StreamReaderProtocol) -> None:
        self._taker = weakref.ref(taker)
        self._streams = streams
        self._small = memoryview(bytearray(_SMALL_BYTES))
        self._large: memoryview | None = None
        self._filled = 0

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where what arrives next belongs."""
        return (self._small if self._large is None else self._large)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Give out the answers that are whole.

        Raises:
            ValueError: what came cannot be Kafka's; the transport closes then.
        """
        self._filled += nbytes
        if self._large is None:
            self._read_small()
        elif self._filled == len(self._large):
            whole, self._large, self._filled = bytes(self._large), None, 0
            self._give(whole)

    def _read_small(self) -> None:
        rest = self._small[: self._filled]
        while len(rest) >= _SIZE.size:
            (size,) = _SIZE.unpack_from(rest)
            if size < 0:
                raise ValueError(f"an answer of {size} bytes")
            end = _SIZE.size + size
            if end > len(self._small):
                self._begin_large(size, rest[_SIZE.size :])
                return
            if end > len(rest):
                break
            self._give(bytes(rest[_SIZE.size : end]))
            rest = rest[end:]
        self._filled = len(rest)
        self._small[: self._filled] = bytes(rest)  # they may overlap

    def _begin_large(self, size: int, beginning: memoryview) -> None:
        self._large = memoryview(bytearray(size))
        self._filled = len(beginning)
        self._large[: self._filled] = beginning

    def _give(self, answer: bytes) -> None:
        taker = self._taker()
        if taker is not None and taker.connected():
            taker.take(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The reader of the streams ends with it, and closes the connection."""
        self._streams.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """The same."""
        return self._streams.eof_received()

    def pause_writing(self) -> None:
        """The writer of the streams waits."""
        self._streams.pause_writing()

    def resume_writing(self) -> None:
        """It goes on."""
        self._streams.resume_writing()


class PromptConnection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that is known to be broken when it is written to, and not by its reader first.

    Where the broker has reset it, asyncio's transport takes what is written and drops it, uvloop's
    raises ``RuntimeError``: aiokafka expects no such thing, and gives up instead of sending again.
    """

    async def connect(self) -> Any:  # noqa: ANN401 - aiokafka's
        """Open it; when all is agreed on, ``Frames`` takes over.

        Raises:
            KafkaError: the broker refuses.
            OSError: it cannot be reached.
        """
        streams = await super().connect()
        if self.connected() and not self._reader._buffer:  # noqa: SLF001 - no public way
            self._writer.transport.set_protocol(Frames(self, self._protocol))
        return streams

    def take(self, answer: bytes) -> None:
        """Hand an answer to whoever waits for it."""
        self._handle_frame(answer)

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - aiokafka's
        """Send a request.

        Raises:
            KafkaConnectionError: the connection is closed.
        """
        try:
            return super().send(request, expect_response)
        except KafkaError:
            raise
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{self.host}:{self.port}: {error}") from error


def install() -> None:
    """Have aiokafka open such connections; there is no public way."""
    conn.AIOKafkaConnection = PromptConnection
