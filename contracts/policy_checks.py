"""What is wrong with a policy beyond the types of its fields: metrics, phases, times."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import available_timezones

from contracts.policy import AtEnd, Direction, Metric, Policy
from contracts.results import MetricKind

Wrong = Iterator[tuple[str, str, object]]
"""Field, what was expected, and the value where one says more than the field."""


def wrong(policy: Policy) -> Wrong:
    """All that cannot work in a policy whose fields are of the right types."""
    yield from _wrong_metrics(policy)
    yield from _wrong_phases(policy)
    yield from _wrong_times(policy)


def _wrong_metrics(policy: Policy) -> Wrong:
    for number, metric in enumerate(policy.metrics):
        field = f"metrics[{number}]"
        is_ratio = metric.kind is MetricKind.RATIO
        is_distribution = metric.kind is MetricKind.DISTRIBUTION
        if not is_distribution and not metric.bad:
            yield field, f"a {metric.kind} metric needs bad: what it counts", None
        if metric.kind is MetricKind.GROUPS and metric.direction is Direction.DECREASE:
            yield field, "of groups only more is worse", None
        if is_distribution and not metric.value:
            yield field, "a distribution needs value: its histogram", None
        if not is_ratio and metric.reports_within:
            yield field, "only a ratio can have reports_within", None
        if policy.harm <= policy.tolerance_of(metric):
            yield field, "harm must be above tolerance", policy.harm
        phases = {phase.name for phase in policy.phases}
        for place, name in enumerate(metric.phases):
            if name not in phases:
                yield f"{field}.phases[{place}]", f"one of the phases: {_listed(phases)}", name
    if not any(_shows_health(metric) for metric in policy.metrics):
        yield "metrics", "at least one ratio or distribution must be critical", None
    yield from _repeated("metrics", [m.name for m in policy.metrics])


def _wrong_phases(policy: Policy) -> Wrong:
    yield from _repeated("phases", [p.name for p in policy.phases])
    for number, phase in enumerate(policy.phases):
        field = f"phases[{number}]"
        judged = [m for m in policy.metrics if not m.phases or phase.name in m.phases]
        if not any(_shows_health(metric) for metric in judged):
            expected = "at least one critical ratio or distribution must be judged in each phase"
            yield field, expected, phase.name
        if phase.max_duration is None and phase.at_end is not AtEnd.HOLD:
            yield f"{field}.at_end", "at_end needs a max_duration", phase.at_end.value
        if phase.max_duration is not None and phase.max_duration < phase.min_duration:
            expected = f"at least min_duration, which is {phase.min_duration:g} s"
            yield f"{field}.max_duration", expected, float(phase.max_duration)


def _wrong_times(policy: Policy) -> Wrong:
    if hours := policy.business_hours:
        if hours.zone not in available_timezones():
            expected = "a name of the time zone database, such as Europe/Berlin"
            yield "business_hours.zone", expected, hours.zone
        if not hours.days or hours.start == hours.end:
            yield "business_hours", "at least one day, and an end other than its start", None
    for number, freeze in enumerate(policy.freezes):
        field = f"freezes[{number}]"
        for name, moment in (("start", freeze.start), ("end", freeze.end)):
            if moment.tzinfo is None:
                expected = "a time with its zone, such as 2026-12-24T18:00:00+01:00"
                yield f"{field}.{name}", expected, moment.isoformat()
        is_comparable = (freeze.start.tzinfo is None) == (freeze.end.tzinfo is None)
        if is_comparable and freeze.end <= freeze.start:
            yield f"{field}.end", "a time after the start", freeze.end.isoformat()


def _shows_health(metric: Metric) -> bool:
    return metric.critical and metric.kind is not MetricKind.GROUPS


def _repeated(field: str, names: list[str]) -> Wrong:
    if not names or len(set(names)) != len(names):
        yield field, "needs at least one entry, names all different", None


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
