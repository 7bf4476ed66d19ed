"""Five phases and a deploy tool that knows no policy: it gives the canary what decisions say."""

from __future__ import annotations

import pytest

from contracts.config import Seconds
from contracts.policy import Metric, Phase, Policy, Unit
from contracts.results import DecisionAction, RolloutCommandAction, RolloutStatus
from tests.support.judge import BASELINE, CANARY, Judge
from tests.support.partials import Traffic

SHARES = {"checks": 0.05, "employees": 0.1, "machines": 0.2, "cluster": 0.5, "everywhere": 0.8}
LEAST = [200, 800, 2_000, 8_000, 6_000]
PER_SECOND = 400
POLICY = Policy(
    service="checkout",
    harm=2.0,
    shares_settle_after=Seconds(600),
    metrics=[Metric(name="error_rate", bad="request.bad", unit=Unit.EVENT)],
    phases=[
        Phase(name=name, exposure=share, min_exposures=least)
        for (name, share), least in zip(SHARES.items(), LEAST, strict=True)
    ],
)


def _rolled_out(fails_from: float, lag_s: int) -> tuple[Judge, float]:
    """A rollout whose decisions are obeyed after a while; the judge, and the share in the end.

    Args:
        fails_from: share of the traffic from which on half of the canary's requests fail.
        lag_s: seconds from a decision until the deploy tool has done what it says.
    """
    judge, traffic = Judge(POLICY), Traffic(seed=3)
    share, plan = 0.0, dict[int, float]()
    judge.run(traffic, range(3), [BASELINE])
    judge.order(RolloutCommandAction.START, CANARY)
    plan[5] = SHARES["checks"]
    obeyed = 0
    for second in range(3, 240):
        share = plan.get(second, share)
        canary = round(PER_SECOND * share)
        traffic.requests_per_s = {BASELINE: PER_SECOND - canary, CANARY: canary}
        traffic.error_rate = {BASELINE: 0.1, CANARY: 0.5 if share >= fails_from else 0.1}
        judge.run(traffic, range(second, second + 1))
        for decision in judge.decisions[obeyed:]:
            obeyed += 1
            if decision.exposure is not None:
                plan[second + lag_s] = decision.exposure
    return judge, share


@pytest.mark.parametrize("lag_s", [3, 30])
def test_a_good_release_reaches_everybody_by_decisions_alone(lag_s: int) -> None:
    """Each promotion says the share of the next phase, the last one says all of it."""
    judge, share = _rolled_out(fails_from=2.0, lag_s=lag_s)
    told = [(d.action, d.phase, d.exposure) for d in judge.decisions]
    shares = [*SHARES.values(), 1.0][1:]
    promoted = zip(SHARES, shares, strict=True)
    assert told == [(DecisionAction.PROMOTE, name, to) for name, to in promoted]
    assert share == 1.0
    assert judge.verdicts[-1].status is RolloutStatus.PROMOTED


@pytest.mark.parametrize("lag_s", [3, 30])
def test_a_bug_that_needs_a_clusters_load_ends_the_rollout_in_that_phase(lag_s: int) -> None:
    """It is promoted as long as it is good, rolled back where it fails, and seen to be gone; a
    phase's least exposures keep it from being left before the deploy tool has acted.
    """
    judge, share = _rolled_out(fails_from=SHARES["cluster"], lag_s=lag_s)
    told = [(d.action, d.phase) for d in judge.decisions]
    assert told == [
        *((DecisionAction.PROMOTE, name) for name in [*SHARES][:3]),
        (DecisionAction.ROLLBACK, "cluster"),
        (DecisionAction.ROLLBACK_VERIFIED, "cluster"),
    ]
    assert share == 0.0
    assert judge.verdicts[-1].guilty_metric == "error_rate"
