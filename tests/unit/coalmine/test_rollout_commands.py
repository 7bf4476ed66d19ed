"""``coalmine rollout``: what is drawn, told and asked, without any server."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.cli.rollouts.asking import AnswerExit, command_of, exit_of, sentence_of
from coalmine.cli.rollouts.commands import releases
from coalmine.cli.rollouts.status import WatchExit
from coalmine.cli.rollouts.status import exit_of as exit_of_status
from coalmine.rollouts import drawing
from coalmine.rollouts.overriding import decision_of
from coalmine.rollouts.trail import StepKind, trail
from contracts.errors import ConfigError
from contracts.results import (
    Action,
    Answer,
    AnswerCode,
    ArmCounts,
    Decision,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    MetricKind,
    MetricVerdict,
    Outcome,
    PhaseProgress,
    RelativeRisk,
    RolloutCommandAction,
    RolloutStatus,
    Verdict,
)

_START = 1_795_428_000_000


def _verdict(**changed: Any) -> Verdict:
    fields: dict[str, Any] = {
        "time": _START + 1_200_000,
        "processed_time": _START + 1_201_000,
        "service": "checkout",
        "rollout": "checkout-1.5.0",
        "canary": "1.5.0",
        "baseline": "1.4.2",
        "phase": "cluster",
        "phase_started_at": _START + 600_000,
        "opened_at": _START,
        "status": RolloutStatus.RUNNING,
        "outcome": Outcome.HEALTHY,
        "action": Action.CONTINUE,
        "reason": "1.5.0 is no worse than 1.4.2.",
        "evidence_log10": 0.5,
        "promotion_log10": 1.5,
        "rollback_at_log10": 2.0,
        "promote_at_log10": 1.3,
        "held_because": "promotions are frozen",
        "metrics": [
            MetricVerdict(
                name="error_rate",
                kind=MetricKind.RATIO,
                outcome=Outcome.HEALTHY,
                relative_risk=RelativeRisk(estimate=1.02, lower=0.8, upper=1.3),
                evidence_log10=0.5,
                promotion_log10=1.5,
                exposures=ArmCounts(canary=4000, baseline=16_000),
                bad=ArmCounts(canary=40, baseline=158),
            )
        ],
        "phases": [
            PhaseProgress(
                name="machines",
                exposure=0.05,
                started_at=_START,
                ended_at=_START + 600_000,
                exposures=1000,
            ),
            PhaseProgress(
                name="cluster",
                exposure=0.2,
                min_duration_s=900,
                min_exposures=5000,
                started_at=_START + 600_000,
                exposures=3000,
            ),
            PhaseProgress(name="everywhere", exposure=0.9, min_duration_s=1800),
        ],
    }
    return Verdict(**(fields | changed))


def _drawn(verdict: Verdict) -> str:
    out = StringIO()
    Console(file=out, width=120, color_system=None).print(drawing.draw(verdict))
    return out.getvalue()


def test_a_rollout_is_drawn_with_everything_that_matters() -> None:
    """Phases with exposure, time and minima; evidence against both thresholds; metrics; why."""
    drawn = _drawn(_verdict())
    for words in (
        "checkout 1.5.0 beside 1.4.2  running",
        "✓ machines ── ● cluster ── ○ everywhere",
        "20 %, 10 minutes of at least 15 minutes, 3,000 exposures of at least 5,000",
        "10^0.50 of 10^2.00",
        "10^1.50 of 10^1.30",
        "0.80 to 1.30",
        "40 of 4,000",
        "1.5.0 is no worse than 1.4.2.",
        "Held: promotions are frozen",
    ):
        assert words in drawn


def test_the_phase_of_a_rollback_is_marked() -> None:
    """Where it was stopped is seen at once; a promoted rollout has left them all."""
    assert "✗ cluster" in _drawn(_verdict(status=RolloutStatus.ROLLED_BACK))
    promoted = _drawn(_verdict(status=RolloutStatus.PROMOTED))
    assert "✓ cluster" in promoted


def test_a_name_cannot_move_the_cursor() -> None:
    """What telemetry smuggled in is shown, not obeyed."""
    assert "\x1b" not in _drawn(_verdict(canary="\x1b[2J1.5.0", reason="\x1b[31mno"))


def test_a_verdict_without_phases_is_drawn() -> None:
    """One of an older worker has none."""
    assert "phase cluster" in _drawn(_verdict(phases=[], metrics=[]))


def _answer(code: AnswerCode) -> Answer:
    return Answer(
        id="1",
        time=_START,
        service="checkout",
        action=RolloutCommandAction.HOLD,
        code=code,
        message="It is so.",
        requested_by="ann",
        reason="lunch",
        rollout="checkout-1.5.0",
    )


@pytest.mark.parametrize("code", list(AnswerCode))
def test_the_exit_code_says_what_became_of_a_command(code: AnswerCode) -> None:
    """0 where it did what it asked for, 1 where it was refused; the sentence is the judge's."""
    command = command_of("checkout", RolloutCommandAction.HOLD, by="ann", command_id="1")
    answer = _answer(code)
    assert (exit_of(answer) is AnswerExit.ACCEPTED) == code.is_accepted
    assert sentence_of(command, answer).endswith("It is so.")


def test_a_command_without_an_answer_still_stands() -> None:
    """People are told that it does, and scripts by a code of its own."""
    command = command_of("checkout", RolloutCommandAction.HOLD, by="", command_id="")
    assert exit_of(None) is AnswerExit.UNANSWERED
    assert "stands" in sentence_of(command, None)
    assert command.requested_by
    assert command.id


def test_only_a_promotion_is_a_success_to_watch() -> None:
    """A rollback is 1, an end without a decision 4."""
    ends = {status: exit_of_status(status) for status in RolloutStatus if not status.is_open}
    assert ends == {
        RolloutStatus.PROMOTED: WatchExit.PROMOTED,
        RolloutStatus.ROLLED_BACK: WatchExit.ROLLED_BACK,
        RolloutStatus.ABORTED: WatchExit.ENDED,
        RolloutStatus.CLOSED: WatchExit.ENDED,
    }


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["start", "checkout"], "RELEASE"),
        (["start", "checkout", "1.5.0", "--canary", "1.6.0"], "--canary"),
        (["start", "checkout", "1.5.0", "--flag", "cart"], "--canary-variant"),
        (["start", "checkout", "--flag", "cart", "--canary-variant", "on"], "--baseline-variant"),
        (["start", "checkout", "1.5.0", "--canary-variant", "on"], "--flag"),
        (["promote", "checkout"], "--reason"),
        (["rollback", "checkout", "--reason", " "], "--reason"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(arguments: list[str], place: str) -> None:
    """The option that is wrong is named."""
    done = CliRunner().invoke(build(), ["rollout", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"{place}: ")


def test_the_release_may_stand_behind_its_old_option() -> None:
    """``--canary`` says the same as the argument."""
    assert releases("1.5.0", "", "1.4.2", "") == releases("", "1.5.0", "1.4.2", "")
    assert releases("1.5.0", "1.5.0", "", "") == ("1.5.0", "")


def test_an_override_is_known_before_it_is_asked_for() -> None:
    """A promotion leads to the next phase and its exposure, a rollback to none."""
    command = command_of(
        "checkout", RolloutCommandAction.PROMOTE, by="ann", command_id="1", reason="enough"
    )
    promotion = decision_of(_verdict(), DecisionAction.PROMOTE, command)
    last = decision_of(_verdict(phase="everywhere"), DecisionAction.PROMOTE, command)
    rollback = decision_of(_verdict(), DecisionAction.ROLLBACK, command)
    assert promotion.id == "checkout-1.5.0/cluster/promote"
    assert (promotion.next_phase, promotion.exposure) == ("everywhere", 0.9)
    assert (last.next_phase, last.exposure) == ("", 1.0)
    assert (rollback.next_phase, rollback.exposure) == ("", 0.0)
    assert (rollback.requested_by, rollback.reason) == ("ann", "enough")


def test_the_trail_is_in_order_of_time() -> None:
    """What was asked, then what was decided by it, then who was told."""
    command = command_of("checkout", RolloutCommandAction.ROLLBACK, by="ann", command_id="1")
    decision = decision_of(_verdict(), DecisionAction.ROLLBACK, command)
    decision.processed_time = _START
    earlier = Decision(
        **{name: getattr(decision, name) for name in decision.__struct_fields__}
        | {"processed_time": _START - 5, "requested_by": ""}
    )
    delivery = Delivery(
        id="d",
        time=_START,
        decision=decision.id,
        service="checkout",
        rollout=decision.rollout,
        action=decision.action,
        endpoint="deploy-tool",
        url="https://example.com",
        attempt=1,
        outcome=DeliveryOutcome.DELIVERED,
        status=204,
    )
    steps = trail([_answer(AnswerCode.ACCEPTED)], [decision, earlier], [delivery])
    assert [step.kind for step in steps] == [
        StepKind.DECISION,
        StepKind.ANSWER,
        StepKind.DECISION,
        StepKind.DELIVERY,
    ]
    assert [step.who for step in steps] == ["coalmine", "ann", "ann", "deploy-tool"]
    assert steps[1].reason == "It is so. (lunch)"
    assert steps[3].reason == "attempt 1: http 204"
