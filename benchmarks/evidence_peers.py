"""Other tools' rules on the same simulated streams.

Each rule sees cumulative counts per minute, as its tool documents it, and says at each minute
whether it would roll back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import norm

from streams.judge import ratio

ALPHA = 0.01
MINUTES, REQUESTS = 120, 10_000
Hits = np.ndarray
"""Shape (minutes, runs): whether the rule fires at that minute."""


def streams(
    rng: np.random.Generator, *, runs: int, errors: float, true: float
) -> tuple[np.ndarray, np.ndarray]:
    """Errors per minute of canary and baseline, shape (minutes, runs)."""
    return rng.poisson(errors * true, (MINUTES, runs)), rng.poisson(errors, (MINUTES, runs))


def evidence(canary: np.ndarray, baseline: np.ndarray) -> Hits:
    """Coalmine's ratio test, tolerance 0."""
    grid = ratio.grid_of(0.0, 0.5)
    kept = grid._replace(ratios=grid.ratios[: grid.interval.start], interval=slice(0, 0))
    terms = ratio.log_likelihoods(
        kept.ratios,
        canary_bad=canary,
        baseline_bad=baseline,
        canary_exposures=REQUESTS,
        baseline_exposures=REQUESTS,
    )
    found: Hits = ratio.evidence(np.cumsum(terms, axis=0), kept)[0] >= -np.log(ALPHA)
    return found


def fixed_ratio(canary: np.ndarray, baseline: np.ndarray) -> Hits:
    """``canary > 1.2 × baseline`` of each minute; the fourth failed minute rolls back."""
    failures = np.cumsum(canary > 1.2 * baseline, axis=0)
    found: Hits = failures > 3  # Argo Rollouts: failureLimit 3
    return found


def repeated_z(canary: np.ndarray, baseline: np.ndarray) -> Hits:
    """One-sided z-test of the totals at 1 %, at every minute."""
    c, b = np.cumsum(canary, axis=0), np.cumsum(baseline, axis=0)
    found: Hits = (c - b) / np.sqrt(np.maximum(c + b, 1)) > norm.isf(ALPHA)
    return found


def asymptotic(canary: np.ndarray, baseline: np.ndarray) -> Hits:
    """Asymptotic confidence sequence of the difference of rates, tuned at 5,000 requests."""
    minutes = np.arange(1, len(canary) + 1)[:, None]
    n = REQUESTS * minutes
    rates = np.cumsum(canary, axis=0) / n, np.cumsum(baseline, axis=0) / n
    variance = sum(rate * (1 - rate) for rate in rates)
    found: Hits = (rates[0] - rates[1]) > np.sqrt(variance) * half_width(n)
    return found


def half_width(n: np.ndarray, tuned_at: int = 5_000) -> np.ndarray:
    """Half width for unit variance, two-sided 2 α (Waudby-Smith et al. 2024)."""
    level = 2 * ALPHA
    rho2 = (-2 * np.log(level) + np.log(-2 * np.log(level) + 1)) / tuned_at
    width: np.ndarray = np.sqrt(
        2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / level)
    )
    return width


def mann_whitney(canary: np.ndarray, baseline: np.ndarray) -> Hits:
    """Kayenta's thresholds on minute values: the 98 % interval of the shift above 0.25 × mean.

    A look every 5 minutes from minute 10, as its analysis intervals are.
    """
    fired = np.zeros(canary.shape, bool)
    for minute in range(10, MINUTES + 1, 5):
        shifts = canary[:minute, None, :].astype(np.int16) - baseline[None, :minute, :]
        ordered = np.sort(shifts.reshape(minute * minute, -1), axis=0)
        spread = norm.isf(0.01) * np.sqrt(minute**2 * (2 * minute + 1) / 12)
        lower = ordered[max(int(minute**2 / 2 - spread), 0)]
        fired[minute - 1] = lower > 0.25 * baseline[:minute].mean(axis=0)
    return fired


TESTS = {
    "e-process": evidence,
    "fixed ratio 1.2, limit 3": fixed_ratio,
    "z-test every minute": repeated_z,
    "Mann–Whitney, Kayenta's thresholds": mann_whitney,
    "asymptotic sequence": asymptotic,
}


def peers(scale: float) -> Iterable[list[str]]:
    """Share found and median minutes of each rule."""
    for errors in (5.0, 0.5, 0.1):
        rows = {name: [f"{errors:g}", name] for name in TESTS}
        for true in (1.0, 1.5, 2.0, 3.0, 5.0, 10.0):
            rng = np.random.default_rng([30, int(10 * errors), int(10 * true)])
            many = streams(
                rng,
                runs=max(int((2_000 if true == 1 else 400) * scale), 20),
                errors=errors,
                true=true,
            )
            few = tuple(side[:, : max(int(100 * scale), 20)] for side in many)
            for name, test in TESTS.items():
                hits = test(*(few if test is mann_whitney else many))
                found = hits.any(axis=0)
                share = (
                    f"{100 * found.mean():.1f} %" if true == 1 else f"{100 * found.mean():.0f} %"
                )
                if true > 1 and found.any():
                    share += f", {np.median(hits.argmax(axis=0)[found] + 1):.0f}"
                rows[name].append(share)
        yield from rows.values()


def peers_small_share(scale: float) -> Iterable[list[str]]:
    """Equal rates, 5 % share, 1,000 looks of 200 requests at 1 % errors."""
    runs, windows = max(int(2_000 * scale), 50), 1_000
    rng = np.random.default_rng(31)
    c = np.cumsum(rng.binomial(10, 0.01, (windows, runs)), axis=0)
    b = np.cumsum(rng.binomial(190, 0.01, (windows, runs)), axis=0)
    looks = np.arange(1, windows + 1)[:, None]
    n_c, n_b = 10 * looks, 190 * looks
    grid = ratio.grid_of(0.0, 0.5)
    kept = grid._replace(ratios=grid.ratios[: grid.interval.start], interval=slice(0, 0))
    ours = np.zeros(runs, bool)
    for at in range(windows):
        terms = ratio.log_likelihoods(
            kept.ratios,
            canary_bad=c[at],
            baseline_bad=b[at],
            canary_exposures=n_c[at],
            baseline_exposures=n_b[at],
        )
        ours |= ratio.evidence(terms, kept)[0] >= -np.log(ALPHA)
    p_c, p_b = c / n_c, b / n_b
    pooled = (c + b) / (n_c + n_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (p_c - p_b) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_b))
    error = np.sqrt(p_c * (1 - p_c) / n_c + p_b * (1 - p_b) / n_b)
    n = n_c + n_b
    sequence = (p_c - p_b > error * np.sqrt(n) * half_width(n)) & (c > 0) & (b > 0)
    for name, ever in (
        ("e-process", ours),
        ("z-test at every look", (z > norm.isf(ALPHA)).any(axis=0)),
        ("fixed ratio 1.2 on totals, limit 3", ((p_c > 1.2 * p_b).cumsum(axis=0) > 3).any(axis=0)),
        ("asymptotic sequence", sequence.any(axis=0)),
    ):
        yield [name, f"{100 * ever.mean():.1f} %"]
