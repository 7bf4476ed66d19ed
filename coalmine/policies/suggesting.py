"""Numbers for a first policy, out of what telemetry shows of a service.

Idea. The harm that must never be promoted is the smallest one that a good release can be told from
within a working day among a few machines; each later phase lasts as long as a doubling that begins
there needs to show. So a policy asks for no more than its traffic can tell, and
``coalmine check --from-telemetry`` has nothing to warn of.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from coalmine.policies.budgets import Flow, seconds_until_healthy, seconds_until_seen
from contracts.policy import Policy
from streams.judge.forecast import Traffic

MACHINES, CLUSTER, EVERYWHERE = 0.02, 0.2, 0.9
"""Exposures of the phases; the last one keeps a baseline."""
_HARMS = (0.25, 0.5, 1.0, 2.0)
_RATES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01)
_TOLERANCE_OF_HARM = 0.2
_WORKING_DAY_S = 8 * 3600.0
_LONGEST_S = 7 * 86_400.0
_DURATIONS = ("10m", "15m", "20m", "30m", "45m", "1h", "90m", "2h", "3h", "4h", "6h", "8h", "12h")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_BAD_TO_EXPECT = 5
_FEWEST, _MOST = 100, 100_000


class Suggestion(NamedTuple):
    """Figures of a first policy; durations as they are written in it."""

    harm: float = 0.5
    tolerance: float = 0.1
    min_exposures: int = 1000
    crash_rate: float = 0.0001
    """Crashes per request that harm nobody: less cannot be told from none."""
    machines: str = "30m"
    """Shortest stay among a few machines."""
    machines_at_most: str = "1d"
    """Longest; empty where the traffic is too little for any."""
    cluster: str = "30m"
    everywhere: str = "1h"


def suggest(flow: Flow | None) -> Suggestion:
    """Figures that fit a service's traffic; the general ones where nothing was seen to fail.

    Args:
        flow: requests per second, and how many of them fail.
    """
    if flow is None or not flow.bad_rate:
        return Suggestion()
    harm = next((h for h in _HARMS if _promotion_s(flow, h) <= _WORKING_DAY_S), _HARMS[-1])
    tolerance = round(harm * _TOLERANCE_OF_HARM, 2)
    crash_rate = next((r for r in _RATES if _no_crash_s(flow, r) <= _WORKING_DAY_S), _RATES[-1])
    longest_s = 1.5 * max(
        _promotion_s(flow, harm), _seen_s(flow, MACHINES, tolerance), _no_crash_s(flow, crash_rate)
    )
    return Suggestion(
        harm=harm,
        tolerance=tolerance,
        min_exposures=_two_digits(min(max(_BAD_TO_EXPECT / flow.bad_rate, _FEWEST), _MOST)),
        crash_rate=crash_rate,
        machines_at_most=_written(longest_s) if longest_s <= _LONGEST_S else "",
        cluster=_written(max(1800.0, _seen_s(flow, CLUSTER, tolerance))),
        everywhere=_written(max(3600.0, _seen_s(flow, EVERYWHERE, tolerance))),
    )


def _promotion_s(flow: Flow, harm: float) -> float:
    return _healthy_s(Policy(harm=harm), flow)


def _no_crash_s(flow: Flow, negligible_rate: float) -> float:
    return _healthy_s(Policy(negligible_rate=negligible_rate), flow._replace(bad_rate=0.0))


def _healthy_s(policy: Policy, flow: Flow) -> float:
    traffic = Traffic(share=MACHINES, bad_rate=flow.bad_rate, per_s=flow.per_s)
    found = seconds_until_healthy(policy, policy.metrics[0], traffic)
    return math.inf if found is None else found


def _seen_s(flow: Flow, share: float, tolerance: float) -> float:
    policy = Policy(tolerance=tolerance)
    traffic = Traffic(share=share, bad_rate=flow.bad_rate, per_s=flow.per_s)
    found = seconds_until_seen(policy, policy.metrics[0], traffic, 1.0)
    return math.inf if found is None else found


def _written(seconds: float) -> str:
    """The shortest duration of a round length that is no shorter; a week at most."""
    for text in _DURATIONS:
        if float(text[:-1]) * _UNITS[text[-1]] >= seconds:
            return text
    return f"{min(math.ceil(seconds / 86_400), 7) if math.isfinite(seconds) else 7}d"


def _two_digits(value: float) -> int:
    digits = int(10 ** max(0, math.floor(math.log10(value)) - 1))
    return math.ceil(value / digits) * digits


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a first policy tells of its service in a comment."""

    service: str = "*"
    flow: Flow | None = None
    releases: tuple[str, ...] = ()
    """The busiest first, each with its share: ``1.5.0 (90 %)``."""
