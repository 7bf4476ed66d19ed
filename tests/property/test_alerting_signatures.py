"""Whatever is signed verifies with the stock library, and nothing else does."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from alerting.retry import retry_after_s
from alerting.signing import signed_headers, webhook_id
from contracts.config import Secret

SECRETS = st.binary(min_size=24, max_size=64).map(
    lambda raw: Secret("whsec_" + base64.b64encode(raw).decode())
)
BODIES = st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode)
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)


def now_ms() -> int:
    """The stock library knows the machine's clock only."""
    return time.time_ns() // 1_000_000


@given(secrets=st.lists(SECRETS, min_size=1, max_size=2), body=BODIES, identity=IDS)
def test_every_secret_s_holder_can_verify(
    secrets: list[Secret], body: bytes, identity: str
) -> None:
    """Any body, any id, one secret or two: each holder verifies, and headers stay plain ASCII."""
    headers = dict(signed_headers(webhook_id(identity), body, now_ms(), secrets))
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    for secret in secrets:
        Webhook(secret.reveal()).verify(body, headers, json_parse=False)


@given(secret=SECRETS, other=SECRETS, body=BODIES, changed=BODIES)
def test_another_secret_or_another_body_does_not_verify(
    secret: Secret, other: Secret, body: bytes, changed: bytes
) -> None:
    """A signature holds for its secret and its bytes only."""
    headers = dict(signed_headers("id", body, now_ms(), [secret]))
    for verifier, text in ((other, body), (secret, changed)):
        if verifier != secret or text != body:
            with pytest.raises(WebhookVerificationError):
                Webhook(verifier.reveal()).verify(text, headers, json_parse=False)


@given(identity=IDS, other=IDS)
def test_two_decisions_never_share_a_webhook_id(identity: str, other: str) -> None:
    """The id in the header tells decisions apart as the decision's own id does."""
    assert (webhook_id(identity) == webhook_id(other)) == (identity == other)


@given(value=st.text(max_size=60), at=st.integers(0, 4_102_444_800_000))
def test_no_retry_after_header_breaks_the_schedule(value: str, at: int) -> None:
    """A receiver may send anything: what comes out is a number of seconds, not below zero."""
    assert retry_after_s(value, at) >= 0
