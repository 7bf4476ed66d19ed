"""Connections to Kafka by themselves; whole workers lose theirs in tests/faults."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest
from hypothesis import given
from hypothesis import strategies as st

from streams import durable  # noqa: F401 - its connections are aiokafka's from now on
from streams.connection import Frames

SIZES = (0, 1, 3, 4, 100, 30_000, 65_531, 65_532, 65_533, 65_536, 200_000)
"""Of answers; with its size in front, one of 65,532 is the largest that fits the small buffer."""
IMPOSSIBLE = struct.pack(">i", -4)


class Taker:
    """Keeps what it is given, until it has had enough."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.taken: list[bytes] = []

    def connected(self) -> bool:
        """Whether it takes more."""
        return len(self.taken) < self.most

    def take(self, answer: bytes) -> None:
        """Keep one."""
        self.taken.append(answer)


def answers_of(sizes: list[int]) -> list[bytes]:
    """No two alike, none of one byte alone."""
    return [
        (struct.pack(">i", number) * (size // 4 + 1))[:size] for number, size in enumerate(sizes, 1)
    ]


def feed(frames: Frames, sent: bytes, pieces: list[int]) -> None:
    """Give what was sent in pieces, none larger than there is room for."""
    rest = memoryview(sent)
    for piece in itertools.cycle(pieces):
        if not rest:
            return
        room = frames.get_buffer(-1)
        size = min(piece, len(room), len(rest))
        assert size, "no room"
        room[:size] = rest[:size]
        frames.buffer_updated(size)
        rest = rest[size:]


def frames_for(taker: Taker) -> Frames:
    """Of no connection."""
    loop = asyncio.new_event_loop()
    try:
        return Frames(
            taker, asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
        )
    finally:
        loop.close()


@given(
    st.lists(st.sampled_from(SIZES), max_size=8),
    st.lists(st.sampled_from((1_000, 4_096, 65_536, 1_000_000)), min_size=1, max_size=5),
    st.lists(st.integers(1, 7), max_size=3),
)
def test_answers_are_whole_however_they_arrive(
    sizes: list[int], pieces: list[int], small: list[int]
) -> None:
    """In pieces of any size, several to a piece, one in many: each once, in their order."""
    taker, answers = Taker(), answers_of(sizes)
    sent = b"".join(struct.pack(">i", len(answer)) + answer for answer in answers)
    feed(frames_for(taker), sent, small + pieces)
    assert taker.taken == answers


def test_who_is_closed_takes_nothing_more() -> None:
    """Aiokafka has forgotten what it asked for."""
    taker = Taker(most=1)
    feed(frames_for(taker), b"\0\0\0\1a\0\0\0\1b", [100])
    assert taker.taken == [b"a"]


def test_what_cannot_be_kafkas_is_refused() -> None:
    """A size below nothing would be read for ever."""
    with pytest.raises(ValueError, match="-4 bytes"):
        feed(frames_for(Taker()), IMPOSSIBLE + b"abcd", [100])


class _Request:
    """Of no content, as aiokafka's are asked for theirs."""

    def prepare(self, _versions: object) -> _Request:
        return self

    def build_request_header(self, **_: object) -> _Request:
        return self

    def encode(self) -> bytes:
        return b""


def test_a_connection_that_was_reset_is_broken_when_it_is_written_to() -> None:
    """Kafka's client connects again and sends again, where it gave up for good."""

    async def live() -> None:
        server = await asyncio.start_server(lambda _, at_server: at_server.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = conn.AIOKafkaConnection("127.0.0.1", port)
        opened = await asyncio.open_connection("127.0.0.1", port)
        connection._reader, connection._writer = opened
        connection._read_task = asyncio.create_task(asyncio.sleep(60))  # has not noticed anything
        try:
            assert connection.connected()
            connection._writer.transport.abort()
            await asyncio.sleep(0.05)
            with pytest.raises(KafkaConnectionError, match="closed"):
                connection.send(_Request())
            assert not connection.connected()
        finally:
            connection.close()
            server.close()

    uvloop.run(live())


async def answer_versions(
    served: asyncio.Queue[asyncio.StreamWriter],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Say that only this question is understood; leave the next one to the test."""
    asked = await read_request(reader)
    answer = asked[4:8] + struct.pack(">hihhh", 0, 1, ApiVersionRequest.API_KEY, 0, 0)
    writer.write(struct.pack(">i", len(answer)) + answer)
    await read_request(reader)
    await served.put(writer)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """What is asked, without its size."""
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\5abcd", b"\0\2\0\0abcd", IMPOSSIBLE])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_ends_early_is_broken(
    run: Callable[[Coroutine[Any, Any, None]], None], said: bytes
) -> None:
    """Whoever waits for an answer is told, and the connection is made anew."""

    async def live() -> None:
        served: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        server = await asyncio.start_server(partial(answer_versions, served), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = conn.AIOKafkaConnection("127.0.0.1", port)
        await connection.connect()
        assert isinstance(connection._writer.transport.get_protocol(), Frames)
        waiting = connection.send(ApiVersionRequest())
        writer = await served.get()
        writer.write(said)
        if said != IMPOSSIBLE:
            writer.close()
        try:
            with pytest.raises(KafkaConnectionError):
                await asyncio.wait_for(waiting, 5)
            assert not connection.connected()
        finally:
            connection.close()
            writer.close()
            server.close()

    run(live())
