"""Distinct sessions and users out of the theta sketches that windows carry.

The bytes are those of Apache DataSketches, whose library reads them here as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from datasketches import compact_theta_sketch, theta_a_not_b, theta_union

_LG_K = 12
"""A union holds up to 4,096 units: a relative standard error of 1.6 %."""


class Units:
    """A set of distinct units: exact below some hundreds, close beyond.

    >>> Units.of([]).count
    0.0
    """

    __slots__ = ("_sketch",)

    def __init__(self, sketch: compact_theta_sketch) -> None:
        self._sketch = sketch

    @classmethod
    def of(cls, sketches: Iterable[bytes]) -> Units:
        """The units of any of these sketches."""
        every = theta_union(_LG_K)
        for sketch in sketches:
            every.update(compact_theta_sketch.deserialize(sketch))
        return cls(every.get_result())

    @property
    def count(self) -> float:
        """How many; a whole number where it is exact."""
        return float(self._sketch.get_estimate())

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the count; where that is exact, both are the count."""
        return float(self._sketch.get_lower_bound(2)), float(self._sketch.get_upper_bound(2))

    def __or__(self, other: Units) -> Units:
        every = theta_union(_LG_K)
        every.update(self._sketch)
        every.update(other._sketch)
        return Units(every.get_result())

    def __sub__(self, other: Units) -> Units:
        return Units(theta_a_not_b().compute(self._sketch, other._sketch))
