"""Budgets that cannot work, and how ``coalmine check`` tells of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.policies.budgets import Budget, Flow, flows_of, seconds_until_seen, shortfalls
from coalmine.policies.observed import SeenService, counters_of, flows_seen, services_of
from contracts.config import Seconds
from contracts.policy import AtEnd, Phase, Policy
from streams.judge.forecast import Traffic

_SHORT = """service: checkout
phases:
  - name: canary
    exposure: 0.05
    max_duration: 10m
"""


def _policy(**phase: Any) -> Policy:
    return Policy(phases=[Phase(name="canary", exposure=0.05, **phase)])


def _found(policy: Policy, per_s: float = 20, bad_rate: float = 0.001) -> list[tuple[str, str]]:
    flows = flows_of(policy, Flow(per_s, bad_rate))
    return [(found.budget.value, found.field) for found in shortfalls(policy, flows)]


def test_ten_minutes_of_little_traffic_show_nothing() -> None:
    """The sentence names phase, share, traffic, harm, rate, limit, and the time that it takes."""
    policy = _policy(max_duration=Seconds(600))
    harm, health = shortfalls(policy, flows_of(policy, Flow(20, 0.001)))
    assert harm.message == (
        "phase canary: 5 % of 20 requests/s cannot show a doubling of error_rate (0.1 %) within "
        "10 minutes (max_duration): it takes about 7 hours"
    )
    assert (harm.budget, health.budget) == (Budget.HARM, Budget.HEALTH)
    assert harm.takes_s is not None
    assert harm.takes_s > 600
    assert health.message.endswith("then it holds")


def test_enough_traffic_is_enough() -> None:
    """The same phase of a service a thousand times as busy has nothing to be warned of."""
    assert _found(_policy(max_duration=Seconds(600)), per_s=20_000) == []
    assert _found(_policy()) == []


def test_a_later_phase_is_left_when_its_minima_are_met() -> None:
    """What begins there must show within them: health is known from the phase before."""
    phases = [
        Phase(name="first", exposure=0.1),
        Phase(name="second", exposure=0.5, min_duration=Seconds(60)),
    ]
    assert _found(Policy(phases=phases)) == [("harm", "phases[1].min_duration")]
    phases[1].min_exposures = 10_000_000
    assert _found(Policy(phases=phases)) == []


def test_a_phase_without_a_baseline_is_named() -> None:
    """At full exposure nothing is left to compare with."""
    assert _found(Policy(phases=[Phase(exposure=1.0)])) == [("baseline", "phases[0].exposure")]


def test_exposures_that_never_come_are_named() -> None:
    """``min_exposures`` must fit into ``max_duration``."""
    policy = _policy(max_duration=Seconds(86_400), min_exposures=1_000_000, at_end=AtEnd.HOLD)
    assert ("exposures", "phases[0].min_exposures") in _found(policy, bad_rate=0.5)


def test_a_metric_is_looked_at_in_its_own_phases() -> None:
    """Where it is not judged it need not show anything."""
    policy = _policy(max_duration=Seconds(600))
    policy.metrics[0].phases = ["another"]
    assert _found(policy) == []


@given(
    share=st.floats(0.01, 0.5),
    rate=st.floats(1e-5, 0.3),
    per_s=st.floats(0.1, 1e5),
    more=st.floats(1.1, 50),
)
def test_more_traffic_never_takes_longer(
    share: float, rate: float, per_s: float, more: float
) -> None:
    """The time until a doubling is seen shrinks as the traffic grows, in proportion."""
    policy = Policy()
    metric = policy.metrics[0]
    little, much = (
        seconds_until_seen(policy, metric, Traffic(share, rate, each), 1.0)
        for each in (per_s, per_s * more)
    )
    assert little is not None
    assert much == pytest.approx(little / more)


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(build(), list(arguments))


def test_check_warns_and_strict_fails(tmp_path: Path) -> None:
    """A budget is a warning with file, line and field: exit code 0, and 3 with --strict."""
    path = tmp_path / "checkout.yaml"
    path.write_text(_SHORT, encoding="utf-8")
    flags = ("--traffic", "20/s", "--failure-rate", "0.1%")
    done = _invoke("check", str(path), *flags, "--json")
    right, *warnings = json.loads(done.stdout)
    assert done.exit_code == 0
    assert right["level"] == "ok"
    assert [(w["level"], w["line"], w["field"]) for w in warnings] == [
        ("warn", 5, "phases[0].max_duration")
    ] * 2
    assert _invoke("check", str(path), *flags, "--strict").exit_code == 3
    assert _invoke("check", str(path), "--strict").exit_code == 0


@pytest.mark.parametrize(
    "flags", [("--traffic", "20/s"), ("--traffic", "lots", "--failure-rate", "1%")]
)
def test_traffic_needs_both_figures(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """One without the other, or none that can be read, is wrong usage."""
    path = tmp_path / "checkout.yaml"
    path.write_text(_SHORT, encoding="utf-8")
    done = _invoke("check", str(path), *flags)
    assert "expected" in str(done.exception)


def test_what_telemetry_shows_becomes_a_flow() -> None:
    """Counts over the time in which there were windows, by the metrics of the policy."""
    policy = Policy()
    counters = counters_of(policy)
    assert counters == ["request", "request.bad", "crash"]
    sums = {name: {"value": value} for name, value in zip(counters, (6000, 60, 6), strict=True)}
    times = {"first": {"value": 0}, "last": {"value": 50_000}, "window_s": {"value": 10}}
    releases = {"buckets": [{"key": "1.4.2", **sums}]}
    bucket = {"key": "checkout", **sums, **times, "releases": releases}
    answer = {"aggregations": {"services": {"buckets": [bucket]}}}
    [seen] = services_of(answer, counters)
    assert isinstance(seen, SeenService)
    assert [(r.name, r.share) for r in seen.releases] == [("1.4.2", 1.0)]
    assert flows_seen(policy, seen) == {
        "error_rate": Flow(100.0, 0.01),
        "crash_rate": Flow(100.0, 0.001),
    }
