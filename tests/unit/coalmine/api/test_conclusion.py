"""What a verdict means to those who wait for it."""

from __future__ import annotations

import pytest

from coalmine.api.conclusion import Result, conclude
from contracts.results import Action, Outcome, RolloutStatus, Verdict
from tests.support.results import promoted, regressed, verdict

RUNNING = RolloutStatus.RUNNING


@pytest.mark.parametrize(
    ("found", "result", "is_final"),
    [
        (None, Result.NO_DATA, False),
        (verdict(), Result.INCONCLUSIVE, False),
        (verdict(outcome=Outcome.NO_DATA), Result.NO_DATA, False),
        (verdict(outcome=Outcome.ERROR), Result.INCONCLUSIVE, False),
        (verdict(outcome=Outcome.HEALTHY, action=Action.HOLD), Result.INCONCLUSIVE, False),
        (verdict(status=RolloutStatus.HOLDING), Result.INCONCLUSIVE, False),
        (verdict(status=RolloutStatus.ABORTED), Result.INCONCLUSIVE, True),
        (verdict(status=RolloutStatus.CLOSED), Result.NO_DATA, True),
        (regressed(), Result.REGRESSED, True),
        (regressed(status=RolloutStatus.ROLLED_BACK), Result.REGRESSED, True),
        (regressed(status=RolloutStatus.TRAFFIC_STOPPED), Result.REGRESSED, True),
        (promoted(), Result.HEALTHY, True),
        (promoted(status=RolloutStatus.WATCHING), Result.HEALTHY, True),
        (regressed(status=RUNNING), Result.REGRESSED, True),
    ],
)
def test_a_conclusion_of_the_whole_rollout(
    found: Verdict | None, result: Result, *, is_final: bool
) -> None:
    """Health is what was promoted, harm what was decided; no data is neither."""
    conclusion = conclude(found)
    assert (conclusion.result, conclusion.is_final) == (result, is_final)


def test_a_phase_is_healthy_once_it_was_left() -> None:
    """Whoever steers phase by phase waits for one phase; going back to it begins it anew."""
    assert conclude(verdict(), "employees").result is Result.INCONCLUSIVE
    assert conclude(verdict(phase="all"), "employees").result is Result.HEALTHY
    assert conclude(verdict(phase="all"), "all").result is Result.INCONCLUSIVE
    assert conclude(verdict(phase="all"), "typo").result is Result.INCONCLUSIVE
    assert conclude(regressed(phase="all"), "employees").result is Result.REGRESSED


def test_why_it_is_held_is_told() -> None:
    """A freeze or a person is the reason that people look for."""
    held = verdict(outcome=Outcome.HEALTHY, held_because="freeze until Monday: Black Friday")
    assert "Black Friday" in conclude(held).reason
