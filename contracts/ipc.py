"""Arrow IPC streams read without Arrow: where the buffers of a batch lie in a message's bytes.

Arrow makes some hundred objects of a message, checks each column alone, and joins messages again:
more than half of what an event cost to count. Here a message is looked through for its buffers, and
whoever joins messages takes their bytes. Only what our agent writes is understood: one batch,
little-endian, not compressed, plain dictionaries. ``None`` means: ask Arrow.

No byte is trusted: numbers are read within the message or not at all, and what is read of the
buffers is bounded by it, so that the worst of a broken message is that it is not understood.

Reference: Apache Arrow, "Serialization and Interprocess Communication", and the flatbuffers schemas
``Message.fbs`` and ``Schema.fbs``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_CONTINUATION = 0xFFFFFFFF
_PREFIX = struct.Struct("<Ii")
_VIEW_BITS, _END_BITS = 128, 32
_KEPT_BYTES = 512
"""Larger dictionaries are read anew each time."""
_KEPT_FRAMES = 1024


class Buffer(NamedTuple):
    """Where bytes lie, counted from the start of a message's body."""

    offset: int
    length: int


class Node(NamedTuple):
    """A column's number of values, and of nulls among them."""

    length: int
    nulls: int


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """What the head of a batch, or of a dictionary's values, says of its body.

    It is equal to itself alone, as a ``Layout`` is, so that their ``Places`` can be remembered.
    """

    rows: int
    nodes: list[Node]
    buffers: list[Buffer]
    variadic: list[int]
    """For each column of views, how many buffers stand behind its views."""
    size: int
    dictionary: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What a message holds besides values: where its heads and its bodies stand."""

    heads: tuple[bytes, ...]
    starts: tuple[int, ...]
    """Where each head is in the message."""
    schema: bytes
    dictionaries: dict[int, tuple[bytes, int, int]]
    """The head of each, and where its body starts and ends."""
    body: Body
    data: slice
    """The bytes of the body."""


class Stream(NamedTuple):
    """A message and its frame."""

    payload: bytes
    frame: Frame
    data: memoryview
    """The bytes of its batch's body."""

    def texts(self, dictionary: int) -> tuple[str, ...]:
        """The values of a dictionary.

        Raises:
            ValueError: there is none, or what it holds is no text.
        """
        head, start, end = self.frame.dictionaries.get(dictionary, (b"", 0, 0))
        if end - start > _KEPT_BYTES:
            return _texts_of(head, self.payload[start:end])
        return _kept_texts(head, self.payload[start:end])


_frames: dict[int, Frame] = {}
"""The last frame of each size of a message: an agent's batches of one size most often share it."""


def read_stream(payload: bytes) -> Stream | None:
    """The first batch of an IPC stream, ``None`` where it is not understood."""
    frame = _frames.get(len(payload))
    if frame is None or not all(map(payload.startswith, frame.heads, frame.starts)):
        try:
            frame = _frame_of(payload)
        except (struct.error, ValueError):  # beyond its end
            return None
        if frame is None:
            return None
        if len(_frames) >= _KEPT_FRAMES:
            _frames.clear()
        _frames[len(payload)] = frame
    return Stream(payload, frame, memoryview(payload)[frame.data])


def _frame_of(payload: bytes) -> Frame | None:
    """The frame of a message, which depends on its heads and its size alone."""
    schema, at = _head(payload, 0)
    heads, starts = [payload[:at]], [0]
    dictionaries: dict[int, tuple[bytes, int, int]] = {}
    while True:
        head, start = _head(payload, at)
        heads.append(payload[at:start])
        starts.append(at)
        body = _body_of(head)
        if body is None or body.size < 0 or start + body.size > len(payload):
            return None
        at = start + body.size
        if body.dictionary is None:
            place = slice(start, at)
            return Frame(tuple(heads), tuple(starts), schema, dictionaries, body, place)
        if body.dictionary in dictionaries:
            return None  # a replacement
        dictionaries[body.dictionary] = head, start, at


def _head(payload: bytes, at: int) -> tuple[bytes, int]:
    """The metadata that stands here, and where its body starts."""
    mark, size = _PREFIX.unpack_from(payload, at)
    start = at + _PREFIX.size
    if mark != _CONTINUATION or size <= 0 or start + size > len(payload):
        raise ValueError("no message")
    return payload[start : start + size], start + size


def _texts_of(head: bytes, body: bytes) -> tuple[str, ...]:
    found = _body_of(head) if head else None
    if found is None or len(found.nodes) != 1 or len(found.buffers) != 3:
        raise ValueError("no dictionary of texts")
    [(rows, nulls)], (_, at, text) = found.nodes, found.buffers
    if nulls or rows != found.rows or not _is_within(at, len(body), 4 * (rows + 1)):
        raise ValueError("not as many texts as it says")
    ends = np.frombuffer(body, "<i4", rows + 1, at.offset).tolist()
    if not _is_within(text, len(body), ends[-1]) or ends[0] < 0 or sorted(ends) != ends:
        raise ValueError("texts that end before they start")
    values = body[text.offset : text.offset + ends[-1]]
    return tuple(values[a:b].decode() for a, b in pairwise(ends))


_kept_texts = lru_cache(maxsize=2048)(_texts_of)


def _is_within(buffer: Buffer, size: int, needed: int) -> bool:
    end = buffer.offset + buffer.length
    return buffer.offset >= 0 and needed <= buffer.length and end <= size


@lru_cache(maxsize=2048)
def _body_of(head: bytes) -> Body | None:
    """What the metadata of a dictionary or a batch says; ``None`` for what is not understood."""
    message = _Table.root(head)
    kind, size = message.number(1, "<B"), message.number(3, "<q")
    found = message.table(2)
    if found is None or kind not in (_DICTIONARY, _BATCH):
        return None
    dictionary = None
    if kind == _DICTIONARY:
        dictionary, is_delta = found.number(0, "<q"), found.number(2, "<B")
        found = found.table(1)
        if found is None or is_delta:
            return None
    if found.has(3):  # compressed
        return None
    return Body(
        found.number(0, "<q"),
        [*map(Node._make, found.vector(1, "qq"))],
        [*map(Buffer._make, found.vector(2, "qq"))],
        [count for (count,) in found.vector(4, "q")],
        size,
        dictionary,
    )


class Column(NamedTuple):
    """Of a schema: the number of its validity buffer, which its others follow."""

    first: int
    bits: int
    """Of a value, or of where a text ends."""
    is_text: bool


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The columns of a schema, in order, and which dictionary belongs to each."""

    schema: pa.Schema
    columns: dict[str, Column]
    dictionaries: dict[str, int]
    views: int
    buffers: int


class Places(NamedTuple):
    """Where the columns of a batch lie, all within its body."""

    rows: int
    nulls: dict[str, int]
    """How many each column has."""
    validity: dict[str, slice]
    """Of the columns that have nulls."""
    values: dict[str, slice]
    """Where a column is of texts: where they start, and the last one ends."""
    texts: dict[str, slice]


@lru_cache(maxsize=2048)
def places_of(layout: Layout, body: Body) -> Places | None:
    """Where a batch's columns lie; ``None`` where it has others, or texts outside of views."""
    has_all = len(body.nodes) == len(layout.columns) and len(body.buffers) == layout.buffers
    is_flat = all(length == body.rows and 0 <= nulls <= length for length, nulls in body.nodes)
    if not has_all or not is_flat or body.variadic != [0] * layout.views:
        return None
    found = Places(body.rows, {}, {}, {}, {})
    try:
        for (name, column), node in zip(layout.columns.items(), body.nodes, strict=True):
            found.nulls[name] = node.nulls
            if node.nulls:
                found.validity[name] = _place(body, column.first, (body.rows + 7) // 8)
            size = (column.bits * (body.rows + column.is_text) + 7) // 8
            found.values[name] = _place(body, column.first + 1, size)
            if column.is_text:
                text = column.first + 2
                found.texts[name] = _place(body, text, body.buffers[text].length)
    except ValueError:
        return None
    return found


def _place(body: Body, number: int, size: int) -> slice:
    """So many bytes of a buffer.

    Raises:
        ValueError: it is not that long.
    """
    buffer = body.buffers[number]
    if size < 0 or not _is_within(buffer, body.size, size):
        raise ValueError("shorter than its batch")
    return slice(buffer.offset, buffer.offset + size)


@lru_cache(maxsize=256)
def layout_of(schema: bytes) -> Layout | None:
    """The layout of flat batches of a schema, given its metadata; ``None`` for any other."""
    dictionaries = _dictionary_ids(schema)
    if dictionaries is None:
        return None
    try:
        read = pa.ipc.read_schema(pa.py_buffer(_PREFIX.pack(_CONTINUATION, len(schema)) + schema))
    except (pa.ArrowException, OSError, ValueError):
        return None
    columns: dict[str, Column] = {}
    views = buffers = 0
    for field in read:
        is_view, is_text = pa.types.is_string_view(field.type), pa.types.is_string(field.type)
        is_known = is_view or is_text or pa.types.is_primitive(field.type)
        if field.name in columns or not (is_known or pa.types.is_dictionary(field.type)):
            return None
        bits = _VIEW_BITS if is_view else _END_BITS if is_text else field.type.bit_width
        columns[field.name] = Column(buffers, bits, is_text)
        buffers += 3 if is_text else 2
        views += is_view
    return Layout(read, columns, dictionaries, views, buffers)


def _dictionary_ids(schema: bytes) -> dict[str, int] | None:
    """The number of each dictionary, by column; ``None`` where numbers are not little-endian."""
    try:
        message = _Table.root(schema)
        found = message.table(2)
        if message.number(1, "<B") != _SCHEMA or found is None or found.number(0, "<h"):
            return None
        fields = found.tables(1)
        coded = [(field.text(0), field.table(4)) for field in fields]
        return {name: told.number(0, "<q") for name, told in coded if told is not None}
    except (struct.error, ValueError):
        return None


class _Table:
    """A table of flatbuffers: its fields by their number."""

    def __init__(self, data: bytes, at: int) -> None:
        if at < 0:
            raise ValueError("before the start")
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0:
            raise ValueError("before the start")
        self._size = struct.unpack_from("<H", data, self._fields)[0]

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The table that a buffer holds."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def has(self, number: int) -> bool:
        """Whether a field was written."""
        return self._place(number) > 0

    def number(self, number: int, form: str) -> int:
        """A field that is a number, 0 where it was not written."""
        place = self._place(number)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def table(self, number: int) -> _Table | None:
        """A field that is a table."""
        place = self._place(number)
        return _Table(self._data, self._target(place)) if place else None

    def text(self, number: int) -> str:
        """A field that is a text."""
        start, count = self._vector(number)
        return self._data[start : start + count].decode()

    def tables(self, number: int) -> list[_Table]:
        """A field that is a vector of tables."""
        start, count = self._vector(number)
        return [_Table(self._data, self._target(start + 4 * i)) for i in range(count)]

    def vector(self, number: int, form: str) -> list[tuple[int, ...]]:
        """A field that is a vector of structs."""
        start, count = self._vector(number)
        size = struct.calcsize(f"<{form}")
        if start + count * size > len(self._data):
            raise ValueError("beyond the end")
        return list(struct.iter_unpack(f"<{form}", self._data[start : start + count * size]))

    def _vector(self, number: int) -> tuple[int, int]:
        place = self._place(number)
        if not place:
            return 0, 0
        start = self._target(place)
        count = struct.unpack_from("<I", self._data, start)[0]
        if start + 4 + count > len(self._data):
            raise ValueError("beyond the end")
        return start + 4, count

    def _target(self, place: int) -> int:
        return int(place + struct.unpack_from("<I", self._data, place)[0])

    def _place(self, number: int) -> int:
        at = 4 + 2 * number
        if at + 2 > self._size:
            return 0
        offset = struct.unpack_from("<H", self._data, self._fields + at)[0]
        return self._at + offset if offset else 0
