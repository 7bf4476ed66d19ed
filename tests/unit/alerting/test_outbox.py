"""What an endpoint's answers make of a decision, minute by minute, on a manual clock."""

from __future__ import annotations

import pytest

from alerting.integrations.conversation import Answer
from contracts.results import DeliveryOutcome
from tests.unit.alerting.support import NOW_MS, House, decision, endpoint

OK, FAIL = Answer(status=200), Answer(status=503)


def test_a_delivered_decision_is_sent_once_and_settled() -> None:
    """One request, one record, one settled message."""
    house = House(OK)
    house.take(decision())
    house.let(60)
    assert house.outcomes == [(1, "delivered")]
    assert len(house.transport.requests) == 1
    assert [place.offset for place in house.settled] == [0]


def test_retries_follow_the_schedule_with_one_id() -> None:
    """Attempts at 0, 1, 3, 8 and 13 seconds; the id stays, the time that is signed moves on."""
    house = House(FAIL, FAIL, FAIL, FAIL, OK)
    house.take(decision())
    house.let(20)
    assert [record.time - NOW_MS for record in house.ledger.records] == [
        0, 1_000, 3_000, 8_000, 13_000,
    ]  # fmt: skip
    headers = [request.headers for request in house.http_requests]
    assert {h["webhook-id"] for h in headers} == {"checkout/1.5.0/canary/rollback"}
    assert len({h["webhook-timestamp"] for h in headers}) == 5


def test_nothing_is_settled_while_it_is_retried() -> None:
    """The offset stays uncommitted until the endpoint is done."""
    house = House(FAIL, OK)
    house.take(decision())
    assert house.settled == []
    house.let(2)
    assert len(house.settled) == 1


def test_retry_after_moves_the_next_attempt() -> None:
    """A receiver that asks for seven seconds gets them."""
    house = House(Answer(status=429, headers={"retry-after": "7"}), OK)
    house.take(decision())
    house.let(6.8)
    assert len(house.transport.requests) == 1
    house.let(0.4)
    assert house.outcomes == [(1, "retrying"), (2, "delivered")]


def test_a_decision_is_given_up_before_it_is_stale() -> None:
    """No attempt after it expired, and the last record says that people must act."""
    house = House(FAIL)
    house.take(decision(expires_at=NOW_MS + 4_000))
    house.let(30)
    assert house.outcomes == [(1, "retrying"), (2, "retrying"), (3, "exhausted")]
    assert house.ledger.records[-1].reason == "http 503"
    assert len(house.settled) == 1


def test_a_stale_decision_is_never_sent() -> None:
    """Expired on arrival: recorded, settled, not sent."""
    house = House(OK)
    house.take(decision(expires_at=NOW_MS))
    assert house.outcomes == [(1, "expired")]
    assert house.transport.requests == []
    assert len(house.settled) == 1


@pytest.mark.parametrize("status", [301, 302, 304, 307, 400, 401, 403, 404, 409, 410, 422])
def test_what_no_retry_can_mend_is_refused(status: int) -> None:
    """One attempt, then it is over."""
    house = House(Answer(status=status), OK)
    house.take(decision())
    house.let(60)
    assert house.outcomes == [(1, "refused")]


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status=s) for s in (408, 425, 429, 500, 502, 503, 504, 599)),
        *(Answer(failure=f) for f in ("timeout", "connection", "name", "tls", "protocol")),
    ],
)
def test_what_may_pass_is_tried_again(answer: Answer) -> None:
    """Faults of the network and of an overloaded receiver are retried."""
    house = House(answer, OK)
    house.take(decision())
    house.let(2)
    assert house.outcomes == [(1, "retrying"), (2, "delivered")]


def test_a_forbidden_target_is_not_tried_again() -> None:
    """An address that may not be reached stays so."""
    house = House(Answer(failure="forbidden address"))
    house.take(decision())
    house.let(60)
    assert house.outcomes == [(1, "refused")]


def test_a_record_that_fails_is_repeated_and_not_the_webhook() -> None:
    """While the broker is away the record waits; the receiver is not told a second time."""
    house = House(OK, failures=3)
    house.take(decision())
    assert house.settled == []
    house.let(5)
    assert len(house.transport.requests) == 1
    assert house.outcomes == [(1, "delivered")]
    assert len(house.settled) == 1


def test_the_next_attempt_does_not_wait_for_the_record_of_the_last() -> None:
    """A rollback that is retried while the broker is away goes on being retried."""
    house = House(FAIL, FAIL, OK, failures=2)
    house.take(decision())
    house.let(3)
    assert len(house.transport.requests) == 3
    assert house.outcomes == [(3, "delivered")]


def test_another_decision_does_not_wait_for_a_failing_one() -> None:
    """Between two attempts of one decision the endpoint hears of another."""
    house = House(FAIL, OK)
    house.take(decision())
    house.take(decision(id="checkout/1.5.0/canary/escalate"), offset=1)
    assert house.outcomes == [(1, "retrying"), (1, "delivered")]


def test_the_same_decision_twice_on_the_topic_is_one_delivery() -> None:
    """Both messages are settled by one attempt."""
    house = House(FAIL, OK)
    house.take(decision(), offset=3)
    house.take(decision(), offset=9)
    house.let(2)
    assert len(house.transport.requests) == 2
    assert [place.offset for place in house.settled] == [3, 9]


def test_attempts_go_on_counting_after_a_restart() -> None:
    """Records of an earlier life give the next attempt its number."""
    first = House(FAIL)
    first.take(decision())
    second = House(OK)
    for record in first.ledger.records:
        second.ledger.note(record)
    second.take(decision())
    assert second.outcomes == [(2, "delivered")]


def test_what_another_process_took_over_is_not_retried_here() -> None:
    """After a rebalance the decisions of lost partitions are dropped."""
    house = House(FAIL)
    house.take(decision())
    house.outbox.drop([("coalmine.decisions", 0)])
    house.let(60)
    assert house.outcomes == [(1, "retrying")]
    assert house.settled == []


def test_a_fault_of_our_own_ends_one_notice_only() -> None:
    """A preset that fails is recorded, visibly, and the worker goes on."""
    house = House(OK, to=endpoint(preset="no such preset"))
    house.take(decision())
    assert house.outcomes == [(1, "exhausted")]
    assert house.ledger.records[0].reason == "internal: KeyError in send"
    assert len(house.settled) == 1


def test_a_delivery_record_names_what_was_sent_and_where() -> None:
    """Id, endpoint, address without secrets, status and body: enough for an audit."""
    house = House(Answer(status=204, duration_ms=12.34567))
    house.take(decision())
    (record,) = house.ledger.records
    assert record.id == "checkout/1.5.0/canary/rollback/deploy-tool/1"
    assert record.outcome is DeliveryOutcome.DELIVERED
    assert (record.status, record.duration_ms) == (204, 12.346)
    assert record.body.encode() == house.transport.requests[0].body.sent
