"""Many groups at once: weights, evidence, and how the outcomes of each are measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contracts.policy import Metric, Policy
from contracts.results import Cell, MetricKind
from streams.judge import groups, measure, ratio
from streams.judge.metric import MetricState
from streams.windows import units
from streams.windows.ids import mixed
from streams.windows.tally import Arm

CRASHES = Metric(name="crash_groups", kind=MetricKind.GROUPS, bad="crash")
LOGS = Metric(name="error_logs", kind=MetricKind.GROUPS, bad="log.error")
WINDOW = {"canary_exposures": 100.0, "baseline_exposures": 900.0}


def _cell(count: int, name: str = "crash/a", sessions: list[int] | None = None) -> Cell:
    found = {name: count}
    sketches = {}
    if sessions is not None:
        found[f"{name}@session"] = count
        sketches[f"{name}@session"] = units.sketch(mixed(np.array(sessions, np.uint64)))
    return Cell(tick=0, release="1", last=0, counts={"request": 100}, groups=found, units=sketches)


def _measured(metric: Metric, *ticks: Cell) -> list[tuple[float, float]]:
    """Outcomes of the group ``crash/a`` in each tick of the canary; the baseline has none."""
    failed = measure.NONE_FAILED
    bursts: measure.Bursts = {}
    found = []
    for cell in ticks:
        window, failed = measure.measure_groups(metric, Arm.of_cells([cell]), Arm(), failed, bursts)
        found.append(window.groups.get("crash/a", (0.0, 0.0)))
    return found


@pytest.mark.parametrize("known", [0, 1, 40])
def test_the_weights_of_all_groups_sum_to_one_at_most(known: int) -> None:
    """However many new groups come, the average stays an average."""
    numbers = np.array([0] * known + list(range(1, 5_000)))
    total = float(groups.weights_of(numbers, known=known).sum())
    assert total == pytest.approx(1.0, abs=0.001)
    assert total < 1.0


def test_one_group_is_judged_as_the_ratio_that_it_is() -> None:
    """With exact fractions for two alternatives the evidence is the formula's."""
    state = groups.new(tolerance=0.0, known=[])
    groups.add(state, {"crash/a": (3.0, 1.0)}, **WINDOW)
    grid = groups.grid_of(0.0)
    share = 0.1
    of_each = [
        3 * math.log(r) - 4 * math.log(r * share + 1 - share)
        for r in grid.ratios[grid.worse].tolist()
    ]
    expected = math.log(sum(map(math.exp, of_each)) / len(of_each))
    found = groups.look(state)
    assert found.logs["crash/a"] == pytest.approx(expected)
    weight = found.weights["crash/a"]
    assert found.log_evidence == pytest.approx(math.log(weight * math.exp(expected) + 1 - weight))


def test_a_new_group_weighs_more_than_a_known_one() -> None:
    """The same outcomes are more evidence where nobody has ever seen them."""
    evidence = {}
    for known in (["crash/a", *(f"crash/{n}" for n in range(30))], ["crash/b"] * 31):
        state = groups.new(tolerance=0.1, known=known)
        groups.add(state, {"crash/a": (5.0, 0.0)}, **WINDOW)
        evidence[known[0]] = groups.look(state).log_evidence
    assert evidence["crash/b"] > evidence["crash/a"] + 1


def test_windows_in_parts_and_in_any_order_are_the_same_evidence() -> None:
    """States are sums."""
    windows = [{"crash/a": (2.0, 1.0)}, {"crash/b": (0.0, 3.0), "crash/a": (1.0, 0.0)}]
    looks = []
    for order in (windows, windows[::-1]):
        state = groups.new(tolerance=0.1, known=["crash/a", "crash/b"])
        for outcomes in order:
            groups.add(state, outcomes, **WINDOW)
        looks.append(groups.look(state).log_evidence)
    assert looks[0] == pytest.approx(looks[1])


def test_beyond_the_limit_groups_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state stays small, and their outcomes still count."""
    monkeypatch.setattr(groups, "MAX_GROUPS", 3)
    state = groups.new(tolerance=0.1, known=[])
    groups.add(state, {f"crash/{n}": (1.0, 0.0) for n in range(10)}, **WINDOW)
    assert list(state.groups) == ["crash/0", "crash/1", "crash/2", groups.OTHER]
    assert state.groups[groups.OTHER].bad == [7.0, 0.0]


def test_a_raised_tolerance_lowers_the_evidence() -> None:
    """What hosts differ by anyway is no evidence against the release."""
    state = groups.new(tolerance=0.1, known=["crash/a"])
    groups.add(state, {"crash/a": (9.0, 20.0)}, **WINDOW)
    evidence = [groups.look(state, tolerance=raised).log_evidence for raised in (0.1, 1.0, 50.0)]
    assert evidence[0] > evidence[1] > evidence[2]
    assert evidence[2] <= 0


def test_a_session_fails_once_by_whatever_group() -> None:
    """A crash loop of one session is one outcome, in the tick in which it began."""
    loop = [_cell(5, sessions=[1]), _cell(7, sessions=[1]), _cell(2, sessions=[1, 2])]
    assert _measured(CRASHES, *loop) == [(1.0, 0.0), (0.0, 0.0), (1.0, 0.0)]
    other_group = _cell(3, name="crash/b", sessions=[1])
    assert _measured(CRASHES, other_group, _cell(1, sessions=[1]))[1] == (0.0, 0.0)


def test_a_burst_without_sessions_counts_about_once() -> None:
    """A hundred equal lines that a host writes in one second say little more than one."""
    bursts = _measured(CRASHES, *[_cell(100)] * 4)
    assert bursts == [(1.0, 0.0)] * 4
    singles = _measured(CRASHES, *[_cell(1)] * 4)
    assert singles == [(1.0, 0.0)] * 4


def test_only_the_groups_of_its_counter_belong_to_a_metric() -> None:
    """Crash groups and log templates share the cells and nothing else."""
    arm = Arm.of_cells([_cell(1), _cell(1, name="log.error/x"), _cell(1, name="log.info/y")])
    for metric, names in ((CRASHES, ["crash/a"]), (LOGS, ["log.error/x"])):
        window, _ = measure.measure_groups(metric, arm, Arm(), measure.NONE_FAILED, {})
        assert list(window.groups) == names


def test_outcomes_wait_for_the_other_arm() -> None:
    """While the baseline is silent there is nothing to compare with, and nothing is lost."""
    state = MetricState.new(CRASHES, Policy(), [])
    for end in (1, 2):
        state.add_tick(CRASHES, Policy(), Arm.of_cells([_cell(1)]), Arm(), end=end)
        assert state.groups
        assert not state.groups.groups
    baseline = Arm.of_cells([Cell(tick=0, release="0", last=0, counts={"request": 9})])
    state.add_tick(CRASHES, Policy(), Arm(), baseline, end=3)
    assert state.groups
    assert state.groups.groups["crash/a"].bad == [2.0, 0.0]


def test_the_grid_begins_above_the_null_and_reaches_new_groups() -> None:
    """The largest alternative is a thousand times as often."""
    grid = groups.grid_of(0.1)
    worse = grid.ratios[grid.worse]
    assert worse.min() > 1.1
    assert worse.max() > 1_000
    assert ratio.evidence(np.zeros((2, len(grid.ratios))), grid)[0].tolist() == [0.0, 0.0]
