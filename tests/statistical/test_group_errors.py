"""Error rates of many groups judged at once, by seeded simulation with a binomial bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from streams.judge import group_simulation
from streams.judge.group_simulation import Crowd

pytestmark = pytest.mark.statistical

ALPHA, TOLERANCE = 0.01, 0.1


@pytest.mark.parametrize("known", [0, 40])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_false_rollbacks_by_any_of_many_groups_stay_below_alpha(share: float, known: int) -> None:
    """At the worst accepted ratio of every group, with a look after every window."""
    runs = 1_000
    crowd = Crowd(rates=0.02 / np.arange(1, 61), known=known, ratio=1 + TOLERANCE)
    found = group_simulation.judge(
        np.random.default_rng([7, known]),
        crowd,
        runs=runs,
        windows=100,
        share=share,
        exposures=1_000,
        tolerance=TOLERANCE,
    )
    hits = int((found.crossed(math.log(1 / ALPHA)) > 0).sum())
    assert hits <= binom.ppf(0.9999, runs, ALPHA), f"{hits} of {runs}"


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_new_crash_among_fifty_known_ones_is_found_near_the_bound(share: float) -> None:
    """Within twice the outcomes below which no test can tell, and named every time."""
    runs = 200
    crowd = Crowd(
        rates=np.append(0.002 / np.arange(1, 51), 0.0), known=50, only_canary={50: 0.0005}
    )
    found = group_simulation.judge(
        np.random.default_rng(8),
        crowd,
        runs=runs,
        windows=100,
        share=share,
        exposures=0.3 / (share * 0.0005),
        tolerance=TOLERANCE,
    )
    at = found.crossed(math.log(1 / ALPHA))
    assert (at > 0).all()
    crashes = np.median(found.outcomes[at - 1, np.arange(runs)])
    bound = group_simulation.bound(share=share, tolerance=TOLERANCE, alpha=ALPHA)
    assert crashes <= 2 * math.ceil(bound)
    assert (found.guilty == 50).all()
