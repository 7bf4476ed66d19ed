from __future__ import annotations

import math

import numpy as np
import pytest

from streams.judge import combine


def test_the_average_is_the_weighted_mean_of_e_values() -> None:
    """Weights 1 and 3 over e-values 8 and 4 give 5."""
    assert combine.log_average([math.log(8), math.log(4)], [1, 3]) == pytest.approx(math.log(5))


def test_huge_and_tiny_evidence_neither_overflow_nor_vanish() -> None:
    """e-values beyond any float still average to a finite logarithm."""
    assert combine.log_average([1e6, -1e6], [1, 1]) == pytest.approx(1e6 - math.log(2))


def test_the_guilty_metric_has_the_largest_weighted_share() -> None:
    """A larger e-value with a small weight may contribute less than a smaller one."""
    assert combine.guilty([3.0, 2.5], [0.1, 1.0]) == 1


def test_nobody_is_guilty_without_evidence() -> None:
    """Where every metric speaks for health, none is named."""
    assert combine.guilty([0.0, -3.0], [1, 1]) is None


def test_promotion_needs_every_metric() -> None:
    """One metric without promotion evidence holds the rollout back."""
    assert combine.log_minimum([9.0, 0.0]) == 0.0


def test_a_metric_over_its_threshold_takes_the_rollout_over_its_own() -> None:
    """Family-wise thresholds agree with the average: one guilty metric is enough."""
    weights, alpha = [2.0, 1.0, 1.0], 0.01
    for index, threshold in enumerate(combine.metric_thresholds(weights, alpha=alpha)):
        logs = [-50.0] * 3
        logs[index] = threshold
        assert combine.log_average(logs, weights) >= -math.log(alpha) - 1e-12


def test_many_rollouts_at_once_equal_one_by_one() -> None:
    """The vectorised average gives each rollout its own."""
    logs = np.random.default_rng(1).normal(0, 30, (50, 3))
    many = combine.log_averages(logs, [1, 2, 3])
    assert many.tolist() == [combine.log_average(row.tolist(), [1, 2, 3]) for row in logs]
