"""Error rates of rollouts whose phases have metrics of their own, by seeded simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from contracts.policy import Metric, Phase, Policy
from contracts.results import Cell, Decision, DecisionAction
from streams.judge.deciding import decide
from streams.judge.rollout import add_tick, look, open_rollout
from streams.windows.tally import Arm

pytestmark = pytest.mark.statistical

RUNS, SECONDS = 200, 40
EXPOSURES = 400
RATES = {"request.bad": 0.1, "crash": 0.05}
POLICY = Policy(
    service="checkout",
    false_rollback_rate=0.1,
    min_exposures=0,
    metrics=[
        Metric(name="errors", bad="request.bad", weight=2),
        Metric(name="early crashes", bad="crash", phases=["few"]),
        Metric(name="crashes", bad="crash", tolerance=0.3, phases=["cluster", "all"]),
    ],
    phases=[Phase(name="few"), Phase(name="cluster"), Phase(name="all", min_exposures=10**9)],
)


class Run(NamedTuple):
    """What became of one rollout: what was decided, in which phases."""

    decisions: list[Decision]

    @property
    def rolled_back_in(self) -> str:
        """The phase of its rollback; empty without one."""
        found = (d.phase for d in self.decisions if d.action is DecisionAction.ROLLBACK)
        return next(found, "")


def _arm(rng: np.random.Generator, ratios: dict[str, float]) -> Arm:
    counts = {name: int(rng.binomial(EXPOSURES, RATES[name] * ratios[name])) for name in RATES}
    cell = Cell(tick=0, release="", last=0, counts={"request": EXPOSURES, **counts})
    return Arm.of_cells([cell])


def _run(seed: int, ratios: dict[str, dict[str, float]]) -> Run:
    """A rollout that goes on as soon as health is shown; ``ratios`` of each phase."""
    rng = np.random.default_rng([8, seed])
    rollout = open_rollout(
        POLICY, name="x", service="checkout", canary="2", baseline="1", opened_at=0
    )
    said: list[Decision] = []
    for second in range(1, SECONDS + 1):
        in_phase = ratios[rollout.phase_policy.name]
        baseline = _arm(rng, dict.fromkeys(RATES, 1.0))
        add_tick(rollout, end=1_000 * second, canary=_arm(rng, in_phase), baseline=baseline)
        words = decide(rollout, look(rollout), processed_time=0)
        said += [word for word in words if isinstance(word, Decision)]
        if rollout.status.is_draining:
            break
    return Run(said)


def test_false_rollbacks_stay_below_alpha_over_all_phases_together() -> None:
    """At the worst accepted ratio of every phase, phases left as soon as health is shown."""
    worst = {
        "few": {"request.bad": 1.1, "crash": 1.1},
        "cluster": {"request.bad": 1.1, "crash": 1.3},
        "all": {"request.bad": 1.1, "crash": 1.3},
    }
    runs = [_run(seed, worst) for seed in range(RUNS)]
    assert sum(bool(run.decisions) for run in runs) > RUNS / 2  # most go beyond the first phase
    hits = sum(bool(run.rolled_back_in) for run in runs)
    allowed = binom.ppf(0.9999, RUNS, POLICY.false_rollback_rate)
    assert hits <= allowed, f"{hits} of {RUNS}"


def test_a_bug_of_one_phase_stops_the_rollout_in_it() -> None:
    """Crashes under cluster load, as in Facebook's report: employees see none of them."""
    good = dict.fromkeys(RATES, 0.9)
    ratios = {"few": good, "cluster": {"request.bad": 0.9, "crash": 4.0}, "all": good}
    phases = [_run(1_000 + seed, ratios).rolled_back_in for seed in range(30)]
    assert phases == ["cluster"] * 30
