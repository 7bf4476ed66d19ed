from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.histogram import HIGHEST_BIN, LOWEST_BIN
from contracts.policy import Metric, Policy, StratifyBy
from contracts.results import Cell, MetricKind, SparseHistogram
from streams.judge import bins, combine, distribution, measure, ratio, sample_ratio
from streams.judge.metric import MetricState
from streams.windows import ids, units
from streams.windows.tally import Arm

counts = st.integers(0, 10**12)


class Window(NamedTuple):
    """Counts of one window."""

    canary_bad: int
    baseline_bad: int
    canary_exposures: int
    baseline_exposures: int

    @property
    def swapped(self) -> Window:
        """The same window with the arms exchanged."""
        return Window(
            self.baseline_bad, self.canary_bad, self.baseline_exposures, self.canary_exposures
        )


windows = st.builds(Window, counts, counts, counts, counts)
small_windows = st.builds(Window, *[st.integers(0, 1_000)] * 4)
histograms = st.dictionaries(
    st.integers(LOWEST_BIN, HIGHEST_BIN), st.integers(1, 10**9), max_size=8
).map(lambda found: SparseHistogram(sorted(found), [found[b] for b in sorted(found)]))


def state_of(some: list[Window]) -> ratio.RatioState:
    """State after these windows, one by one."""
    state = ratio.new(tolerance=0.1, harm=0.5)
    for window in some:
        state = ratio.add(state, **window._asdict())
    return state


def same(one: ratio.RatioState, other: ratio.RatioState) -> bool:
    """Equal up to the rounding of sums in another order."""
    return np.allclose(one.log_likelihood, other.log_likelihood, rtol=1e-9, atol=1e-6) and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=1e-9)
        for name in one.__struct_fields__
        if name != "log_likelihood"
    )


@given(st.lists(small_windows, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_windows_does_not_matter(some: list[Window], random: object) -> None:
    """Added in any order, windows leave the same state."""
    shuffled = some.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert same(state_of(some), state_of(shuffled))


@given(st.lists(small_windows, max_size=6), st.integers(0, 6))
def test_merging_equals_adding(some: list[Window], at: int) -> None:
    """Two halves merged, either way round, equal the whole; so do all windows added at once."""
    whole = state_of(some)
    one, other = state_of(some[:at]), state_of(some[at:])
    assert same(ratio.merge(one, other), whole)
    assert same(ratio.merge(other, one), whole)
    if some:
        arrays = dict(zip(Window._fields, np.array(some).T, strict=True))
        assert same(ratio.add(state_of([]), **arrays), whole)


@given(st.lists(small_windows, max_size=5))
def test_swapping_the_arms_turns_the_interval_round(some: list[Window]) -> None:
    """Estimate and interval of swapped arms are the inverses, ends exchanged."""
    found = ratio.look(state_of(some), alpha=0.05)
    turned = ratio.inverted(ratio.look(state_of([window.swapped for window in some]), alpha=0.05))
    assert (found.lower is None) == (turned.lower is None)
    assert (found.upper is None) == (turned.upper is None)
    for end, other in ((found.lower, turned.lower), (found.upper, turned.upper)):
        assert end is None or end == pytest.approx(other, rel=1e-6)
    if found.estimate and turned.estimate:
        assert found.estimate == pytest.approx(turned.estimate)


@given(small_windows, st.integers(2, 1_000_000))
def test_scaling_both_exposures_changes_no_evidence(window: Window, factor: int) -> None:
    """Only the share of the exposures counts, not how many they are."""
    scaled = window._replace(
        canary_exposures=window.canary_exposures * factor,
        baseline_exposures=window.baseline_exposures * factor,
    )
    assert np.allclose(
        state_of([window]).log_likelihood, state_of([scaled]).log_likelihood, atol=1e-6
    )


@given(st.lists(windows, max_size=4))
def test_no_counts_however_huge_overflow(some: list[Window]) -> None:
    """Evidence stays finite, and the interval is ordered and within its grid."""
    found = ratio.look(state_of(some), alpha=0.01)
    assert math.isfinite(found.log_evidence)
    assert math.isfinite(found.log_promotion)
    assert found.estimate is None or math.isfinite(found.estimate)
    lower, upper = found.lower or 1 / 20, found.upper or 20
    assert 1 / 20.001 <= lower <= upper <= 20.001


@given(st.lists(windows, max_size=4))
def test_without_canary_exposures_there_is_no_evidence(some: list[Window]) -> None:
    """Whatever the counts, a canary without exposures is neither rolled back nor promoted."""
    idle = [window._replace(canary_exposures=0) for window in some]
    found = ratio.look(state_of(idle), alpha=0.01)
    assert found == ratio.RatioLook(0.0, 0.0, None, None, None)


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(1e-3, 1e3)), min_size=1, max_size=6))
def test_the_average_lies_between_its_parts(parts: list[tuple[float, float]]) -> None:
    """Weighted evidence is finite, not above the largest and not below the smallest metric."""
    logs, weights = [p[0] for p in parts], [p[1] for p in parts]
    found = combine.log_average(logs, weights)
    slack = 1e-9 * max(1.0, *map(abs, logs))
    assert min(logs) - slack <= found <= max(logs) + slack


@given(histograms, histograms)
def test_histograms_add_up_in_either_order(one: SparseHistogram, other: SparseHistogram) -> None:
    """The sum has every count of both, whichever comes first."""
    assert bins.plus(one, other) == bins.plus(other, one)
    assert bins.total(bins.plus(one, other)) == bins.total(one) + bins.total(other)


@given(st.lists(st.tuples(histograms, histograms), max_size=4))
def test_any_histograms_leave_finite_evidence(
    some: list[tuple[SparseHistogram, SparseHistogram]],
) -> None:
    """Whatever the bins and however huge the counts, no look is NaN or infinite."""
    state = distribution.new(tolerance=0.1, harm=0.5)
    for canary, baseline in some:
        state = distribution.add(state, canary, baseline)
    found = distribution.look(state, alpha=0.01)
    assert math.isfinite(found.log_evidence)
    assert math.isfinite(found.log_promotion)
    assert found.lower is None or found.upper is None or found.lower < found.upper


@given(st.lists(histograms, max_size=4))
def test_a_canary_without_values_is_never_judged(some: list[SparseHistogram]) -> None:
    """Baseline values alone are no evidence, of harm or of health."""
    state = distribution.new(tolerance=0.1, harm=0.5)
    for baseline in some:
        state = distribution.add(state, bins.empty(), baseline)
    found = distribution.look(state, alpha=0.01)
    assert (found.log_evidence, found.log_promotion) == (0.0, 0.0)


@given(st.lists(counts, min_size=2, max_size=4))
def test_sample_ratio_evidence_is_finite(seen: list[int]) -> None:
    """No counts overflow the sample-ratio evidence."""
    assert math.isfinite(float(sample_ratio.log_evidence(seen, [1.0] * len(seen))))


sessions = st.lists(st.integers(0, 40), max_size=12)
cells = st.builds(
    lambda release, host, stratum, seen, failed, values: Cell(
        tick=0,
        release=release,
        host=host,
        stratum=stratum,
        last=1,
        counts={
            "request": len(seen) + 3,
            "request@session": len(seen),
            "request.bad": len(failed),
            "request.bad@session": len(failed),
        },
        histograms={"request.duration_ms": values},
        units={
            "request@session": units.sketch(ids.mixed(np.array(seen, dtype=np.uint64))),
            "request.bad@session": units.sketch(ids.mixed(np.array(failed, dtype=np.uint64))),
        },
    ),
    st.just("1"),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["/x", "/y", ""]),
    sessions,
    sessions,
    histograms,
)
METRICS = [
    Metric(name="error_rate", bad="request.bad"),
    Metric(name="latency", kind=MetricKind.DISTRIBUTION, value="request.duration_ms"),
]


@given(st.lists(cells, max_size=6), st.randoms(use_true_random=False))
def test_cells_may_come_in_any_order(some: list[Cell], random: object) -> None:
    """What an arm did in a tick does not depend on the order in which it was heard."""
    shuffled = some.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = Arm.of_cells(some), Arm.of_cells(shuffled)
    halves = Arm.of_cells(some[:2])
    halves.add(Arm.of_cells(some[2:]))
    for metric in METRICS:
        for by in StratifyBy:
            found = [
                measure.measure(metric, arm, Arm(), measure.NONE_FAILED, by)[0]
                for arm in (one, other, halves)
            ]
            assert found[0] == found[1] == found[2]


@given(st.lists(cells, min_size=1, max_size=4), st.lists(cells, min_size=1, max_size=4))
def test_an_empty_tick_changes_no_evidence(canary: list[Cell], baseline: list[Cell]) -> None:
    """A tick in which nothing happened leaves every metric as it was."""
    policy = Policy(metrics=METRICS)
    for metric in METRICS:
        state = MetricState.new(metric, policy)
        arms = Arm.of_cells(canary), Arm.of_cells(baseline)
        state.add_tick(metric, policy, *arms, end=1_000)
        before = msgspec.structs.replace(state, added=[])
        state.add_tick(metric, policy, Arm(), Arm(), end=2_000)
        assert state == before


@given(st.lists(small_windows, max_size=6), st.floats(0, 5), st.floats(0, 5))
def test_a_higher_tolerance_never_has_more_evidence(
    some: list[Window], one: float, other: float
) -> None:
    """Raising what is tolerated can only take evidence away."""
    state = state_of(some)
    lower, higher = (
        ratio.look(state, alpha=0.05, tolerance=tolerance).log_evidence
        for tolerance in sorted((one, other))
    )
    assert higher <= lower + 1e-9
