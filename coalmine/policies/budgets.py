"""Budgets that cannot work: phases too short, or too small, for what they are to show.

Idea. A phase is a promise: so much traffic, for so long, shows a harm that begins in it. Whether it
can follows from traffic and failure rate (``streams.judge.forecast``), before anybody has rolled
anything out.

Not good at. Counts units as events: where users have many requests in a session, a phase needs
longer than is said here. Distributions and groups are not forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np

from coalmine.policies.words import number, percent, spoken
from contracts.policy import AtEnd, Metric, Phase, Policy
from contracts.results import MetricKind
from streams.judge import calibration, forecast, negligible
from streams.judge.forecast import Traffic

_AFTER_END = {
    AtEnd.HOLD: "then it holds",
    AtEnd.PROMOTE: "then it is left unproved",
    AtEnd.ROLLBACK: "then a good release is rolled back",
}


class Flow(NamedTuple):
    """What both arms of a service together do, as one metric counts it."""

    per_s: float
    """Exposures per second."""
    bad_rate: float
    """Bad outcomes per exposure."""


class Budget(StrEnum):
    """What a phase has too little of."""

    HARM = "harm"
    """Time until a harm that begins in it is seen."""
    HEALTH = "health"
    """Time until a good release is known to be good."""
    EXPOSURES = "exposures"
    """Time until its ``min_exposures`` are there."""
    BASELINE = "baseline"
    """Traffic of the baseline."""


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """One phase that cannot do what it is for."""

    budget: Budget
    phase: str
    field: str
    """Of the policy, as ``phases[1].max_duration``."""
    metric: str = ""
    has_s: float | None = None
    """Seconds that the phase gives; ``None`` where time is not the matter."""
    takes_s: float | None = None
    message: str


def shortfalls(policy: Policy, flows: Mapping[str, Flow]) -> list[Shortfall]:
    """Every phase that cannot show what it is to show.

    Args:
        policy: whose phases these are.
        flows: by the name of a critical ratio metric; metrics without one are not looked at.
    """
    compared = [p for p in policy.phases if p.exposure is not None and p.exposure < 1]
    return [
        found
        for index, phase in enumerate(policy.phases)
        for found in _of_phase(policy, index, phase, flows, is_first=phase in compared[:1])
    ]


def flows_of(policy: Policy, flow: Flow) -> dict[str, Flow]:
    """The same flow for the metric that stands for failures: the first critical ratio metric.

    Raises:
        ConfigError: the policy has none.
    """
    return {calibration.ratio_metrics(policy)[0].name: flow}


def seconds_until_seen(
    policy: Policy, metric: Metric, traffic: Traffic, harm: float
) -> float | None:
    """Median time until a harm of this size rolls back, by this metric alone; ``None``: never.

    The average over metrics reaches 1/α when this one's own evidence reaches 1/(αw); the count
    test's median lies above Wald's bound by what was measured.
    """
    tolerance = policy.tolerance_of(metric)
    if harm <= tolerance:
        return None
    alone_s = forecast.until_seen(
        calibration.suspect_traffic(metric, traffic, 1 + harm),
        tolerance=tolerance,
        harm=harm,
        alpha=calibration.alpha_of(policy, metric),
    ).seconds
    if alone_s is None:
        return None
    beyond = (1 + harm) / (1 + tolerance)
    return alone_s * forecast.median_to_bound(beyond * forecast.MEASURED_ABOVE)


def seconds_until_healthy(policy: Policy, metric: Metric, traffic: Traffic) -> float | None:
    """Time until an equal release is expected to be known as no worse, by this metric alone.

    Whichever comes first: the comparison with the baseline, or a rate that is negligible.
    """
    compared = forecast.until_promoted(
        calibration.suspect_traffic(metric, traffic, 1.0),
        harm=policy.harm,
        beta=policy.false_promotion_rate,
    ).seconds
    limit = policy.negligible_rate_of(metric)
    rare = _until_negligible(limit, traffic.bad_rate, policy.false_promotion_rate)
    per_s = traffic.share * traffic.per_s
    found = [compared, rare / per_s if rare is not None and per_s > 0 else None]
    return min((seconds for seconds in found if seconds is not None), default=None)


def _until_negligible(limit: float, bad_rate: float, beta: float) -> float | None:
    """Exposures of the canary until its rate is known to be below ``limit``; ``None``: too near."""
    for exposures in (10**power for power in np.arange(1, 10, 0.02)) if limit else ():
        expected = bad_rate * exposures
        shown = negligible.log_promotion(-math.inf, expected, exposures, limit)
        if float(shown) >= -math.log(beta):
            return float(exposures)
    return None


def _of_phase(
    policy: Policy, index: int, phase: Phase, flows: Mapping[str, Flow], *, is_first: bool
) -> Iterator[Shortfall]:
    field = f"phases[{index}]"
    if phase.exposure is None:
        return
    if phase.exposure >= 1:
        yield Shortfall(
            budget=Budget.BASELINE,
            phase=phase.name,
            field=f"{field}.exposure",
            message=f"phase {phase.name}: an exposure of 100 % leaves the baseline no traffic, so "
            f"nothing that begins there can be seen",
        )
        return
    for metric in policy.metrics:
        flow = flows.get(metric.name)
        if flow is None or metric.kind is not MetricKind.RATIO or not metric.critical:
            continue
        if metric.phases and phase.name not in metric.phases:
            continue
        traffic = Traffic(share=phase.exposure, bad_rate=flow.bad_rate, per_s=flow.per_s)
        yield from _harm(policy, field, phase, metric, traffic, is_first=is_first)
        if is_first:
            yield from _health(policy, field, phase, metric, traffic)
    flow = flows.get(policy.metrics[0].name) or next(iter(flows.values()), None)
    if flow is not None:
        yield from _exposures(policy, field, phase, flow)


def _harm(
    policy: Policy, field: str, phase: Phase, metric: Metric, traffic: Traffic, *, is_first: bool
) -> Iterator[Shortfall]:
    """A harm that begins in this phase must be seen before the phase is over.

    The first phase is left only once health is shown; later ones keep that, and are left as soon
    as their minima are met.
    """
    name = "max_duration" if is_first else "min_duration"
    has_s = phase.max_duration if is_first else _minima_s(phase, traffic)
    tolerance = policy.tolerance_of(metric)
    harm = 1.0 if tolerance <= 0.5 else 2 * tolerance
    takes_s = seconds_until_seen(policy, metric, traffic, harm)
    if has_s is None or takes_s is None or takes_s <= has_s:
        return
    yield Shortfall(
        budget=Budget.HARM,
        phase=phase.name,
        field=f"{field}.{name}",
        metric=metric.name,
        has_s=has_s,
        takes_s=takes_s,
        message=f"phase {phase.name}: {_amount(metric, traffic)} cannot show {_rise(harm)} of "
        f"{metric.name} ({percent(traffic.bad_rate)}) within {_limit(name, has_s)}: "
        f"it takes about {spoken(takes_s)}",
    )


def _health(
    policy: Policy, field: str, phase: Phase, metric: Metric, traffic: Traffic
) -> Iterator[Shortfall]:
    """A good release must be known to be good before the phase is over."""
    if phase.max_duration is None:
        return
    takes_s = seconds_until_healthy(policy, metric, traffic)
    if takes_s is None or takes_s <= phase.max_duration:
        return
    yield Shortfall(
        budget=Budget.HEALTH,
        phase=phase.name,
        field=f"{field}.max_duration",
        metric=metric.name,
        has_s=phase.max_duration,
        takes_s=takes_s,
        message=f"phase {phase.name}: {_amount(metric, traffic)} cannot show that {metric.name} "
        f"is not {percent(policy.harm)} worse within {spoken(phase.max_duration)} "
        f"(max_duration): it takes about {spoken(takes_s)}, {_AFTER_END[phase.at_end]}",
    )


def _exposures(policy: Policy, field: str, phase: Phase, flow: Flow) -> Iterator[Shortfall]:
    wanted = phase.min_exposures
    traffic = Traffic(share=phase.exposure or 0.0, bad_rate=0.0, per_s=flow.per_s)
    per_s = traffic.share * traffic.per_s
    if phase.max_duration is None or per_s <= 0 or wanted <= per_s * phase.max_duration:
        return
    yield Shortfall(
        budget=Budget.EXPOSURES,
        phase=phase.name,
        field=f"{field}.min_exposures",
        has_s=phase.max_duration,
        takes_s=wanted / per_s,
        message=f"phase {phase.name}: {_amount(policy.metrics[0], traffic)} are not "
        f"{wanted:,} (min_exposures) within {spoken(phase.max_duration)} (max_duration): "
        f"it takes about {spoken(wanted / per_s)}",
    )


def _minima_s(phase: Phase, traffic: Traffic) -> float:
    per_s = traffic.share * traffic.per_s
    until_counted = phase.min_exposures / per_s if per_s > 0 else 0.0
    return max(float(phase.min_duration), until_counted)


def _amount(metric: Metric, traffic: Traffic) -> str:
    return f"{percent(traffic.share)} of {number(traffic.per_s)} {metric.of}s/s"


def _limit(name: str, seconds: float) -> str:
    return f"{spoken(seconds)} ({name})" if seconds else f"no {name}"


def _rise(harm: float) -> str:
    return "a doubling" if harm == 1 else f"a rise to {1 + harm:g} times"
