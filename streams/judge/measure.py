"""From what both arms did to what one metric is judged by: exposures and bad outcomes, by stratum.

A ratio counts units, not events: a session is exposed in every stretch in which it is active until
it has failed, and fails once. So a session that crashes five times is one bad outcome, and what it
did before or after tells nothing twice. Events without an id count by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from contracts.policy import Metric, StratifyBy, Unit
from contracts.results import MetricKind, MetricWindow, SparseHistogram
from streams.judge import bins
from streams.windows import units
from streams.windows.tally import Arm, HostTally, Tally

Failed = tuple[bytes, bytes]
"""Sketches of the canary's and the baseline's units that have had the metric's bad outcome."""
NONE_FAILED: Failed = (units.NOTHING, units.NOTHING)
Bursts = dict[str, tuple[int, int]]
"""Group to its outcomes so far, and the sum of their squares host by host and tick by tick."""


class Exposed(NamedTuple):
    """Units of one arm in one stretch, and those that have failed by its end."""

    exposures: float
    bad: float
    failed: bytes


def measure(
    metric: Metric, canary: Arm, baseline: Arm, failed: Failed, by: StratifyBy = StratifyBy.NONE
) -> tuple[list[MetricWindow], Failed]:
    """One window for each stratum in which anything happened.

    Args:
        metric: what is measured.
        canary: what the canary did in the stretch.
        baseline: what the baseline did in the same stretch.
        failed: units that have failed before it.
        by: what the policy stratifies by; a bad outcome that does not know its stratum (a crash)
            is compared over all of them.

    Returns:
        The windows in the order of their strata, and the units that have failed by now.
    """
    windows = []
    for name, one, other in _strata(metric, canary, baseline, by):
        if metric.kind is MetricKind.DISTRIBUTION:
            window = MetricWindow(
                stratum=name,
                canary_values=one.histogram(metric.value),
                baseline_values=other.histogram(metric.value),
            )
        else:
            of_canary = exposed(metric, one, failed[0])
            of_baseline = exposed(metric, other, failed[1])
            failed = (of_canary.failed, of_baseline.failed)
            window = MetricWindow(
                stratum=name,
                canary_bad=of_canary.bad,
                baseline_bad=of_baseline.bad,
                canary_exposures=of_canary.exposures,
                baseline_exposures=of_baseline.exposures,
            )
        if not is_empty(window):
            windows.append(window)
    return windows, failed


def measure_groups(
    metric: Metric, canary: Arm, baseline: Arm, failed: Failed, bursts: Bursts
) -> tuple[MetricWindow, Failed]:
    """One window with the outcomes of every group that has any.

    Args:
        metric: of groups.
        canary: what the canary did in the stretch.
        baseline: what the baseline did in the same stretch.
        failed: units that have failed before it, by whatever group.
        bursts: changed in place.

    Returns:
        The window, and the units that have failed by now.
    """
    arms = canary.total(), baseline.total()
    names = sorted({name for arm in arms for name in arm.groups if _is_group(metric, name)})
    for name in names:
        before = bursts.get(name, (0, 0))
        bursts[name] = (
            before[0] + sum(arm.groups.get(name, 0) for arm in arms),
            before[1] + sum(arm.squares.get(name, 0) for arm in arms),
        )
    by_arm = [
        {name: _outcomes(metric, arm, name, already, bursts[name]) for name in names}
        for arm, already in zip(arms, failed, strict=True)
    ]
    window = MetricWindow(
        canary_exposures=arms[0].counts.get(metric.of, 0),
        baseline_exposures=arms[1].counts.get(metric.of, 0),
        groups={name: (by_arm[0][name], by_arm[1][name]) for name in names},
    )
    now = [_units_of_groups(metric, arm, names) for arm in arms]
    return window, (units.union(failed[0], now[0]), units.union(failed[1], now[1]))


def _is_group(metric: Metric, name: str) -> bool:
    return name.startswith(f"{metric.bad}/") and "@" not in name


def _outcomes(
    metric: Metric, arm: Tally, name: str, failed: bytes, burst: tuple[int, int]
) -> float:
    """Units that fail by a group for the first time; outcomes without a unit, burst by burst."""
    by_unit = f"{name}@{metric.unit}"
    sketch = units.NOTHING
    if metric.unit is not Unit.EVENT:
        sketch = arm.units.get(by_unit, units.NOTHING)
    single = arm.groups.get(name, 0) - (arm.groups.get(by_unit, 0) if sketch else 0)
    events, squares = burst
    return units.count(units.minus(sketch, failed)) + single * events / max(squares, 1)


def _units_of_groups(metric: Metric, arm: Tally, names: Iterable[str]) -> bytes:
    failed = units.NOTHING
    for name in names if metric.unit is not Unit.EVENT else ():
        failed = units.union(failed, arm.units.get(f"{name}@{metric.unit}", units.NOTHING))
    return failed


def exposed(metric: Metric, tally: Tally, failed: bytes) -> Exposed:
    """Exposures and bad outcomes of one arm in one stratum."""
    seen, bad = tally.counts.get(metric.of, 0), tally.counts.get(metric.bad, 0)
    if metric.unit is Unit.EVENT:
        return Exposed(seen, bad, failed)
    active, failing = f"{metric.of}@{metric.unit}", f"{metric.bad}@{metric.unit}"
    now_bad = tally.units.get(failing, units.NOTHING)
    at_risk = units.minus(tally.units.get(active, units.NOTHING), failed)
    return Exposed(
        exposures=seen - tally.counts.get(active, 0) + units.count(at_risk),
        bad=bad - tally.counts.get(failing, 0) + units.count(units.minus(now_bad, failed)),
        failed=units.union(failed, now_bad),
    )


def is_empty(window: MetricWindow) -> bool:
    """Whether it says nothing at all."""
    of_values = (window.canary_values, window.baseline_values)
    counts = (window.canary_bad, window.baseline_bad)
    exposures = (window.canary_exposures, window.baseline_exposures)
    has_values = any(v and v.bins for v in of_values)
    return not (any(counts) or any(exposures) or has_values or window.groups)


def has_both_arms(window: MetricWindow) -> bool:
    """Whether both arms were exposed, so that they can be compared."""
    if window.canary_values is not None and window.baseline_values is not None:
        return bool(window.canary_values.bins and window.baseline_values.bins)
    return window.canary_exposures > 0 and window.baseline_exposures > 0


def plus(one: MetricWindow, other: MetricWindow) -> MetricWindow:
    """Both stretches of one stratum as one."""
    return MetricWindow(
        stratum=one.stratum,
        canary_bad=one.canary_bad + other.canary_bad,
        baseline_bad=one.baseline_bad + other.baseline_bad,
        canary_exposures=one.canary_exposures + other.canary_exposures,
        baseline_exposures=one.baseline_exposures + other.baseline_exposures,
        canary_values=_plus(one.canary_values, other.canary_values),
        baseline_values=_plus(one.baseline_values, other.baseline_values),
        groups=_plus_groups(one.groups, other.groups),
    )


def of_host(metric: Metric, host: HostTally) -> tuple[float, ...]:
    """What one host adds to the placebo: bad outcomes and exposures, or sums over its values."""
    if metric.kind is MetricKind.DISTRIBUTION:
        return host.sums.get(metric.value, (0.0, 0.0, 0.0))
    return float(host.counts.get(metric.bad, 0)), float(host.counts.get(metric.of, 0))


def _strata(
    metric: Metric, canary: Arm, baseline: Arm, by: StratifyBy
) -> list[tuple[str, Tally, Tally]]:
    of_one_event = (metric.bad or metric.value).startswith(f"{metric.of}.")
    if by is StratifyBy.NONE or not of_one_event:
        return [("", canary.total(), baseline.total())]
    names = sorted({*canary.strata, *baseline.strata})
    nothing = Tally()
    return [
        (name, canary.strata.get(name, nothing), baseline.strata.get(name, nothing))
        for name in names
    ]


_Groups = dict[str, tuple[float, float]]


def _plus_groups(one: _Groups, other: _Groups) -> _Groups:
    both = dict(one)
    for name, (canary, baseline) in other.items():
        before = both.get(name, (0.0, 0.0))
        both[name] = (before[0] + canary, before[1] + baseline)
    return both


def _plus(one: SparseHistogram | None, other: SparseHistogram | None) -> SparseHistogram | None:
    return bins.plus(one, other) if one is not None and other is not None else one or other
