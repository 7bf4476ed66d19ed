"""What people ask to be sent again, through Kafka, a real alerter and a real receiver."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.results import Decision, Delivery, DeliveryOutcome, ResendRequest
from contracts.topics import RESENDS
from tests.support.alerting import Alerting, Receiver
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def _asked(decision: Decision, endpoint: str, **changes: Any) -> ResendRequest:
    fields: dict[str, Any] = {
        "id": unique("request"),
        "time": time.time_ns() // 1_000_000,
        "decision": decision.id,
        "decided_at": decision.processed_time,
        "service": decision.service,
        "rollout": decision.rollout,
        "action": decision.action,
        "endpoint": endpoint,
        "reason": "the tool is back",
        "requested_by": "alice",
    }
    return ResendRequest(**{**fields, **changes})


def test_what_people_ask_for_is_sent_once_and_every_request_has_a_record(
    alerting: Callable[..., Alerting], receiver: Callable[..., Receiver]
) -> None:
    """The next attempt under the same id; twice the same request is one; what expired is only
    sent by force; an unknown endpoint and an old request are answered, and not sent.
    """
    answers = [400, 200, 200]
    tool = receiver(lambda tool: (answers[min(len(tool.hits), len(answers)) - 1], {}))
    house = alerting({"name": "tool", "url": tool.url})
    decision = house.decide()
    assert [one.outcome for one in house.settled(decision)] == [DeliveryOutcome.REFUSED]

    def ask(*requests: ResendRequest) -> Delivery:
        for request in requests:
            value = msgspec.json.encode(request)
            house.wire.send(RESENDS.name, request.decision, value)
        (found,) = wait_until(
            lambda: [d for d in house.wire.deliveries() if d.request == requests[0].id],
            60,
            "its record",
        )
        return found

    first = _asked(decision, "tool")
    sent = ask(first, first)
    assert (sent.outcome, sent.attempt) == (DeliveryOutcome.DELIVERED, 2)
    assert (sent.requested_by, sent.request_reason) == ("alice", "the tool is back")
    assert [hit.headers["webhook-id"] for hit in tool.hits] == [decision.id] * 2

    nowhere = ask(_asked(decision, "nobody"))
    assert (nowhere.outcome, "no endpoint" in nowhere.reason) == (DeliveryOutcome.NOT_SENT, True)
    old = ask(_asked(decision, "tool", time=decision.time - 3_600_000))
    assert (old.outcome, "too long ago" in old.reason) == (DeliveryOutcome.NOT_SENT, True)

    expired = house.decide(expires_at=decision.time - 1)
    house.settled(expired)
    refused = ask(_asked(expired, "tool"))
    assert (refused.outcome, "it has expired" in refused.reason) == (DeliveryOutcome.NOT_SENT, True)
    assert ask(_asked(expired, "tool", is_forced=True)).outcome is DeliveryOutcome.DELIVERED
    assert len(tool.hits) == 3
