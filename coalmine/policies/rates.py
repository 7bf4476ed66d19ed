"""Rates and shares as users write them: ``20/s``, ``0.1%``."""

from __future__ import annotations

import math
import re

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*/\s*(?P<unit>s|min|m|h|d)")
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*%")


def per_second(text: str) -> float | None:
    """How many a second ``20/s``, ``90/m`` or ``5/h`` are; None if it is no rate.

    >>> per_second("20/s"), per_second("90/m"), per_second("many")
    (20.0, 1.5, None)
    """
    match = _RATE.fullmatch(text.strip())
    return float(match["number"]) / _SECONDS[match["unit"]] if match else None


def share_of_one(text: str) -> float | None:
    """The share that ``0.1%`` or ``0.001`` is, 0 to 1; None if it is none.

    >>> share_of_one("5%"), share_of_one("0.05"), share_of_one("120%"), share_of_one("few")
    (0.05, 0.05, None, None)
    """
    match = _PERCENT.fullmatch(text.strip())
    try:
        share = float(match["number"]) / 100 if match else float(text)
    except ValueError:
        return None
    return share if math.isfinite(share) and 0 <= share <= 1 else None
