"""The small parts: intake, offsets, schedule, body."""

from __future__ import annotations

import json
from random import Random

import msgspec
import pytest

from alerting.intake import Place, decode, select_endpoints
from alerting.integrations.generic import render
from alerting.offsets import OffsetTracker
from alerting.pipeline import build_pipeline
from alerting.retry import delay_s, retry_after_s
from contracts.errors import InvalidRecord
from contracts.results import DecisionAction, Delivery
from tests.unit.alerting.support import (
    MemoryLedger,
    decision,
    endpoint,
    parts,
)


def test_the_pipeline_is_one_list_in_this_order() -> None:
    """Who changes the order changes this line, and nothing else knows it."""
    names = [stage.name for stage in build_pipeline(parts())]
    assert names == [
        "begin", "inhibit", "silence", "dedup", "sign", "send", "retry", "escalate", "record",
        "verify",
    ]  # fmt: skip


def test_a_decision_survives_its_way() -> None:
    """What the judge encoded is what is decoded."""
    assert decode(msgspec.json.encode(decision())) == decision()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\xff", "not json"),
        (b"{", "not json"),
        (b"[]", "not a decision"),
        (b'{"id": 3}', "not a decision"),
        (msgspec.json.encode(decision(id="")), "not a decision"),
    ],
)
def test_what_is_no_decision_is_set_aside_with_its_reason(value: bytes | None, reason: str) -> None:
    """The reason is one of a few words."""
    with pytest.raises(InvalidRecord) as caught:
        decode(value)
    assert caught.value.reason == reason


def test_endpoints_that_settled_a_decision_are_not_chosen_again() -> None:
    """Only who subscribes and has not settled it hears of it."""
    ledger = MemoryLedger()
    told, untold = endpoint(name="told"), endpoint(name="untold")
    others = endpoint(name="others", actions=frozenset({DecisionAction.PROMOTE}))
    delivery = {
        "id": "x", "@timestamp": 1, "decision": decision().id, "service.name": "s",
        "rollout": "r", "action": "rollback", "endpoint": "told", "url": "", "attempt": 1,
        "outcome": "delivered",
    }  # fmt: skip
    ledger.note(msgspec.convert(delivery, type=Delivery))
    assert select_endpoints(decision(), [told, untold, others], ledger) == [untold]


def test_offsets_wait_for_every_earlier_decision() -> None:
    """A later decision that is settled is not committed past an earlier one that is not."""
    tracker = OffsetTracker()
    for offset in (4, 5, 6):
        tracker.began(Place("t", 0, offset), waits_for=2)
    tracker.began(Place("t", 1, 9), waits_for=0)
    for offset in (5, 5, 6, 6, 4):
        tracker.settled(Place("t", 0, offset))
    assert tracker.committable() == {("t", 1): 10}
    tracker.settled(Place("t", 0, 4))
    assert tracker.committable() == {("t", 0): 7}
    assert tracker.committable() == {}
    assert tracker.pending() == 0


def test_a_partition_that_went_away_is_forgotten() -> None:
    """What is settled after a rebalance commits nothing."""
    tracker = OffsetTracker()
    tracker.began(Place("t", 0, 4), waits_for=1)
    tracker.drop([("t", 0)])
    tracker.settled(Place("t", 0, 4))
    assert tracker.committable() == {}


def test_a_message_read_again_is_known_until_it_is_committed() -> None:
    """A rebalance may bring a message a second time while its decision is under way."""
    tracker = OffsetTracker()
    place = Place("t", 0, 4)
    tracker.began(place, waits_for=1)
    assert tracker.is_under_way(place)
    assert tracker.partitions() == {("t", 0)}
    tracker.settled(place)
    assert tracker.committable() == {("t", 0): 5}
    assert not tracker.is_under_way(place)


def test_jitter_stays_within_its_share() -> None:
    """Delays differ between attempts so that many senders do not come at once."""
    one = endpoint(jitter=0.2)
    random = Random(3)
    delays = [delay_s(one, 3, random) for _ in range(200)]
    assert 4.0 <= min(delays) < 4.2
    assert 5.8 < max(delays) <= 6.0


def test_the_last_delay_repeats() -> None:
    """The schedule has no end: the decision has."""
    assert delay_s(endpoint(), 99, Random(1)) == 5.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("30", 30), (" 7 ", 7), ("", 0), ("-1", 0), ("1e9", 0), ("nan", 0), ("٣", 0),
        ("Mon, 23 Nov 2026 22:23:00 GMT", 59.877), ("Mon, 23 Nov 2026 22:21:00 GMT", 0),
        ("Mon, 99 Nov 2026", 0), ("9" * 400, 999_999_999),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    """Both forms of the header are read; nonsense asks for nothing."""
    now_ms = 1_795_472_520_123
    assert retry_after_s(value, now_ms) == pytest.approx(seconds, abs=0.001)


def test_the_body_is_a_cloud_event_with_the_decision() -> None:
    """Every field a deploy tool needs stands in ``data``, times as RFC 3339."""
    document = json.loads(render(decision()).sent)
    assert document["specversion"] == "1.0"
    assert document["type"] == "coalmine.decision.v1"
    assert document["id"] == document["data"]["id"] == "checkout/1.5.0/canary/rollback"
    assert document["time"] == "2026-11-23T22:22:00.123Z"
    assert document["data"]["expires_at"] == "2026-11-23T22:23:00.123Z"
    assert document["data"]["relative_risk"] == {"estimate": 3.1, "lower": 1.4, "upper": 6.8}
    assert render(decision()).sent == render(decision()).sent
