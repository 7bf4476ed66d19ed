"""Two sides compared once: rate ratios and quantile differences with 95 % intervals. Pure.

These intervals hold for one look at a stretch of time that was chosen beforehand; a rollout's own
intervals hold however often somebody looks, and are wider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import betaincinv

from contracts.histogram import RELATIVE_WIDTH
from contracts.results import RelativeRisk
from dashboard.figures.latency import quantile

_TAIL = 0.025
_Z = 1.959964
_FEW = 20
"""So many values must lie beyond a quantile for its interval to mean anything."""


def rate_ratio(bad: float, of: float, base_bad: float, base_of: float) -> RelativeRisk:
    """One side's rate divided by the other's, with Clopper and Pearson's interval.

    Given how many bad outcomes both sides had, each fell on the first one with a probability that
    only the ratio of the rates, and the known exposures, decide.

    Args:
        bad: bad outcomes of the side that is asked about.
        of: its exposures.
        base_bad: bad outcomes of the other side.
        base_of: its exposures.

    >>> found = rate_ratio(30, 1000, 10, 1000)
    >>> round(found.estimate, 2), round(found.lower, 2), round(found.upper, 2)
    (3.0, 1.43, 6.88)
    >>> rate_ratio(5, 100, 0, 100).upper is None
    True
    """
    if min(of, base_of) <= 0 or bad + base_bad <= 0:
        return RelativeRisk()
    odds = base_of / of

    def ratio(share: float) -> float:
        return odds * share / (1 - share)

    lower = ratio(float(betaincinv(bad, base_bad + 1, _TAIL))) if bad else 0.0
    upper = ratio(float(betaincinv(bad + 1, base_bad, 1 - _TAIL))) if base_bad else None
    estimate = bad / of / (base_bad / base_of) if base_bad else None
    return RelativeRisk(estimate=estimate, lower=lower, upper=upper)


def differs(risk: RelativeRisk) -> bool:
    """Whether the interval leaves out that both are the same.

    >>> differs(RelativeRisk(lower=1.2)), differs(RelativeRisk(lower=0.8, upper=1.1))
    (True, False)
    """
    return (risk.lower or 0.0) > 1 or (risk.upper is not None and risk.upper < 1)


@dataclass(frozen=True, slots=True)
class QuantileChange:
    """One quantile of both sides, in milliseconds, and the factor between them."""

    q: float
    here: float | None
    there: float | None
    risk: RelativeRisk


def quantile_change(here: Mapping[int, int], there: Mapping[int, int], q: float) -> QuantileChange:
    """How a quantile differs, with an interval from the order statistics of both sides.

    Args:
        here: histogram of the side that is asked about; bins of ``contracts.histogram``.
        there: of the other side.
        q: between 0 and 1.

    >>> found = quantile_change({100: 500, 150: 500}, {100: 1000}, 0.9)
    >>> found.risk.lower > 1
    True
    """
    a, b = quantile(here, q), quantile(there, q)
    if not a or not b:
        return QuantileChange(q, a, b, RelativeRisk())
    estimate = a / b
    errors = [_error(histogram, q) for histogram in (here, there)]
    if None in errors:
        return QuantileChange(q, a, b, RelativeRisk(estimate=estimate))
    width = math.exp(_Z * math.hypot(*(error for error in errors if error is not None)))
    return QuantileChange(
        q, a, b, RelativeRisk(estimate=estimate, lower=estimate / width, upper=estimate * width)
    )


def _error(histogram: Mapping[int, int], q: float) -> float | None:
    """Standard error of the logarithm of a quantile; None where too few values lie beyond it."""
    n = sum(histogram.values())
    if n * min(q, 1 - q) < _FEW:
        return None
    around = _Z * math.sqrt(q * (1 - q) / n)
    low, high = quantile(histogram, max(q - around, 1 / n)), quantile(histogram, min(q + around, 1))
    assert low is not None
    assert high is not None
    # a bin is no point: half of its width is in doubt as well
    return (math.log(high / low) + math.log1p(RELATIVE_WIDTH) / 2) / (2 * _Z)
