"""Hosts compared with hosts."""

from __future__ import annotations

import numpy as np
import pytest

from contracts import histogram
from streams.judge import placebo


def _rates(sd: float, count: int, seed: int = 3) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    rates = 0.01 * np.exp(rng.normal(0, sd, count))
    return [(float(rng.poisson(1_000_000 * rate)), 1_000_000.0) for rate in rates]


def test_hosts_that_are_alike_raise_no_tolerance() -> None:
    """Chance alone is not taken for a difference."""
    found = placebo.of_rates([(50.0, 1_000.0)] * 9, canary_hosts=1, alpha=0.01)
    assert found is not None
    assert (found.hosts, found.sd, found.tolerance) == (9, 0.0, 0.0)


def test_the_scatter_of_rates_is_found() -> None:
    """Forty hosts whose rates scatter by 20 % are found to scatter by 20 %."""
    found = placebo.of_rates(_rates(0.2, 40), canary_hosts=1, alpha=0.01)
    assert found is not None
    assert found.sd == pytest.approx(0.2, rel=0.25)


def test_more_canary_hosts_need_less_tolerance() -> None:
    """The mean of several hosts scatters less than one."""
    few, many = (
        placebo.of_rates(_rates(0.2, 9), canary_hosts=hosts, alpha=0.01) for hosts in (1, 5)
    )
    assert few is not None
    assert many is not None
    assert many.tolerance < few.tolerance


def test_the_scatter_of_values_is_found() -> None:
    """Hosts whose latencies differ by 10 % are found to, through sums over their histograms."""
    rng = np.random.default_rng(5)
    hosts = []
    for factor in np.exp(rng.normal(0, 0.1, 30)):
        values = histogram.bins_of(rng.lognormal(3, 0.5, 20_000) * factor).astype(float)
        hosts.append((float(len(values)), float(values.sum()), float((values**2).sum())))
    found = placebo.of_values(hosts, canary_hosts=1, alpha=0.01)
    assert found is not None
    assert found.sd == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    "hosts", [[], [(1.0, 10.0)], [(1.0, 10.0), (2.0, 10.0)], [(0.0, 9.0)] * 5, [(3.0, 0.0)] * 5]
)
def test_too_little_says_nothing(hosts: list[tuple[float, float]]) -> None:
    """Two hosts, no bad outcome, or no exposure: no placebo, and no division by zero."""
    assert placebo.of_rates(hosts, canary_hosts=1, alpha=0.01) is None
    assert placebo.of_values([(n, n, n) for n, _ in hosts][:2], canary_hosts=1, alpha=0.01) is None
