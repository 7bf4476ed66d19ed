"""Crash groups and log templates in a rollout: evidence, names, and what they may not do."""

from __future__ import annotations

import pytest

from contracts.policy import Metric, Policy
from contracts.results import Action, DecisionAction, MetricKind, Outcome, Verdict
from streams.judge.audit import audit
from streams.windows.labels import LIMITS
from tests.support.judge import BASELINE, CANARY, Judge
from tests.support.partials import Traffic

KNOWN = {f"crash/known-{n}": 0.0002 for n in range(50)}
POLICY = Policy(service="checkout", autodetect=True)


def _traffic(**more: float) -> Traffic:
    """Fifty known crashes in both releases, and in the canary what is given."""
    return Traffic(
        requests_per_s={BASELINE: 900, CANARY: 100},
        groups={BASELINE: KNOWN, CANARY: {**KNOWN, **more}},
    )


def _judged(traffic: Traffic, seconds: int, policy: Policy = POLICY) -> Judge:
    judge = Judge(policy)
    judge.run(traffic, range(30), [BASELINE])
    judge.run(traffic, range(30, 30 + seconds))
    return judge


def test_one_new_crash_among_fifty_known_ones_is_named() -> None:
    """One request in a thousand: too few for the crash rate, and the verdict names the group."""
    judge = _judged(_traffic(**{"crash/new": 0.001}), 300)
    rollback = judge.decisions[0]
    assert rollback.action is DecisionAction.ROLLBACK
    assert rollback.guilty_metric == "crash_groups"
    assert rollback.guilty_group is not None
    assert rollback.guilty_group.group == "crash/new"
    assert rollback.guilty_group.is_new
    assert rollback.guilty_group.baseline == 0
    assert "title of crash/new is new in 1.5.0" in rollback.reason
    verdict = judge.verdicts[-1]
    of_groups = next(m for m in verdict.metrics if m.name == "crash_groups")
    assert of_groups.contributors[0].name == "title of crash/new"
    assert of_groups.outcome is Outcome.REGRESSED


def test_known_crashes_at_their_rate_are_no_evidence() -> None:
    """The same fifty crashes in both arms roll nothing back."""
    judge = _judged(_traffic(), 300)
    assert DecisionAction.ROLLBACK not in [d.action for d in judge.decisions]
    assert max(v.evidence_log10 for v in judge.verdicts) < 2


def test_groups_do_not_stand_in_the_way_of_a_promotion() -> None:
    """Health is shown by the metrics that count all outcomes."""
    judge = _judged(_traffic(), 600)
    assert any(v.action is Action.PROMOTE for v in judge.verdicts)


def test_the_rate_that_rolls_back_names_the_group_behind_it() -> None:
    """Where every request fails by one crash, both the rate and the group are told."""
    traffic = _traffic(**{"crash/new": 0.3})
    traffic.crash_rate = {CANARY: 0.3}
    rollback = _judged(traffic, 30).decisions[0]
    assert rollback.guilty_group is not None
    assert rollback.guilty_group.group == "crash/new"
    assert "title of crash/new" in rollback.reason


def test_error_logs_are_judged_and_other_severities_are_not() -> None:
    """A new error template is evidence; a new release may say new things at info."""
    told = _judged(_traffic(**{"log.info/new": 0.5}), 120)
    assert told.decisions == [] or told.decisions[0].action is not DecisionAction.ROLLBACK
    failed = _judged(_traffic(**{"log.error/new": 0.05}), 120)
    assert failed.decisions[0].guilty_metric == "error_logs"


def test_a_burst_on_one_host_is_no_regression() -> None:
    """Two hundred equal lines at once, now and then, on one host, are few outcomes."""
    policy = Policy(service="checkout", autodetect=True)
    traffic = Traffic(
        requests_per_s={BASELINE: 900, CANARY: 100},
        groups={name: {"log.error/loop": 0.002} for name in (BASELINE, CANARY)},
        burst=200,
    )
    judge = _judged(traffic, 600, policy)
    assert DecisionAction.ROLLBACK not in [d.action for d in judge.decisions]


def test_one_that_is_not_critical_is_only_watched() -> None:
    """Groups may be told of without being able to roll back."""
    metrics = [
        Metric(name="error_rate", bad="request.bad"),
        Metric(name="crash_groups", kind=MetricKind.GROUPS, bad="crash", critical=False),
    ]
    policy = Policy(service="checkout", autodetect=True, metrics=metrics)
    judge = _judged(_traffic(**{"crash/new": 0.01}), 120, policy)
    assert DecisionAction.ROLLBACK not in [d.action for d in judge.decisions]
    verdict = judge.verdicts[-1]
    assert verdict.metrics[1].outcome is Outcome.REGRESSED
    assert verdict.metrics[1].contributors[0].group == "crash/new"


def test_evidence_of_groups_is_computed_again_to_the_last_digit() -> None:
    """The stored windows of groups are all that their evidence needs."""
    judge = _judged(_traffic(**{"crash/new": 0.0003}), 60)
    by_time: dict[int, Verdict] = {v.time: v for v in judge.verdicts}
    rows = audit(judge.policy, [by_time[time] for time in sorted(by_time)])
    assert [row.name for row in rows if row.agrees] == [row.name for row in rows]
    assert next(row for row in rows if row.name == "crash_groups").windows > 10


@pytest.mark.parametrize("kind", ["crash", "log.error"])
def test_groups_without_end_are_folded_and_counted(kind: str) -> None:
    """A crash whose name changes each time neither fills the state nor is lost."""
    judge = Judge(POLICY)
    traffic = Traffic(requests_per_s={BASELINE: 1_000})
    limit = LIMITS["crash group" if kind == "crash" else "log template"]
    for second in range(4):
        names = {f"{kind}/{second}-{n}": 1 for n in range(limit // 2)}
        for partial in traffic.second(second):
            partial.cells[0].groups = names
            judge.hear(partial)
    assert len([n for n in judge.state.groups.seen if n.startswith(kind)]) == limit + 1
    folded = judge.state.labels.folded
    assert sum(folded.values()) == 4 * (limit // 2) - limit
