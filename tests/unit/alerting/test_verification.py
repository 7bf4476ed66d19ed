"""After a delivery the tool is asked whether it worked; what is missing calls people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerting.auth import NONE
from alerting.intake import Place
from alerting.integrations.conversation import Answer
from alerting.integrations.haproxy_runtime import Options
from contracts.results import DecisionAction
from tests.unit.alerting.support import House, decision, endpoint

EDGE = endpoint(
    preset="haproxy-runtime",
    auth=NONE,
    secrets=(),
    options=Options(canary=["shop/canary"], baseline=["shop/stable"]),
)
DONE = Answer(200, body=b"\n")


def states(canary: int) -> Answer:
    """What HAProxy says with this weight of the canary."""
    rows = ["3 shop 1 stable - 2 0 256", f"3 shop 2 canary - 2 0 {canary}"]
    head = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
    return Answer(200, body="\n".join(["1", head, *rows]).encode())


def verified(house: House) -> list[bool | None]:
    """What the records of the delivery say, in their order."""
    return [record.verified for record in house.ledger.records]


def test_an_effect_that_is_there_is_added_to_the_record() -> None:
    """The decision is settled at its delivery; the look writes the same record again."""
    house = House(DONE, states(0), to=EDGE)
    house.take(decision())
    assert len(house.settled) == 1
    assert verified(house) == [None]
    house.let(60)
    assert verified(house) == [None, True]
    assert len({record.id for record in house.ledger.records}) == 1
    assert len(house.transport.requests) == 2
    assert house.ledger.announced == []


def test_an_effect_that_comes_late_is_waited_for() -> None:
    """Looks after 0.5, 1 and 2 more seconds; the third one sees it."""
    house = House(DONE, states(28), Answer(failure="connection"), states(0), to=EDGE)
    house.take(decision())
    house.let(3.25)
    assert verified(house) == [None]
    house.let(0.5)
    assert verified(house) == [None, True]


def test_an_effect_that_does_not_come_calls_people() -> None:
    """The tool took the decision and did nothing: once, with what it says instead."""
    house = House(DONE, states(28), to=EDGE)
    house.take(decision())
    house.let(90)
    assert verified(house) == [None, False]
    (call,) = house.ledger.announced
    assert call.action is DecisionAction.ESCALATE
    assert call.undelivered_to == "deploy-tool"
    assert "shop/canary has weight 28, not 0" in call.reason
    assert house.ledger.records[-1].reason == "shop/canary has weight 28, not 0"


def test_a_tool_that_cannot_be_asked_says_nothing() -> None:
    """Neither there nor missing: the record stays as it is, and nobody is called."""
    house = House(DONE, Answer(failure="timeout"), to=EDGE)
    house.take(decision())
    house.let(90)
    assert verified(house) == [None]
    assert house.ledger.announced == []
    asked = len(house.transport.requests)
    house.let(90)
    assert len(house.transport.requests) == asked


@pytest.mark.parametrize("is_off", [True, False])
def test_the_look_ends_where_it_means_nothing(is_off: bool) -> None:  # noqa: FBT001 - parametrised
    """Where nobody wants it, and where a later decision changed what was to be seen."""
    house = House(DONE, states(28), to=replace(EDGE, verify_within_s=0.0) if is_off else EDGE)
    house.take(decision())
    house.parts.standing.note(decision(id="a", action=DecisionAction.ABORTED))
    house.let(90)
    assert len(house.transport.requests) == 1
    assert verified(house) == [None]


def test_a_look_holds_up_no_offset_and_survives_a_rebalance() -> None:
    """The same decision read again meanwhile is settled at once."""
    house = House(DONE, states(28), states(0), to=EDGE)
    house.take(decision())
    assert house.outbox.waiting_since is None
    house.outbox.drop([("coalmine.decisions", 0)])
    house.outbox.put(decision(), Place("coalmine.decisions", 0, 9))
    assert [place.offset for place in house.settled] == [0, 9]
    house.let(5)
    assert verified(house) == [None, True]


def test_a_record_that_kafka_does_not_take_is_looked_for_again() -> None:
    """What was found is not lost while the broker is away."""
    house = House(DONE, states(0), to=EDGE)
    house.take(decision())
    house.ledger.failures = 2
    house.let(5)
    assert verified(house) == [None, True]
