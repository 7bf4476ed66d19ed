"""Numbers as people say them: durations, shares, counts."""

from __future__ import annotations

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def spoken(seconds: float) -> str:
    """A duration in words, in the largest unit of which there is one at least.

    >>> spoken(600), spoken(3_700), spoken(5_400), spoken(4.2)
    ('10 minutes', '1 hour', '1.5 hours', '4 seconds')
    """
    for size, unit in _UNITS:
        if seconds >= size:
            return _counted(seconds / size, unit)
    return _counted(seconds, "second")


def percent(share: float) -> str:
    """A share as per cent.

    >>> percent(0.05), percent(0.001), percent(1)
    ('5 %', '0.1 %', '100 %')
    """
    return f"{100 * share:.3g} %"


def number(value: float) -> str:
    """A count without needless digits.

    >>> number(20), number(0.5), number(12_345.6)
    ('20', '0.5', '12,346')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _counted(value: float, unit: str) -> str:
    rounded = round(value) if value >= 3 else round(value, 1)
    return f"{rounded:g} {unit}" if rounded == 1 else f"{rounded:g} {unit}s"
