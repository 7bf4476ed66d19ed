"""Where reality breaks the assumptions: the false-rollback rate with what is done about it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from contracts.policy import Metric, Policy
from contracts.results import Cell
from streams.judge import placebo, ratio
from streams.judge.explain import look_at
from streams.judge.metric import MetricState
from streams.windows import ids, units
from streams.windows.tally import Arm

pytestmark = pytest.mark.statistical

ALPHA, TOLERANCE = 0.01, 0.1
Floats = npt.NDArray[np.float64]


def at_most(hits: int, runs: int, rate: float) -> bool:
    """Whether so many hits are no surprise at this rate (one time in ten thousand they are)."""
    return bool(stats.binom.sf(hits - 1, runs, rate) > 1e-4)


def rolled_back(sd: float, *, runs: int, uses_placebo: bool, harm: float = 1.0) -> int:
    """Rollouts rolled back: the canary on one of ten hosts whose rates scatter by ``sd``."""
    rng = np.random.default_rng([11, round(100 * sd)])
    effects = np.exp(rng.normal(0, sd, (runs, 10)))
    whole = ratio.grid_of(TOLERANCE, 0.5)
    grid = whole._replace(ratios=whole.ratios[: whole.interval.start], interval=slice(0, 0))
    log_likelihood = np.zeros((runs, len(grid.ratios)))
    bad = np.zeros((runs, 9))
    ever = np.zeros(runs, bool)
    for window in range(1, 201):
        canary = rng.poisson(2.0 * harm * effects[:, 0])
        baseline = rng.poisson(2.0 * effects[:, 1:])
        log_likelihood += ratio.log_likelihoods(
            grid.ratios,
            canary_bad=canary,
            baseline_bad=baseline.sum(axis=1),
            canary_exposures=200.0,
            baseline_exposures=1_800.0,
        )
        bad += baseline
        tolerance = np.full(runs, TOLERANCE)
        if uses_placebo:
            seen = np.full_like(bad, 200.0 * window)
            found = placebo.scatter_of_rates(bad, seen, canary_hosts=1, alpha=ALPHA)
            tolerance = np.maximum(found.tolerance, TOLERANCE)
        evidence = ratio.raised_evidence(log_likelihood, grid, tolerance)
        ever |= evidence >= -np.log(ALPHA)
    return int(ever.sum())


def test_hosts_that_differ_are_not_taken_for_a_regression() -> None:
    """Ten and twenty per cent of scatter: at most 1 % rolled back; without placebo many more."""
    assert at_most(rolled_back(0.1, runs=800, uses_placebo=True), 800, ALPHA)
    assert at_most(rolled_back(0.2, runs=800, uses_placebo=True), 800, ALPHA)
    assert not at_most(rolled_back(0.2, runs=800, uses_placebo=False), 800, ALPHA)


def test_the_placebo_leaves_large_harms_to_be_found() -> None:
    """A canary five times as bad is rolled back on a fleet whose hosts differ by 10 %."""
    assert rolled_back(0.1, runs=200, uses_placebo=True, harm=5.0) >= 195


def bursts(*, unit_ids: bool, runs: int = 120, seconds: int = 60) -> int:
    """Equal arms whose bad sessions crash five times on average: rollouts rolled back."""
    policy = Policy(metrics=[Metric(name="crash_rate", bad="crash")])
    metric = policy.metrics[0]
    count = 0
    for run in range(runs):
        rng = np.random.default_rng([12, run])
        state = MetricState.new(metric, policy)
        for second in range(1, seconds + 1):
            canary, baseline = (_second(rng, unit_ids=unit_ids) for _ in range(2))
            state.add_tick(metric, policy, canary, baseline, end=1000 * second)
            if look_at(metric, state, policy, lasted_s=second).evidence_log10 >= 2:
                count += 1
                break
    return count


def _second(rng: np.random.Generator, *, unit_ids: bool) -> Arm:
    """Fifty sessions; one in twenty-five crashes, again and again."""
    sessions = rng.integers(0, 2**62, 50)
    failed = sessions[rng.random(50) < 0.04]
    crashes = int(rng.geometric(0.2, len(failed)).sum())
    counts = {"request": 50, "crash": crashes}
    sketches: dict[str, bytes] = {}
    if unit_ids:
        counts |= {"request@session": 50, "crash@session": crashes}
        sketches = {
            "request@session": units.sketch(ids.mixed(sessions.astype(np.uint64))),
            "crash@session": units.sketch(ids.mixed(failed.astype(np.uint64))),
        }
    return Arm.of_cells([Cell(tick=0, release="1", last=1, counts=counts, units=sketches)])


def test_a_session_that_crashes_often_is_one_bad_outcome() -> None:
    """With session ids bursts stay within 1 %; counted crash by crash they do not."""
    assert at_most(bursts(unit_ids=True), 120, ALPHA)
    assert not at_most(bursts(unit_ids=False), 120, ALPHA)
