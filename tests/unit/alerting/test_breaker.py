"""An endpoint that is down is probed, not worn out; what waits goes when it is back."""

from __future__ import annotations

from alerting.breaker import OPENS_AFTER
from alerting.integrations.conversation import Answer
from tests.unit.alerting.support import NOW_MS, House, decision, endpoint

OK, FAIL = Answer(status=200), Answer(status=503)
SLOW = endpoint(delays_s=(1.0, 2.0, 5.0, 10.0, 20.0))


def _ids(house: House) -> list[object]:
    return [request.headers["webhook-id"] for request in house.http_requests]


def _of(number: int) -> dict[str, object]:
    return {"id": f"d{number}", "rollout": f"r{number}", "expires_at": NOW_MS + 3_600_000}


def test_the_circuit_opens_after_failures_in_a_row_and_one_probe_closes_it() -> None:
    """Ten decisions probe together after 1, 2 and 5 s; the first that passes frees the others."""
    house = House(*[FAIL] * 12, OK, to=SLOW)
    for number in range(10):
        house.take(decision(**_of(number)), offset=number)
    breaker = house.parts.breaker
    assert breaker.is_open
    assert breaker.failures == 10
    sent = []
    for seconds in (0.75, 0.25, 2, 4.75, 0.25):
        house.let(seconds)
        sent.append(len(house.transport.requests))
    assert sent == [10, 11, 12, 12, 22]
    assert not breaker.is_open
    assert sorted(_ids(house)[12:]) == sorted(f"d{number}" for number in range(10))
    assert [r.is_circuit_open for r in house.ledger.records] == (
        [False] * (OPENS_AFTER - 1) + [True] * (13 - OPENS_AFTER) + [False] * 10
    )


def test_probes_are_shared_out() -> None:
    """A decision that an endpoint cannot digest is not the probe that keeps all others waiting."""
    house = House(FAIL, to=SLOW)
    for number in range(5):
        house.take(decision(**_of(number)), offset=number)
    house.let(1 + 2 + 5 + 10 + 20)
    assert _ids(house)[5:] == ["d0", "d1", "d2", "d3", "d4"]


def test_a_new_decision_is_tried_at_once_and_may_close_the_circuit() -> None:
    """A rollback is not late because an earlier decision met an endpoint that was down."""
    house = House(*[FAIL] * 5, OK, to=SLOW)
    house.take(decision(**_of(1)))
    house.let(18)
    assert house.parts.breaker.is_open
    house.take(decision(**_of(2)), offset=1)
    house.let(0.25)
    assert _ids(house)[-2:] == ["d2", "d1"]
    assert len(house.settled) == 2


def test_failing_first_attempts_do_not_put_off_the_probe() -> None:
    """However many decisions come, those that wait have their turn, here after 20 seconds."""
    house = House(FAIL, to=SLOW)
    house.take(decision(**_of(0)))
    house.let(18)
    for number in range(1, 8):
        house.let(3)
        house.take(decision(**_of(number)), offset=number)
    assert len(house.transport.requests) == 5 + 7 + 1


def test_what_expires_while_it_waits_is_given_up_in_time() -> None:
    """Its record does not wait for the probe."""
    house = House(FAIL, to=endpoint(delays_s=(1.0, 1.0, 1.0, 1.0, 600.0)))
    short = decision(id="short", rollout="short", expires_at=house.clock.now_ms() + 30_000)
    house.take(short)
    for number in range(4):
        house.take(decision(**_of(number)), offset=number + 1)
    assert house.parts.breaker.is_open
    house.let(31)
    last = house.ledger.records[-1]
    assert (last.decision, last.outcome.value, last.reason) == ("short", "exhausted", "http 503")
    assert last.time - short.processed_time == 30_000


def test_retry_after_holds_when_the_circuit_closes() -> None:
    """A receiver that asked for a minute gets it, whatever becomes of others."""
    busy = Answer(status=429, headers={"retry-after": "60"})
    house = House(*[FAIL] * 4, busy, OK, to=SLOW)
    for number in range(5):
        house.take(decision(**_of(number)), offset=number)
    house.take(decision(**_of(9)), offset=9)
    house.let(50)
    assert "d4" not in _ids(house)[5:]
    house.let(11)
    assert _ids(house)[-1] == "d4"


def test_an_endpoint_that_says_no_is_not_down() -> None:
    """404 is an answer: it closes the circuit as 200 does."""
    house = House(*[FAIL] * 5, Answer(status=404), to=SLOW)
    house.take(decision(**_of(1)))
    house.let(40)
    assert house.outcomes[-1] == (6, "refused")
    assert not house.parts.breaker.is_open


def test_a_step_of_the_wall_clock_delays_no_retry() -> None:
    """The clock is set back by an hour between two attempts: the second is in time."""
    house = House(FAIL, OK)
    house.take(decision(expires_at=NOW_MS + 3_600_000))
    house.clock._now_ms -= 3_600_000
    house.let(1)
    assert house.outcomes == [(1, "retrying"), (2, "delivered")]
