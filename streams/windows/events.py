"""Events of many messages as plain columns, whoever sent them and in whatever form.

What our agent writes is read by ``contracts.ipc``, many messages at once; everything else comes as
Arrow's batches. Whether a message is read the one way or the other depends on nothing but itself,
so that it says the same whatever it is read together with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow, ipc
from contracts.arrivals import bounded
from contracts.policy import Policies, Unit
from contracts.records import RecordKind
from streams.windows.grouping import UNKNOWN, Coded, Rows, codes_of
from streams.windows.ids import VIEW, Hashes, hashes_of, hashes_of_views

_LABELS = ("service", "release", "host", "arm", "name")
_NO_CODES = np.zeros(0, np.int64)
_MISSING = {"name": UNKNOWN}
_NUMBERS: dict[str, tuple[type[np.generic], float]] = {
    "time": (np.int64, 0),
    "status": (np.int16, 0),
    "size_bytes": (np.int64, 0),
    "duration_ms": (np.float32, math.nan),
}
"""Types, and what stands for a null."""
_CODES: dict[int, type[np.generic]] = {8: np.uint8, 32: np.uint32}
"""Bits of a code to its type; as in Arrow, the highest bit stands for none."""


class Ids(NamedTuple):
    """Ids of one column: ``hashes`` (n,), and which rows have one (n,); all where not given."""

    hashes: Hashes
    is_known: npt.NDArray[np.bool_] | None

    def known(self, rows: Rows) -> Rows:
        """Those of the rows that have an id."""
        if self.is_known is None:
            return rows
        if isinstance(rows, slice):
            return np.flatnonzero(self.is_known)
        return rows[self.is_known[rows]]


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of n events, in any order."""

    numbers: dict[str, npt.NDArray[Any]]
    """``time``, ``status``, ``size_bytes``, ``duration_ms`` and ``ok``, each (n,)."""
    labels: dict[str, Coded]
    """``agent``, where it is known, and ``route``, where a service is counted by it, included."""
    ids: dict[Unit, Ids]
    """Those that are counted, of whom there are any."""

    def __len__(self) -> int:
        return len(self.numbers["time"])


def of_batch(batch: pa.RecordBatch, policies: Policies, agents: Coded | None) -> Events:
    """The events of a batch; ``agents`` tell who sent each of them."""
    numbers = {name: arrow.numbers(batch.column(name), n) for name, (_, n) in _NUMBERS.items()}
    numbers["ok"] = arrow.numbers(batch.column("ok"), null=True)
    labels = {n: codes_of(batch.column(n), _MISSING.get(n, "")) for n in _LABELS}
    if agents is not None:
        labels["agent"] = agents
    if any(map(policies.is_stratified, labels["service"][1])):
        labels["route"] = codes_of(batch.column("route"))
    return Events(numbers, labels, ids_of(batch, policies))


def ids_of(batch: pa.RecordBatch, policies: Policies) -> dict[Unit, Ids]:
    """The ids in a batch of events or crashes, as far as a policy counts by them."""

    def ids(name: str) -> Ids | None:
        column = batch.column(name)
        if column.null_count == len(column):
            return None
        is_known = arrow.numbers(column.is_valid()) if column.null_count else None
        return Ids(hashes_of(column), is_known)

    return _units(ids, policies)


def _units(ids: Callable[[str], Ids | None], policies: Policies) -> dict[Unit, Ids]:
    """What stands for a session and for a user: a user stands for a session that is missing.

    Args:
        ids: those of a column, where there are any.
        policies: what none of them counts by is not read.
    """
    is_by_session = Unit.SESSION in policies.units
    sessions = ids("session") if is_by_session else None
    users = ids("user") if is_by_session or Unit.USER in policies.units else None
    if sessions and users and sessions.is_known is not None:
        has_any = None if users.is_known is None else sessions.is_known | users.is_known
        sessions = Ids(np.where(sessions.is_known, sessions.hashes, users.hashes), has_any)
    found = {Unit.SESSION: sessions or users, Unit.USER: users}
    return {unit: ids for unit, ids in found.items() if ids and unit in policies.units}


def joined(parts: Sequence[Events]) -> Events:
    """All events of the parts, at least one, in order."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part) for part in parts]
    numbers = {
        name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers
    }
    names = dict.fromkeys(name for part in parts for name in part.labels)
    labels = {}
    for name in names:
        nothing = [(np.zeros(size, np.int64), [""]) for size in sizes]
        found = [part.labels.get(name, no) for part, no in zip(parts, nothing, strict=True)]
        codes = np.concatenate([codes for codes, _ in found])
        labels[name] = _joined_codes(codes, [values for _, values in found], sizes)
    units = dict.fromkeys(unit for part in parts for unit in part.ids)
    ids = {unit: _joined_ids([part.ids.get(unit) for part in parts], sizes) for unit in units}
    return Events(numbers, labels, ids)


def _joined_ids(parts: Sequence[Ids | None], sizes: Sequence[int]) -> Ids:
    nobody = [
        Ids(np.zeros(size, np.uint64), np.zeros(size, np.bool_)) if part is None else part
        for part, size in zip(parts, sizes, strict=True)
    ]
    known = [
        np.ones(size, np.bool_) if part.is_known is None else part.is_known
        for part, size in zip(nobody, sizes, strict=True)
    ]
    return Ids(np.concatenate([part.hashes for part in nobody]), np.concatenate(known))


def _joined_codes(
    codes: npt.NDArray[Any],
    values: Sequence[Sequence[str]],
    sizes: Sequence[int],
    missing: str = "",
) -> Coded:
    """One column of codes (n,); those of each part are within its values."""
    places: dict[str, int] = {}
    if len(set(map(id, values))) == 1:  # all have the very same
        values = values[:1]
    table = np.array(
        [places.setdefault(v or missing, len(places)) for some in values for v in some], np.int64
    )
    if len(places) == 1:
        return np.zeros(sum(sizes), np.int64), list(places)
    if all(len(some) == 1 for some in values):
        return np.repeat(table, sizes), list(places)
    if len(values) == 1:
        return table[codes], list(places)
    starts = np.cumsum([0, *map(len, values)])[:-1]
    return table.take(codes + np.repeat(starts, sizes)), list(places)


class Sent(NamedTuple):
    """A message of an agent that can be read without Arrow."""

    stream: ipc.Stream
    layout: ipc.Layout
    places: ipc.Places
    agent: str
    arrived: int
    """No event happened later than this, epoch milliseconds."""


def understood(payload: bytes, agent: str, arrived: int) -> Sent | None:
    """The message, if its bytes have the form that our agent writes."""
    stream = ipc.read_stream(payload)
    layout = stream and ipc.layout_of(stream.frame.schema)
    if stream is None or layout is None or not _is_of_events(layout):
        return None
    places = ipc.places_of(layout, stream.frame.body)
    if places is None or places.rows < 1:
        return None
    return Sent(stream, layout, places, agent, arrived)


@lru_cache(maxsize=256)
def _is_of_events(layout: ipc.Layout) -> bool:
    return arrow.is_of(RecordKind.EVENTS, layout.schema)


def of_messages(sent: Sequence[Sent], policies: Policies) -> Events | None:
    """The events of messages with one layout, at least one.

    Returns:
        ``None`` where any of them holds what Arrow must look at: labels that are null or beyond
        their dictionary, ids that are not plain ASCII, events from the future, buffers too short.
    """
    columns = _Columns(sent)
    try:
        numbers = {name: columns.numbers(name) for name in _NUMBERS}
        numbers["ok"] = columns.bits("ok")
        numbers["time"] = columns.arrived(numbers["time"])
        labels = {n: columns.coded(n, _MISSING.get(n, "")) for n in _LABELS}
        if any(map(policies.is_stratified, labels["service"][1])):
            labels["route"] = columns.coded("route", "")
        agents = [[one.agent] for one in sent]
        labels["agent"] = _joined_codes(_NO_CODES, agents, columns.sizes)
        units = _units(columns.ids, policies)
    except ValueError:
        return None
    return Events(numbers, labels, units)


class _Columns:
    """Columns of messages with one layout; what Arrow must look at is a ``ValueError``."""

    def __init__(self, sent: Sequence[Sent]) -> None:
        self._sent = sent
        self._layout = sent[0].layout
        self._places = list({id(one.places): one.places for one in sent}.values())
        """Most messages have the same."""
        self.sizes = [one.places.rows for one in sent]
        self._starts = np.cumsum([0, *self.sizes])[:-1]

    def arrived(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The times (n,), of which none is later than the arrival of its message."""
        if self._nulls("time"):
            raise ValueError("no time")
        latest = np.maximum.reduceat(times, self._starts)
        arrived = np.array([one.arrived for one in self._sent])
        if (latest <= arrived).all():
            return times
        times, is_early = bounded(times, np.repeat(arrived, self.sizes))
        if is_early.any():
            raise ValueError("from the future")
        return times

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """The values of a column, (n,)."""
        type_, null = _NUMBERS[name]
        values, is_valid = self._values(name, type_), self._validity(name)
        return values if is_valid is None else np.where(is_valid, values, np.array(null, type_))

    def bits(self, name: str) -> npt.NDArray[np.bool_]:
        """The values of a column of booleans, (n,); a null is true."""
        values, is_valid = self._unpacked(self._parts(name)), self._validity(name)
        return values if is_valid is None else values | ~is_valid

    def coded(self, name: str, missing: str) -> Coded:
        """Codes (n,) of a column of labels, and their values."""
        if self._nulls(name):
            raise ValueError("a label that is null")
        number = self._layout.dictionaries[name]
        values = [one.stream.texts(number) for one in self._sent]
        bits = self._layout.columns[name].bits
        codes, most = self._values(name, _CODES[bits]), 1 << (bits - 1)
        largest = np.maximum.reduceat(codes, self._starts)
        if (largest >= [min(len(some), most) for some in values]).any():
            raise ValueError("a code beyond its dictionary")
        return _joined_codes(codes, values, self.sizes, missing)

    def ids(self, name: str) -> Ids | None:
        """Hashes of a column of ids, where there are any."""
        if self._nulls(name) == sum(self.sizes):
            return None
        is_known = self._validity(name)
        if pa.types.is_string_view(self._layout.schema.field(name).type):
            return Ids(hashes_of_views(self._values(name, VIEW)), is_known)
        texts = []
        for one, part in zip(self._sent, self._parts(name), strict=True):
            ends = np.frombuffer(part, np.int32)
            if ends[0] < 0 or (ends[1:] < ends[:-1]).any():
                raise ValueError("an id that ends before it starts")
            text = np.frombuffer(one.stream.data[one.places.texts[name]], np.uint8, int(ends[-1]))
            if text.max(initial=0) > 0x7F:
                raise ValueError("not ASCII")
            buffers = [None, pa.py_buffer(np.ascontiguousarray(ends)), pa.py_buffer(text)]
            texts.append(pa.Array.from_buffers(pa.utf8(), one.places.rows, buffers))
        return Ids(hashes_of(pa.concat_arrays(texts)), is_known)

    def _nulls(self, name: str) -> int:
        if not any(places.nulls[name] for places in self._places):
            return 0
        return sum(one.places.nulls[name] for one in self._sent)

    def _parts(self, name: str) -> list[memoryview]:
        """The bytes of a column's values in each message."""
        return [one.stream.data[one.places.values[name]] for one in self._sent]

    def _values(self, name: str, type_: type[np.generic] | np.dtype[np.void]) -> npt.NDArray[Any]:
        return np.frombuffer(b"".join(self._parts(name)), type_)

    def _validity(self, name: str) -> npt.NDArray[np.bool_] | None:
        """Which rows have a value, (n,), where not all do."""
        if not self._nulls(name):
            return None
        return self._unpacked(
            [
                one.stream.data[one.places.validity[name]]
                if one.places.nulls[name]
                else b"\xff" * ((one.places.rows + 7) // 8)
                for one in self._sent
            ]
        )

    def _unpacked(self, parts: Sequence[bytes | memoryview]) -> npt.NDArray[np.bool_]:
        """The bits of each message, (n,), without those that fill its last byte."""
        packed = np.frombuffer(b"".join(parts), np.uint8)
        bits: npt.NDArray[np.bool_] = np.unpackbits(packed, bitorder="little").view(np.bool_)
        filling = np.array([-size % 8 for size in self.sizes])
        if filling.any():
            before = np.cumsum(filling) - filling
            bits = bits[np.arange(sum(self.sizes)) + np.repeat(before, self.sizes)]
        return bits
