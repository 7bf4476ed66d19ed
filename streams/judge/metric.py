"""One metric of a rollout: from what the arms did to its evidence, whatever kind it is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from contracts.policy import Direction, Metric, Policy
from contracts.results import MetricKind, MetricWindow
from streams.judge import distribution, groups, measure, ratio
from streams.judge.distribution import DistributionState
from streams.judge.groups import GroupsState
from streams.judge.ratio import RatioState
from streams.windows.tally import Arm

MAX_STRATA = 64
OTHER_STRATA = "(other)"
"""Strata beyond the first 64 of a rollout are judged together."""
MAX_HOSTS = 500
MIN_COHORT_MS = 1_000
COHORTS = 48
"""How many stretches of time wait for late reports at once: the state stays small."""


class MetricState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Evidence of one metric so far: exactly one of the first three is set."""

    ratio: RatioState | None = None
    distribution: DistributionState | None = None
    groups: GroupsState | None = None
    pending: dict[str, MetricWindow] = {}
    """By stratum: the stretch since both arms last were exposed in it."""
    strata: dict[str, list[float]] = {}
    """By stratum: bad outcomes and exposures so far, in the order of ``MetricWindow``."""
    failed: tuple[bytes, bytes] = measure.NONE_FAILED
    bursts: measure.Bursts = {}
    cohorts: dict[int, list[MetricWindow]] = {}
    """Start of a stretch to what is known of it, while its late reports may still come."""
    cohorts_from: int = 0
    """Start of the first stretch that is still open."""
    baseline_hosts: dict[str, list[float]] = {}
    canary_hosts: list[str] = []
    added: list[MetricWindow] = []
    """What the last tick added to the evidence."""

    @staticmethod
    def new(metric: Metric, policy: Policy, known: Iterable[str] = ()) -> MetricState:
        """State before the first tick; ``known`` are the groups that the service had before."""
        tolerance, harm = policy.tolerance_of(metric), policy.harm
        if metric.kind is MetricKind.GROUPS:
            of_metric = (name for name in known if name.startswith(f"{metric.bad}/"))
            return MetricState(groups=groups.new(tolerance=tolerance, known=of_metric))
        if metric.kind is MetricKind.RATIO:
            return MetricState(ratio=ratio.new(tolerance=tolerance, harm=harm))
        return MetricState(distribution=distribution.new(tolerance=tolerance, harm=harm))

    def add_tick(
        self, metric: Metric, policy: Policy, canary: Arm, baseline: Arm, *, end: int
    ) -> None:
        """Add one finished tick of both arms, ``end`` its last moment in event time.

        A metric with ``reports_within`` has heard of the tick already (``add_cohort``); for it the
        tick only ends the stretches that have waited long enough.
        """
        if metric.reports_within:
            complete = self._complete_cohorts(metric, end)
        else:
            complete = self._measured(metric, policy, canary, baseline)
        self.added = []
        for window in complete:
            self._pool(window)
        apply(self, metric, self.added)

    def add_cohort(
        self, metric: Metric, policy: Policy, tick: int, canary: Arm, baseline: Arm
    ) -> None:
        """Add what just came of the time ``tick``, unless its stretch has been judged."""
        width = cohort_ms(metric)
        start = tick - tick % width
        if start < self.cohorts_from:
            return
        known = {window.stratum: window for window in self.cohorts.get(start, [])}
        for window in self._measured(metric, policy, canary, baseline):
            before = known.get(window.stratum)
            known[window.stratum] = measure.plus(before, window) if before else window
        self.cohorts[start] = [known[name] for name in sorted(known)]

    def close_window(self) -> None:
        """Forget a stretch that only one arm was exposed in: it must not reach into a new phase."""
        self.pending = {}

    def _complete_cohorts(self, metric: Metric, end: int) -> list[MetricWindow]:
        complete = []
        wait = cohort_ms(metric) + round(metric.reports_within * 1000)
        for start in sorted(start for start in self.cohorts if start + wait <= end):
            complete += self.cohorts.pop(start)
            self.cohorts_from = start + cohort_ms(metric)
        return complete

    def _measured(
        self, metric: Metric, policy: Policy, canary: Arm, baseline: Arm
    ) -> list[MetricWindow]:
        self._note_hosts(metric, canary, baseline)
        if metric.kind is MetricKind.GROUPS:
            window, self.failed = measure.measure_groups(
                metric, canary, baseline, self.failed, self.bursts
            )
            return [] if measure.is_empty(window) else [window]
        windows, self.failed = measure.measure(
            metric, canary, baseline, self.failed, policy.stratify_by
        )
        return windows

    def _note_hosts(self, metric: Metric, canary: Arm, baseline: Arm) -> None:
        for name in canary.hosts:
            if name not in self.canary_hosts and len(self.canary_hosts) < MAX_HOSTS:
                self.canary_hosts.append(name)
        for name, host in baseline.hosts.items():
            if name in self.baseline_hosts or len(self.baseline_hosts) < MAX_HOSTS:
                found = measure.of_host(metric, host)
                before = self.baseline_hosts.get(name, [0.0] * len(found))
                self.baseline_hosts[name] = [a + b for a, b in zip(before, found, strict=True)]

    def _pool(self, window: MetricWindow) -> None:
        """Add to the stratum's stretch; once both arms were exposed in it, it is complete.

        Exposures complete it, never outcomes, so the evidence stays valid.
        """
        if window.stratum not in self.strata and len(self.strata) >= MAX_STRATA:
            window = msgspec.structs.replace(window, stratum=OTHER_STRATA)
        name = window.stratum
        self.strata.setdefault(name, [0.0] * 4)
        before = self.pending.pop(name, None)
        pooled = measure.plus(before, window) if before else window
        if measure.has_both_arms(pooled):
            self.added.append(pooled)
        else:
            self.pending[name] = pooled


def cohort_ms(metric: Metric) -> int:
    """Length of the stretches in which a metric with late reports is judged."""
    return max(MIN_COHORT_MS, math.ceil(metric.reports_within / COHORTS) * 1000)


def apply(state: MetricState, metric: Metric, windows: Iterable[MetricWindow]) -> None:
    """Add complete windows, in order, to the evidence.

    Where a decrease is the harm, the arms change places: the baseline must not be better.
    """
    is_swapped = metric.direction is Direction.DECREASE
    for window in windows:
        if state.groups is not None:
            groups.add(
                state.groups,
                window.groups,
                canary_exposures=window.canary_exposures,
                baseline_exposures=window.baseline_exposures,
            )
            continue
        canary = (window.canary_bad, window.canary_exposures, window.canary_values)
        baseline = (window.baseline_bad, window.baseline_exposures, window.baseline_values)
        suspect, other = (baseline, canary) if is_swapped else (canary, baseline)
        if state.ratio is not None:
            state.ratio = ratio.add(
                state.ratio,
                canary_bad=suspect[0],
                canary_exposures=suspect[1],
                baseline_bad=other[0],
                baseline_exposures=other[1],
            )
            _note_stratum(state, window)
        elif state.distribution is not None and suspect[2] is not None and other[2] is not None:
            state.distribution = distribution.add(state.distribution, suspect[2], other[2])


def _note_stratum(state: MetricState, window: MetricWindow) -> None:
    sums = state.strata.setdefault(window.stratum, [0.0] * 4)
    sums[0] += window.canary_bad
    sums[1] += window.baseline_bad
    sums[2] += window.canary_exposures
    sums[3] += window.baseline_exposures
