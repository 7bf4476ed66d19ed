"""Distinct sessions and users: theta sketches, exact below some thousands, mergeable in any order.

A sketch travels as bytes; no bytes at all stand for nothing seen. Up to ``2**LG_K`` distinct units
it holds a hash of each, so counts and differences are exact; beyond that it keeps the smallest
hashes, and counts have a relative standard error of 1.6 %.

Reference: Dasgupta, Lang, Rhodes & Thaler, ICDT 2016 (theta sketches; Apache DataSketches).

>>> one, other = sketch([1, 2, 3]), sketch([3, 4])
>>> count(union(one, other)), count(minus(one, other)), count(NOTHING)
(4.0, 2.0, 0.0)
"""

from __future__ import annotations

from collections.abc import Iterable

from datasketches import (
    compact_theta_sketch,
    theta_a_not_b,
    theta_union,
    update_theta_sketch,
)

LG_K = 12
NOTHING = b""


def sketch(hashes: Iterable[int]) -> bytes:
    """Sketch of units, each given by a 64-bit hash of its id; repeated ones count once."""
    made = update_theta_sketch(LG_K)
    for value in hashes:
        made.update(value)
    return bytes(made.compact().serialize())


def union(one: bytes, other: bytes) -> bytes:
    """Units of either."""
    if not one or not other:
        return one or other
    both = theta_union(LG_K)
    both.update(_read(one))
    both.update(_read(other))
    return bytes(both.get_result().serialize())


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
