"""The canary's share as weights of servers, for load balancers."""

from __future__ import annotations

from fractions import Fraction

from alerting.integrations.conversation import UnusableError
from contracts.results import Decision, DecisionAction

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

    >>> weights(0.1, canaries=1, baselines=1, most=256)
    (28, 252)
    >>> weights(0.1, canaries=1, baselines=3, most=256), weights(0, canaries=1, baselines=3, most=9)
    ((85, 255), (0, 9))
    """
    if share <= 0:
        return 0, most
    if share >= 1:
        return most, 0
    ratio = Fraction(share).limit_denominator(10_000)
    ratio = ratio / (1 - ratio) * baselines / canaries
    # the smaller weight is the numerator: it is the one whose rounding counts
    small = min(ratio, 1 / ratio).limit_denominator(most)
    low, high = (small.numerator, small.denominator) if small else (1, most)
    low, high = low * (most // high), high * (most // high)
    return (low, high) if ratio <= 1 else (high, low)
