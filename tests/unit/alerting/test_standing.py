"""Which decision still stands, whatever the order in which decisions are read."""

from __future__ import annotations

import itertools

import pytest

from alerting.integrations.conversation import Answer
from alerting.standing import Standing
from contracts.results import DecisionAction
from tests.unit.alerting.support import NOW_MS, House, decision

OK, FAIL = Answer(status=200), Answer(status=503)
ROLLBACK = decision()
PROMOTE = decision(id="p", action=DecisionAction.PROMOTE, time=NOW_MS - 9_000)
HOLD = decision(id="h", action=DecisionAction.HOLD, time=NOW_MS - 12_000)
ESCALATE = decision(id="e", action=DecisionAction.ESCALATE, time=NOW_MS + 60_000)
VERIFIED = decision(id="v", action=DecisionAction.ROLLBACK_VERIFIED, time=NOW_MS + 70_000)
ABORTED = decision(id="a", action=DecisionAction.ABORTED, time=NOW_MS - 1)


@pytest.mark.parametrize(
    ("said", "standing"),
    [
        ([HOLD, PROMOTE], [PROMOTE]),
        ([HOLD, PROMOTE, ROLLBACK], [ROLLBACK]),
        ([PROMOTE, ROLLBACK, ESCALATE], [ROLLBACK, ESCALATE]),
        ([ROLLBACK, ESCALATE, VERIFIED], [VERIFIED]),
        ([PROMOTE, ROLLBACK, ABORTED], [ABORTED]),
    ],
)
def test_the_last_word_stands_in_any_order(said: list[object], standing: list[object]) -> None:
    """A judge that was killed says it all again: order and repetition change nothing."""
    for order in itertools.permutations(said):
        words = Standing()
        for one in (*order, order[0]):
            words.note(one)  # type: ignore[arg-type]  # parametrised
        assert [o for o in said if words.overruled_by(o) is None] == standing  # type: ignore[arg-type]


def test_rollouts_do_not_overrule_one_another() -> None:
    """The end of one rollout says nothing of the next."""
    words = Standing()
    words.note(decision(id="x", rollout="checkout/1.4.9", action=DecisionAction.ABORTED))
    assert words.overruled_by(ROLLBACK) is None


def test_what_is_forgotten_overrules_nothing() -> None:
    """Memory is bounded by the life of decisions."""
    words = Standing()
    words.note(VERIFIED)
    words.forget_before(NOW_MS + 1)
    assert words.overruled_by(ROLLBACK) is None


@pytest.mark.parametrize("ending", [VERIFIED, ABORTED])
def test_a_rollback_is_not_sent_after_its_rollout_ended(ending: object) -> None:
    """The endpoint was away; when it is back the rollout has ended, and the record says so."""
    house = House(FAIL, OK)
    house.take(ROLLBACK)
    house.parts.standing.note(ending)  # type: ignore[arg-type]  # parametrised
    house.let(60)
    assert house.outcomes == [(1, "retrying"), (2, "obsolete")]
    assert house.ledger.records[-1].reason == f"overruled: {ending.action.value}"  # type: ignore[attr-defined]
    assert len(house.transport.requests) == 1
    assert len(house.settled) == 1


def test_a_promotion_is_not_sent_after_the_rollback() -> None:
    """Late, it would bring back what was taken away."""
    house = House(FAIL, OK)
    house.take(PROMOTE)
    house.take(ROLLBACK, offset=1)
    house.let(60)
    assert house.outcomes == [(1, "retrying"), (1, "delivered"), (2, "obsolete")]
    assert [b"promote" in r.body.sent for r in house.transport.requests] == [True, False]


def test_obsolete_comes_before_expired() -> None:
    """What nobody wants any more calls nobody, however late it is found."""
    house = House(OK)
    house.parts.standing.note(ABORTED)
    house.take(decision(expires_at=NOW_MS - 1))
    assert house.outcomes == [(1, "obsolete")]
    assert house.ledger.announced == []
