"""Error rate of the sample-ratio test, by seeded simulation with a binomial bound."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from streams.judge import sample_ratio

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_true_shares_are_seldom_a_mismatch(share: float) -> None:
    """With a look after every window, at most 1 % of correct routers are blamed at α = 1 %."""
    rng = np.random.default_rng(21)
    on_canary = np.cumsum(rng.binomial(200, share, (300, 4_000)), axis=0)
    seen = 200 * np.arange(1, 301)[:, None]
    counts = np.stack([on_canary, seen - on_canary], axis=-1)
    blamed = sample_ratio.is_mismatch(counts, [share, 1 - share], alpha=0.01).any(axis=0)
    assert blamed.sum() <= binom.ppf(0.9999, 4_000, 0.01)


def test_a_leak_of_a_tenth_is_found() -> None:
    """A canary that loses 10 % of its sessions at half and half is found in 60,000 sessions."""
    rng = np.random.default_rng(22)
    baseline = rng.binomial(60_000, 0.5, 500)
    canary = rng.binomial(60_000 - baseline, 0.9)
    found = sample_ratio.is_mismatch(np.stack([canary, baseline], axis=-1), [0.5, 0.5])
    assert found.mean() > 0.99
