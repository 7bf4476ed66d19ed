"""What a later decision overruled is not sent, and what was not delivered is told to the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.results import Decision, DecisionAction, DeliveryOutcome, decision_id
from tests.support.alerting import Alerting, Receiver
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    # kafka-python leaves sockets to the garbage collector when a client is closed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Tool:
    """Answers 503 until it is up."""

    is_up = False

    def __call__(self, _: Receiver) -> tuple[int, dict[str, str]]:
        return (200 if self.is_up else 503), {}


def end(house: Alerting, decision: Decision, action: DecisionAction) -> None:
    """A later decision on the same rollout."""
    house.decide(
        id=decision_id(decision.rollout, "canary", action), rollout=decision.rollout, action=action
    )


def test_a_rollback_is_not_sent_once_its_rollout_has_ended(
    alerting: Callable[..., Alerting], receiver: Callable[[Any], Receiver]
) -> None:
    """Neither when it ended under the alerter's eyes, nor when it ended while that was dead."""
    answer = Tool()
    tool = receiver(answer)
    house = alerting({"url": tool.url, "retry": {"delays": ["1s"]}})
    seen, missed, wanted = house.decide(), house.decide(), house.decide()
    wait_until(lambda: len(tool.hits) >= 3, 10, "the first attempts")
    end(house, seen, DecisionAction.ROLLBACK_VERIFIED)
    last = house.settled(seen)[-1]
    assert (last.outcome, last.reason) == (DeliveryOutcome.OBSOLETE, "overruled: rollback_verified")
    house.alerter.kill()
    end(house, missed, DecisionAction.ABORTED)
    sent = len(tool.hits)
    answer.is_up = True
    house.alerter.restart()
    last = house.settled(missed, 40)[-1]
    assert (last.outcome, last.reason) == (DeliveryOutcome.OBSOLETE, "overruled: aborted")
    assert house.settled(wanted, 40)[-1].outcome is DeliveryOutcome.DELIVERED
    calls = [hit.headers["webhook-id"] for hit in tool.hits[sent:]]
    assert calls == [wanted.id]
