"""The example deploy tool, as a real process: one effect for a genuine webhook, none for others."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from alerting.integrations.generic import render
from tests.support.alerting import Alerting, Receiver, decision_of, new_secret
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    # kafka-python leaves sockets to the garbage collector when a client is closed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Tool = Callable[[str], tuple[str, Receiver, Callable[[], list[dict[str, Any]]]]]


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """The tool's status."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def sign(secret: str, webhook_id: str, body: bytes, at_s: float | None = None) -> dict[str, str]:
    """Headers made by the stock library alone."""
    at = datetime.fromtimestamp(int(at_s or time.time()), UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


def test_a_genuine_rollback_empties_the_canary_once(deploy_tool: Tool) -> None:
    """A replayed webhook gets its 200, and the router hears of the rollback once."""
    secret = new_secret()
    url, router, audit = deploy_tool(secret)
    decision = decision_of("checkout")
    body = render(decision).sent
    headers = sign(secret, decision.id, body)
    assert [post(url, headers, body) for _ in range(3)] == [200, 200, 200]
    assert [json.loads(hit.body) for hit in router.hits] == [{"1.5.0": 0}]
    assert [entry["result"] for entry in audit()] == ["done", "already done", "already done"]


def test_forged_webhooks_are_refused(deploy_tool: Tool) -> None:
    """Another secret, a changed body, a changed id or garbage for a signature: 401, no effect."""
    secret = new_secret()
    url, router, _ = deploy_tool(secret)
    decision = decision_of("checkout")
    body = render(decision).sent
    good = sign(secret, decision.id, body)
    forged = [
        (sign(new_secret(), decision.id, body), body),
        (good, body.replace(b"1.5.0", b"1.4.2")),
        ({**good, "webhook-id": "another"}, body),
        ({**good, "webhook-signature": "garbage"}, body),
        ({**good, "webhook-signature": "v1,%%%"}, body),
        ({}, body),
        (good, b"\xff\xfe"),
    ]
    assert [post(url, headers, body) for headers, body in forged] == [401] * len(forged)
    assert router.hits == []


def test_a_captured_webhook_is_refused_later(deploy_tool: Tool) -> None:
    """The very bytes of six minutes ago are refused: the signature covers the time."""
    secret = new_secret()
    url, router, _ = deploy_tool(secret)
    decision = decision_of("checkout")
    body = render(decision).sent
    headers = sign(secret, decision.id, body, time.time() - 360)
    assert post(url, headers, body) == 401
    assert router.hits == []


def test_a_stale_decision_is_refused(deploy_tool: Tool) -> None:
    """A rollback that expired a second ago has no effect, however genuine."""
    secret = new_secret()
    url, router, _ = deploy_tool(secret)
    decision = decision_of("checkout", expires_at=time.time_ns() // 1_000_000 - 1_000)
    body = render(decision).sent
    assert post(url, sign(secret, decision.id, body), body) == 410
    assert router.hits == []


def test_both_signatures_of_a_rotation_are_sent(
    alerting: Callable[..., Alerting], receiver: Callable[..., Receiver], monkeypatch: Any
) -> None:
    """While two secrets are configured, a receiver that knows either of them verifies."""
    old, new = new_secret(), new_secret()
    monkeypatch.setenv("OLD_SECRET", old)
    tool = receiver(lambda _: (200, {}))
    secrets = ["${env:TEST_SECRET}", "${env:OLD_SECRET}"]
    house = alerting({"url": tool.url, "secret": secrets}, secret=new)
    house.settled(house.decide())
    (hit,) = tool.hits
    for secret in (old, new):
        Webhook(secret).verify(hit.body, hit.headers)


def test_an_alerter_killed_after_sending_has_one_effect(
    alerting: Callable[..., Alerting], deploy_tool: Tool, receiver: Callable[..., Receiver]
) -> None:
    """Killed between send and record, it sends the same id again; the canary is emptied once."""
    secret = new_secret()
    url, router, audit = deploy_tool(secret)
    house: list[Alerting] = []

    def pass_on_and_kill(between: Receiver) -> tuple[int, dict[str, str]]:
        hit = between.hits[-1]
        signed = {k: v for k, v in hit.headers.items() if k.startswith("webhook-")}
        status = post(url, signed, hit.body)
        if len(between.hits) == 1:
            house[0].alerter.kill()
        return status, {}

    between = receiver(pass_on_and_kill)
    house.append(alerting({"url": between.url}, secret=secret))
    decision = house[0].decide()
    wait_until(audit, 15, "the first webhook")
    house[0].alerter.restart()
    records = house[0].settled(decision, 40)
    assert [hit.headers["webhook-id"] for hit in between.hits] == [decision.id] * 2
    assert [entry["result"] for entry in audit()] == ["done", "already done"]
    assert len(router.hits) == 1
    assert [(r.attempt, r.outcome.value) for r in records] == [(1, "delivered")]


def test_a_delivered_decision_is_not_sent_again_after_a_restart(
    alerting: Callable[..., Alerting], receiver: Callable[..., Receiver]
) -> None:
    """What the record says was delivered stays delivered, even when its message comes twice."""
    tool = receiver(lambda _: (200, {}))
    house = alerting({"url": tool.url})
    decision = house.decide()
    house.settled(decision)
    house.alerter.kill()
    house.alerter.restart()
    house.decide(id=decision.id)
    later = house.decide()
    house.settled(later, 40)
    assert [hit.headers["webhook-id"] for hit in tool.hits] == [decision.id, later.id]
