"""Every command has one defined answer, whoever says it and however often it is sent."""

from __future__ import annotations

import msgspec
import pytest

from contracts.config import Seconds
from contracts.policy import Phase, Policy
from contracts.results import (
    Action,
    AnswerCode,
    DecisionAction,
    Outcome,
    RolloutCommandAction,
    RolloutStatus,
)
from streams.judge.audit import audit
from tests.support.judge import BASELINE, CANARY, Judge
from tests.support.partials import Traffic

START, ABORT = RolloutCommandAction.START, RolloutCommandAction.ABORT
HOLD, RESUME = RolloutCommandAction.HOLD, RolloutCommandAction.RESUME
PHASE, PROMOTE = RolloutCommandAction.PHASE, RolloutCommandAction.PROMOTE
ROLLBACK = RolloutCommandAction.ROLLBACK
PHASES = [
    Phase(name="few", exposure=0.2, hosts=["canary-*"]),
    Phase(name="cluster", exposure=0.5, users="internal", min_duration=Seconds(3_600)),
    Phase(name="all", notify=["pager"]),
]
SLOW = Policy(service="checkout", phases=PHASES, harm=100, cooldown=Seconds(600))
BAD = {BASELINE: 0.01, CANARY: 0.3}


def _judge(policy: Policy = SLOW, *, bad: bool = False, seconds: int = 10) -> tuple[Judge, Traffic]:
    """A service with both releases, and no rollout yet."""
    judge = Judge(policy)
    traffic = Traffic(error_rate=BAD if bad else {})
    judge.run(traffic, range(seconds))
    return judge, traffic


def _rolled_back() -> tuple[Judge, Traffic]:
    judge, traffic = _judge(bad=True)
    judge.order(START, CANARY)
    judge.run(traffic, range(10, 30))
    assert judge.told == [DecisionAction.ROLLBACK]
    return judge, traffic


def test_a_start_opens_a_rollout_against_the_busiest_release() -> None:
    """Without a baseline, and without a phase, both are chosen."""
    judge, _ = _judge()
    answer = judge.order(START, CANARY, requested_by="ann")
    assert (answer.code, answer.canary, answer.baseline) == (
        AnswerCode.ACCEPTED,
        CANARY,
        BASELINE,
    )
    assert (answer.phase, answer.requested_by) == ("few", "ann")
    assert answer.rollout == judge.verdicts[-1].rollout


def test_a_rollout_begins_in_the_phase_that_is_asked_for() -> None:
    """Its decisions and progress begin there."""
    judge, _ = _judge()
    assert judge.order(START, CANARY, phase="cluster").phase == "cluster"
    assert [p.started_at is not None for p in judge.verdicts[-1].phases] == [False, True, False]


def test_a_command_that_comes_again_is_answered_as_before_and_changes_nothing() -> None:
    """Also after other commands, and with the bytes of a state that was read back."""
    judge, _ = _judge()
    first = judge.order(START, CANARY, name="a")
    judge.order(ABORT, name="b")
    before = judge.state
    assert judge.order(START, CANARY, name="a") == first
    assert judge.state == before
    assert judge.verdicts[-1].status is RolloutStatus.ABORTED


def test_only_so_many_answers_are_remembered() -> None:
    """A service that is commanded for ever keeps a bounded state."""
    judge, _ = _judge()
    for number in range(250):
        judge.order(HOLD, name=str(number), reason="x" * 5_000)
    assert len(judge.state.answers) == 100
    assert all(len(answer.reason) == 1_000 for answer in judge.state.answers.values())


@pytest.mark.parametrize(
    ("canary", "fields", "code", "words"),
    [
        ("", {}, AnswerCode.RELEASE_MISSING, "canary"),
        (CANARY, {"phase": "moon"}, AnswerCode.UNKNOWN_PHASE, "few, cluster, all"),
        (CANARY, {"baseline": CANARY}, AnswerCode.RUNNING_RELEASE, "own baseline"),
    ],
)
def test_a_start_that_makes_no_sense_opens_nothing(
    canary: str, fields: dict[str, str], code: AnswerCode, words: str
) -> None:
    """Each refusal has its code and says what was wrong."""
    judge, _ = _judge()
    answer = judge.order(START, canary, **fields)
    assert (answer.code, answer.rollout) == (code, "")
    assert words in answer.message
    assert judge.state.rollout is None


def test_the_only_release_with_traffic_is_no_canary_unless_a_baseline_is_named() -> None:
    """There would be nothing to compare it with; one that is still to come can be named."""
    judge, traffic = Judge(SLOW), Traffic()
    judge.run(traffic, range(5), [CANARY])
    assert judge.order(START, CANARY).code is AnswerCode.RUNNING_RELEASE
    assert judge.order(START, CANARY, "2", baseline=BASELINE).code is AnswerCode.ACCEPTED


def test_a_release_that_was_promoted_is_no_canary_unless_a_baseline_is_named() -> None:
    """Until another rollout has followed, it is the running release."""
    judge, _ = _judge()
    judge.order(START, CANARY, "a", phase="all")
    judge.order(PROMOTE, name="b", reason="go")
    answer = judge.order(START, CANARY, "c")
    assert (answer.code, answer.rollout) == (AnswerCode.RUNNING_RELEASE, "")
    assert judge.order(START, CANARY, "d", baseline=BASELINE).code is AnswerCode.ACCEPTED


def test_a_second_rollout_of_the_same_canary_changes_nothing() -> None:
    """Deploy tools say it twice."""
    judge, _ = _judge()
    first = judge.order(START, CANARY, "a")
    again = judge.order(START, CANARY, "b")
    assert (again.code, again.rollout) == (AnswerCode.ALREADY_OPEN, first.rollout)
    assert again.code.is_accepted
    assert judge.decisions == []


def test_a_rollout_of_another_canary_replaces_the_open_one() -> None:
    """Its answer is of the new one, and word of the old one's end is given."""
    judge, _ = _judge()
    old = judge.order(START, CANARY, "a")
    new = judge.order(START, "1.6.0", "b")
    assert (new.code, new.canary) == (AnswerCode.REPLACED, "1.6.0")
    assert [(d.rollout, d.action) for d in judge.decisions] == [
        (old.rollout, DecisionAction.ABORTED)
    ]


@pytest.mark.parametrize("skew_ms", [-600_001, 600_001])
def test_a_command_of_another_time_is_refused(skew_ms: int) -> None:
    """Ten minutes are allowed, either way."""
    judge, _ = _judge()
    judge.skew_ms = skew_ms
    answer = judge.order(START, CANARY)
    assert answer.code is AnswerCode.CLOCK_SKEW
    assert "before" in answer.message if skew_ms < 0 else "after" in answer.message
    assert judge.state.rollout is None


@pytest.mark.parametrize("action", [ABORT, HOLD, RESUME, PHASE, PROMOTE, ROLLBACK])
def test_what_steers_needs_an_open_rollout_of_that_canary(action: RolloutCommandAction) -> None:
    """None at all, or of another release: the same answer."""
    judge, _ = _judge()
    assert judge.order(action, name="a", reason="x").code is AnswerCode.NO_OPEN_ROLLOUT
    judge.order(START, CANARY, "b")
    answer = judge.order(action, "1.6.0", "c", reason="x")
    assert answer.code is AnswerCode.NO_OPEN_ROLLOUT
    assert CANARY in answer.message
    assert judge.decisions == []


@pytest.mark.parametrize("action", [START, HOLD, RESUME, PHASE, PROMOTE, ROLLBACK])
def test_a_rollback_under_way_can_only_be_aborted(action: RolloutCommandAction) -> None:
    """Steering it would say two things at once."""
    judge, _ = _rolled_back()
    answer = judge.order(action, CANARY, "a", phase="few", reason="x")
    assert answer.code is AnswerCode.NOT_NOW
    assert judge.order(ABORT, CANARY, "b").code is AnswerCode.ACCEPTED
    assert judge.told == [DecisionAction.ROLLBACK, DecisionAction.ABORTED]
    assert judge.order(START, CANARY, "c").code is AnswerCode.ACCEPTED  # no cooldown: it was void


def test_a_hold_keeps_the_phase_until_it_is_resumed() -> None:
    """Although health is shown; the verdict says who holds it and why."""
    policy = Policy(service="checkout", harm=2.0, phases=[Phase(name="few"), Phase(name="all")])
    rates = {BASELINE: 0.2, CANARY: 0.2}
    judge = Judge(policy)
    traffic = Traffic(
        requests_per_s={BASELINE: 500, CANARY: 500}, error_rate=rates, crash_rate=rates
    )
    judge.run(traffic, range(3))
    judge.order(START, CANARY, "a")
    judge.order(HOLD, name="b", reason="lunch", requested_by="ann")
    judge.run(traffic, range(3, 60))
    held = judge.verdicts[-1]
    assert (held.outcome, held.status, held.action) == (
        Outcome.HEALTHY,
        RolloutStatus.HOLDING,
        Action.HOLD,
    )
    assert held.held_because == "ann holds it: lunch"
    assert judge.decisions == []
    judge.order(RESUME, name="c")
    assert judge.told == [DecisionAction.PROMOTE]
    assert judge.order(RESUME, name="d").message == f"{CANARY} was not held."


def test_a_held_rollout_is_rolled_back_all_the_same() -> None:
    """Only promotions wait."""
    judge, traffic = _judge(bad=True)
    judge.order(START, CANARY, "a")
    judge.order(HOLD, name="b")
    judge.run(traffic, range(10, 30))
    assert judge.told == [DecisionAction.ROLLBACK]


def test_a_person_goes_forward_and_back_and_every_decision_has_an_id_of_its_own() -> None:
    """Decisions say the share, hosts and users of where the rollout is from now on."""
    judge, traffic = _judge()
    judge.order(START, CANARY, "a")
    judge.order(PHASE, name="b", phase="cluster", requested_by="ann")
    judge.run(traffic, range(10, 13))
    judge.order(PHASE, name="c", phase="few", reason="too fast")
    judge.order(PHASE, name="d", phase="all")
    assert [
        (d.phase, d.action, d.next_phase, d.exposure, d.hosts, d.users) for d in judge.decisions
    ] == [
        ("few", DecisionAction.PROMOTE, "cluster", 0.5, [], "internal"),
        ("few", DecisionAction.HOLD, "", 0.2, ["canary-*"], ""),
        ("few", DecisionAction.PROMOTE, "all", None, [], ""),
    ]
    assert len({decision.id for decision in judge.decisions}) == 3
    assert judge.decisions[0].requested_by == "ann"
    assert judge.decisions[1].reason == "too fast"
    last = judge.verdicts[-1]
    assert [(p.name, p.ended_at is None) for p in last.phases] == [
        ("few", False),
        ("cluster", False),
        ("all", True),
    ]
    assert last.phases[1].exposures == 20 * 3
    unknown = judge.order(PHASE, name="e", phase="moon")
    assert unknown.code is AnswerCode.UNKNOWN_PHASE


def test_to_go_where_it_is_already_changes_nothing() -> None:
    """A deploy tool may say it twice, under two ids."""
    judge, _ = _judge()
    judge.order(START, CANARY, "a")
    assert judge.order(PHASE, name="b", phase="few").code is AnswerCode.ACCEPTED
    assert judge.decisions == []


@pytest.mark.parametrize("action", [PROMOTE, ROLLBACK])
def test_an_override_needs_a_reason(action: RolloutCommandAction) -> None:
    """It stands in the decision, with the person's name."""
    judge, _ = _judge()
    judge.order(START, CANARY, "a")
    assert judge.order(action, name="b").code is AnswerCode.REASON_MISSING
    assert judge.decisions == []
    answer = judge.order(action, name="c", reason="I know better", requested_by="ann")
    assert answer.code is AnswerCode.ACCEPTED
    [decision] = judge.decisions
    assert (decision.requested_by, decision.reason) == ("ann", "I know better")
    assert decision.action == DecisionAction(action.value)


def test_overrides_lead_through_all_phases() -> None:
    """After the last one the release is for all, and the rollout has ended."""
    judge, _ = _judge()
    judge.order(START, CANARY, "a")
    for name in "bcd":
        judge.order(PROMOTE, name=name, reason="go")
    assert [(d.phase, d.next_phase, d.exposure, d.notify) for d in judge.decisions] == [
        ("few", "cluster", 0.5, []),
        ("cluster", "all", None, []),
        ("all", "", 1.0, ["pager"]),
    ]
    assert judge.verdicts[-1].status is RolloutStatus.PROMOTED
    assert judge.order(ROLLBACK, name="e", reason="x").code is AnswerCode.NO_OPEN_ROLLOUT


def test_a_rollback_by_a_person_is_verified_like_any_other() -> None:
    """The outcome stays what was found: a person's word is no evidence."""
    judge, traffic = _judge()
    judge.order(START, CANARY, "a")
    judge.run(traffic, range(10, 13))
    judge.order(ROLLBACK, name="b", reason="it is ugly", requested_by="ann")
    judge.run(traffic, range(13, 25), [BASELINE])
    assert judge.told == [DecisionAction.ROLLBACK, DecisionAction.ROLLBACK_VERIFIED]
    assert {decision.outcome for decision in judge.decisions} == {Outcome.INCONCLUSIVE}
    assert judge.decisions[0].exposure == 0
    assert judge.verdicts[-1].status is RolloutStatus.ROLLED_BACK
    assert judge.verdicts[-1].reason == "it is ugly"


def test_a_release_that_was_rolled_back_lately_is_taken_only_with_a_reason() -> None:
    """And after the cooldown without."""
    judge, traffic = _rolled_back()
    judge.run(traffic, range(30, 45), [BASELINE])
    assert judge.told[-1] is DecisionAction.ROLLBACK_VERIFIED
    refused = judge.order(START, CANARY, "a")
    assert refused.code is AnswerCode.COOLDOWN
    assert "error_rate" in refused.message
    later = Judge(SLOW)
    later.state = msgspec.structs.replace(judge.state)
    later.run(traffic, range(640, 645), [BASELINE])
    assert later.order(START, CANARY, "b").code is AnswerCode.ACCEPTED
    assert judge.order(START, CANARY, "c", reason="fixed by a flag").code is AnswerCode.ACCEPTED


def test_the_stored_windows_give_the_same_evidence_although_people_steered() -> None:
    """A command's verdict repeats nothing that a look has told."""
    judge, traffic = _judge()
    judge.order(START, CANARY, "a")
    for second in range(10, 30):
        judge.run(traffic, range(second, second + 1))
        judge.order(HOLD if second % 2 else RESUME, name=str(second))
    judge.order(ABORT, name="b")
    looks = [v for v in judge.verdicts if v.rollout == judge.verdicts[-1].rollout]
    assert all(row.agrees for row in audit(SLOW, looks))
    assert sum(len(v.metrics[0].windows) for v in looks) > 15
