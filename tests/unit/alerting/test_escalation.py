"""What an endpoint will never hear of becomes a call for people, under an id of its own."""

from __future__ import annotations

import pytest

from alerting.escalation import LIVES_MS, escalation_of, is_called_for
from alerting.integrations.conversation import Answer
from contracts.results import DecisionAction, DeliveryOutcome
from tests.unit.alerting.support import NOW_MS, House, decision, endpoint

OK, FAIL, NO = Answer(status=200), Answer(status=503), Answer(status=404)
VERIFIED = decision(id="v", action=DecisionAction.ROLLBACK_VERIFIED)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(FAIL, "exhausted: http 503, attempt 3"), (NO, "refused: http 404, attempt 1")],
)
def test_a_delivery_that_failed_for_good_calls_people_once(answer: Answer, why: str) -> None:
    """One escalation, named after the decision and the endpoint, alive for a while."""
    house = House(answer)
    house.take(decision(expires_at=NOW_MS + 4_000))
    house.let(60)
    (call,) = house.ledger.announced
    assert call.id == "checkout/1.5.0/canary/rollback/deploy-tool/escalate"
    assert (call.action, call.undelivered_to) == (DecisionAction.ESCALATE, "deploy-tool")
    assert call.expires_at == call.processed_time + LIVES_MS
    assert call.reason == (
        f"deploy-tool was not told of the decision rollback on 1.5.0 ({why}): people must act."
    )


def test_a_decision_that_expired_unsent_calls_people() -> None:
    """The alerter was away: the rollback is not sent late, but people hear of it."""
    house = House(OK)
    house.take(decision(expires_at=NOW_MS - 60_000))
    assert house.outcomes == [(1, "expired")]
    assert len(house.ledger.announced) == 1


def test_history_calls_nobody() -> None:
    """A first alerter on an old topic finds last week's decisions, and wakes nobody for them."""
    house = House(OK)
    house.take(decision(expires_at=NOW_MS - 25 * 3_600_000))
    assert house.outcomes == [(1, "expired")]
    assert house.ledger.announced == []


def test_an_escalation_raises_no_other() -> None:
    """Whether it is the judge's or the alerter's: there would be no end."""
    house = House(FAIL, to=endpoint(actions=frozenset({DecisionAction.ESCALATE})))
    house.take(decision(action=DecisionAction.ESCALATE, expires_at=NOW_MS + 4_000))
    house.let(60)
    assert house.outcomes[-1][1] == "exhausted"
    assert house.ledger.announced == []


def test_the_record_waits_for_the_call() -> None:
    """A record without its call would be a failure that nobody hears of: the call goes first."""
    house = House(NO, failures=3)
    house.take(decision())
    assert house.outcomes == []
    house.let(5)
    assert len(house.transport.requests) == 1
    assert len(house.ledger.announced) == 1
    assert house.outcomes == [(1, "refused")]


@pytest.mark.parametrize("has_reached_anyone", [True, False])
def test_a_rollback_that_nobody_heard_of_calls_people(has_reached_anyone: bool) -> None:  # noqa: FBT001 - parametrised
    """A canary that fell silent by itself before anybody was told may come back."""
    house = House(FAIL)
    house.take(decision())
    if has_reached_anyone:
        record = house.ledger.records[0]
        record.endpoint, record.outcome = "another", DeliveryOutcome.DELIVERED
        house.ledger.note(record)
    house.parts.standing.note(VERIFIED)
    house.let(2)
    assert house.outcomes[-1] == (2, "obsolete")
    assert len(house.ledger.announced) == (0 if has_reached_anyone else 1)


def test_an_aborted_rollback_calls_nobody() -> None:
    """A person ended it."""
    ended = DecisionAction.ABORTED
    outcome = DeliveryOutcome.OBSOLETE
    assert not is_called_for(decision(), outcome, now_ms=NOW_MS, ended_by=ended)


def test_the_endpoint_that_failed_is_not_told_of_its_failure() -> None:
    """The others are; and the end of the rollout does not silence the call."""
    call = escalation_of(decision(), "deploy-tool", "exhausted", NOW_MS)
    everything = frozenset(DecisionAction)
    assert not endpoint(actions=everything).wants(call)
    assert endpoint(name="pager", actions=everything).wants(call)
    house = House(OK, to=endpoint(name="pager", actions=everything))
    house.parts.standing.note(VERIFIED)
    house.take(call)
    assert house.outcomes == [(1, "delivered")]
