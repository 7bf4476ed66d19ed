"""Distinct sessions and users: theta sketches, exact below some thousands, mergeable in any order.

A sketch travels as bytes; no bytes at all stand for nothing seen. Up to ``2**LG_K`` distinct units
it holds a hash of each, so counts and differences are exact; beyond that it keeps the smallest
hashes, and counts have a relative standard error of 1.6 %.

Reference: Dasgupta, Lang, Rhodes & Thaler, ICDT 2016 (theta sketches; Apache DataSketches).

>>> one, other = (sketch(ids.mixed(np.array(u, np.uint64))) for u in ([1, 2, 3], [3, 4]))
>>> count(union(one, other)), count(minus(one, other)), count(NOTHING)
(4.0, 2.0, 0.0)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from datasketches import compact_theta_sketch, theta_a_not_b, theta_union, update_theta_sketch

from streams.windows import ids
from streams.windows.grouping import stretches

LG_K = 12
NOTHING = b""
_FEW = 8
"""Units to a group, below which a call for each group costs more than an order of all."""
_LARGE = 1_600
"""Bytes of two sketches, beyond which merging their hashes costs less than the library's union."""

_EMPTY = bytes(update_theta_sketch(LG_K).compact().serialize())
_HEAD = b"\x03\x03\x00\x00\x1a" + _EMPTY[6:8]
"""Serial version 3, compact and ordered, and the library's seed."""
_WITH_THETA = 3
"""Longs before the hashes of a sketch that does not hold them all; the last one is its theta."""
_EVERY = (1 << 63) - 1
"""Theta of a sketch that holds them all: no hash is larger."""


def sketch(hashes: ids.Hashes) -> bytes:
    """Sketch of units, each given by a uniform 64-bit hash; repeated ones count once."""
    entries = np.unique(_entries(hashes))
    return _of_entries(entries) if len(entries) else NOTHING


def sketches(groups: npt.NDArray[np.int64], hashes: ids.Hashes) -> Iterator[tuple[int, bytes]]:
    """The sketch of each group's units: ``groups`` (n,) of the units with these ``hashes`` (n,)."""
    if not len(hashes):
        return
    small = groups.astype(np.min_scalar_type(int(groups.max())))  # sorted by radix
    order = np.argsort(small, kind="stable")
    groups, entries = small.take(order), _entries(hashes.take(order))
    starts, ends = stretches(groups)
    if len(entries) < _FEW * len(starts):
        entries = entries[np.lexsort((entries, groups))]
    else:
        for start, end in zip(starts, ends, strict=True):
            entries[start:end].sort()  # faster than to find an order of all, and to go by it
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (entries[1:] != entries[:-1]) | (groups[1:] != groups[:-1])
    if not is_new.all():
        groups, entries = groups[is_new], entries[is_new]
        starts, ends = stretches(groups)
    for group, start, end in zip(groups[starts].tolist(), starts, ends, strict=True):
        yield group, _of_entries(entries[start:end])


def union(one: bytes, other: bytes) -> bytes:
    """Units of either."""
    if not one or not other:
        return one or other
    if len(one) + len(other) > _LARGE:
        entries = _distinct(np.concatenate((_entries_of(one), _entries_of(other))))
        theta = min(_theta_of(one), _theta_of(other))
        return _of_entries(entries[: np.searchsorted(entries, np.uint64(theta))], theta)
    both = theta_union(LG_K)
    both.update(_read(one))
    both.update(_read(other))
    return bytes(both.get_result().serialize())


def union_of(sketches: Iterable[bytes], lg_k: int = LG_K) -> bytes:
    """Units of any of them, of which at most ``2**lg_k`` are held."""
    some = [_read(one) for one in sketches if one]
    if not some:
        return NOTHING
    every = theta_union(lg_k)
    for one in some:
        every.update(one)
    return bytes(every.get_result().serialize())


def minus(one: bytes, other: bytes) -> bytes:
    """Units of ``one`` that are not in ``other``."""
    if not one or not other:
        return one
    return bytes(theta_a_not_b().compute(_read(one), _read(other)).serialize())


def count(units: bytes) -> float:
    """How many distinct units; a whole number while ``is_exact``."""
    return float(_read(units).get_estimate()) if units else 0.0


def is_exact(units: bytes) -> bool:
    """Whether every unit is held."""
    return not units or not _read(units).is_estimation_mode()


def _read(units: bytes) -> compact_theta_sketch:
    return compact_theta_sketch.deserialize(units)


def _entries(hashes: ids.Hashes) -> ids.Hashes:
    """What a theta sketch keeps: 63 bits, never 0."""
    entries: ids.Hashes = np.maximum(hashes >> np.uint64(1), np.uint64(1))
    return entries


def _entries_of(units: bytes) -> ids.Hashes:
    """The entries of a sketch, ascending."""
    return np.frombuffer(units, np.uint64, offset=8 * units[0])


def _theta_of(units: bytes) -> int:
    """What all entries of a sketch are below; it holds all that are."""
    return int.from_bytes(units[16:24], "little") if units[0] == _WITH_THETA else _EVERY


def _distinct(runs: ids.Hashes) -> ids.Hashes:
    """Entries of ascending runs, each once and ascending; sorted in place."""
    runs.sort(kind="stable")  # merges what is in order
    is_new = np.ones(len(runs), np.bool_)
    np.not_equal(runs[1:], runs[:-1], out=is_new[1:])
    return runs if is_new.all() else runs[is_new]


def _of_entries(entries: ids.Hashes, theta: int = _EVERY) -> bytes:
    """The serialised sketch of all entries below ``theta``, distinct and ascending, at least one.

    The library adds units one by one, and to a hash table; this gives the same to the byte. Where
    there are more than it is to hold, it holds the smallest, and the next one is its theta.
    """
    most = 1 << LG_K
    if len(entries) > most:
        entries, theta = entries[:most], int(entries[most])
    count = len(entries)
    if theta < _EVERY:
        told = count.to_bytes(8, "little") + theta.to_bytes(8, "little")
        return b"".join((b"\x03", _HEAD, told, entries.data))
    if count == 1:
        return b"\x01" + _HEAD + entries.tobytes()
    return b"".join((b"\x02", _HEAD, count.to_bytes(8, "little"), entries.data))
