from __future__ import annotations

import math

import numpy as np
import pytest

from streams.judge import sample_ratio


def test_no_exposures_are_no_evidence() -> None:
    """Before the first exposure the e-value is 1."""
    assert sample_ratio.log_evidence([0, 0], [0.5, 0.5]) == pytest.approx(0.0)


def test_the_e_value_is_a_probability_ratio() -> None:
    """One exposure has, summed over arms under the null, expectation exactly 1."""
    shares = np.array([0.1, 0.3, 0.6])
    expected = shares @ np.exp(sample_ratio.log_evidence(np.eye(3), shares))
    assert expected == pytest.approx(1.0)


def test_a_tenth_of_the_canary_lost_is_seen() -> None:
    """At half and half, 10 % of the canary's sessions lost is a mismatch within 20,000."""
    assert sample_ratio.is_mismatch([9_000, 10_000], [0.5, 0.5])
    assert not sample_ratio.is_mismatch([9_950, 10_050], [0.5, 0.5])


def test_huge_counts_stay_finite() -> None:
    """A thousand million exposures in the wrong place are finite evidence."""
    assert math.isfinite(sample_ratio.log_evidence([1e9, 0], [0.01, 0.99]))
