"""Tables of reality: hosts that differ, sessions that crash in bursts, reports that come late.

Each row stands beside what happens when nothing is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streams.judge import placebo, ratio, simulation
from streams.judge.simulation import Scenario

ALPHA, BETA, TOLERANCE, HARM = 0.01, 0.05, 0.1, 0.5
HOSTS, SESSIONS_BAD = 10, 0.5
DELAY_H, LASTS_H, LOOKS_AN_HOUR = 24, 24 * 14, 3
LOOKS = 1_000
Floats = npt.NDArray[np.float64]


def percent(hits: npt.NDArray[np.bool_]) -> str:
    """A frequency with its standard error."""
    share = float(np.mean(hits))
    return f"{100 * share:.2f} % ± {100 * (share * (1 - share) / len(hits)) ** 0.5:.2f}"


def hosts(scale: float) -> Iterable[list[str]]:
    """The canary on one of ten hosts whose rates scatter: rolled back at several true ratios."""
    runs = int(10_000 * scale)
    for sd in (0.0, 0.1, 0.2):
        for name, uses_placebo in (("tolerance 10 %", False), ("and the hosts' placebo", True)):
            row = [f"{sd:.0%}", name, f"{runs:,}"]
            for true in (1.0, 2.0, 3.0):
                rng = np.random.default_rng([21, round(100 * sd)])
                row.append(percent(of_hosts(rng, sd, true, runs, uses_placebo=uses_placebo)))
            yield row


def of_hosts(
    rng: np.random.Generator, sd: float, true: float, runs: int, *, uses_placebo: bool
) -> npt.NDArray[np.bool_]:
    """Which runs were rolled back within all windows, of one bad outcome per host."""
    effects = np.exp(rng.normal(0, sd, (runs, HOSTS)))
    whole = ratio.grid_of(TOLERANCE, HARM)
    grid = whole._replace(ratios=whole.ratios[: whole.interval.start], interval=slice(0, 0))
    log_likelihood = np.zeros((runs, len(grid.ratios)))
    bad, ever = np.zeros((runs, HOSTS - 1)), np.zeros(runs, bool)
    for window in range(1, LOOKS + 1):
        canary = rng.poisson(true * effects[:, 0])
        baseline = rng.poisson(effects[:, 1:])
        log_likelihood += ratio.log_likelihoods(
            grid.ratios,
            canary_bad=canary,
            baseline_bad=baseline.sum(axis=1),
            canary_exposures=100.0,
            baseline_exposures=100.0 * (HOSTS - 1),
        )
        bad += baseline
        accepted = np.full(runs, TOLERANCE)
        if uses_placebo:
            seen = np.full_like(bad, 100.0 * window)
            found = placebo.scatter_of_rates(bad, seen, canary_hosts=1, alpha=ALPHA)
            accepted = np.maximum(found.tolerance, TOLERANCE)
        ever |= ratio.raised_evidence(log_likelihood, grid, accepted) >= -np.log(ALPHA)
    return ever


def bursts(scale: float) -> Iterable[list[str]]:
    """Bad sessions that crash again and again, counted by crash and by session."""
    runs = int(10_000 * scale)
    for mean in (2, 5):
        for name, by_session in (("crashes", False), ("sessions", True)):
            rng = np.random.default_rng([22, mean])
            found = (of_bursts(rng, mean, r, runs, by_session=by_session) for r in (1.0, 2.0))
            yield [f"{mean} crashes a session", name, f"{runs:,}", *map(percent, found)]


def of_bursts(
    rng: np.random.Generator, mean: int, true: float, runs: int, *, by_session: bool
) -> npt.NDArray[np.bool_]:
    """Which runs were rolled back within all windows of equal arms."""
    grid = ratio.grid_of(TOLERANCE, HARM)
    kept = grid._replace(ratios=grid.ratios[: grid.nulls.start], interval=slice(0, 0))
    log_likelihood = np.zeros((runs, len(kept.ratios)))
    ever = np.zeros(runs, bool)
    for _ in range(LOOKS):
        sessions = rng.poisson([[SESSIONS_BAD * true], [SESSIONS_BAD]], (2, runs))
        again = rng.negative_binomial(np.maximum(sessions, 1), 1 / mean)
        bad = sessions if by_session else sessions + np.where(sessions > 0, again, 0)
        log_likelihood += ratio.log_likelihoods(
            kept.ratios,
            canary_bad=bad[0],
            baseline_bad=bad[1],
            canary_exposures=500.0,
            baseline_exposures=500.0,
        )
        ever |= ratio.evidence(log_likelihood, kept)[0] >= -np.log(ALPHA)
    return ever


def late_reports(scale: float) -> Iterable[list[str]]:
    """Reports that come 24 h later on average, over two weeks, with a look every 20 minutes."""
    runs = int(10_000 * scale)
    looks = LASTS_H * LOOKS_AN_HOUR
    hours = np.arange(1, looks + 1) / LOOKS_AN_HOUR
    come_by_now = 1 - np.exp(-hours / DELAY_H)
    of_same_age = float(1 - np.exp(-DELAY_H / DELAY_H))
    for true in (1.0, 1 + TOLERANCE, 2.0):
        for name, factor, rate in (
            ("as they come", come_by_now, 0.002),
            ("at the same age", np.ones(looks), 0.002 * of_same_age),
        ):
            rng = np.random.default_rng([23, round(100 * true)])
            scenario = Scenario(
                runs=runs,
                windows=looks,
                ratio=(true * factor)[:, None],
                share=0.1,
                exposures=5_000 / LOOKS_AN_HOUR,
                rate=rate,
            )
            found = simulation.judge(
                rng, scenario, tolerance=TOLERANCE, harm=HARM, alpha=ALPHA, beta=BETA
            )
            rolled, promoted = found.rolled_back_at > 0, found.promoted_at > 0
            first = promoted & (~rolled | (found.promoted_at < found.rolled_back_at))
            yield [f"{true:g}", name, f"{runs:,}", percent(rolled & ~first), percent(first)]
