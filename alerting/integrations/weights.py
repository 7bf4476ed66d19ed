"""The canary's share as weights of servers, for load balancers."""

from __future__ import annotations

from fractions import Fraction

from alerting.integrations.conversation import UnusableError
from contracts.results import Decision, DecisionAction

_TOLERANCE = 0.02

ACTIONS = frozenset({DecisionAction.ROLLBACK, DecisionAction.PROMOTE})
"""What is said in shares."""


def share_of(decision: Decision) -> float:
    """The canary's share of the traffic from now on, 0 to 1.

    Raises:
        UnusableError: a promotion that does not say it, because its phase has no exposure.
    """
    if decision.action is DecisionAction.ROLLBACK:
        return 0.0
    if decision.exposure is None:
        raise UnusableError("the decision names no exposure: give the next phase one")
    return min(max(decision.exposure, 0.0), 1.0)


def weights(share: float, *, canaries: int, baselines: int, most: int) -> tuple[int, int]:
    """Weight of each canary and of each baseline server that come closest to a share.

    Args:
        share: of the canary, 0 to 1.
        canaries: servers that run it.
        baselines: servers that run the baseline.
        most: the largest weight there is.

    Raises:
        UnusableError: none comes close, as where fifty servers are to get a hundredth beside one.

    >>> weights(0.1, canaries=1, baselines=1, most=256)
    (28, 252)
    >>> weights(0.1, canaries=1, baselines=3, most=256), weights(0, canaries=1, baselines=3, most=9)
    ((85, 255), (0, 9))
    """
    if share <= 0:
        return 0, most
    if share >= 1:
        return most, 0
    finest = Fraction(1, 10_000)
    exact = Fraction(share).limit_denominator(finest.denominator)
    exact = min(max(exact, finest), 1 - finest)
    ratio = exact / (1 - exact) * baselines / canaries
    # the smaller weight is the numerator: it is the one whose rounding counts
    small = min(ratio, 1 / ratio).limit_denominator(most)
    low, high = (small.numerator, small.denominator) if small else (1, most)
    low, high = low * (most // high), high * (most // high)
    of_canary, of_baseline = (low, high) if ratio <= 1 else (high, low)
    comes_to = canaries * of_canary / (canaries * of_canary + baselines * of_baseline)
    if abs(comes_to - share) > _TOLERANCE:
        raise UnusableError(f"{share:.1%} cannot be said in weights: the nearest is {comes_to:.1%}")
    return of_canary, of_baseline
