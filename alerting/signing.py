"""Signatures after Standard Webhooks v1, one per secret while a secret is rotated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from standardwebhooks.webhooks import Webhook

from contracts.config import Secret

_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def webhook_id(decision_id: str) -> str:
    """The decision's id as a header can carry it; ASCII without spaces stays as it is.

    >>> webhook_id("checkout/1.5.0@3/canary/rollback"), webhook_id("kasse ü/rollback")
    ('checkout/1.5.0@3/canary/rollback', 'kasse%20%C3%BC/rollback')
    """
    return quote(decision_id, safe=_PRINTABLE)


def signed_headers(
    message_id: str, body: bytes, now_ms: int, secrets: Sequence[Secret]
) -> tuple[tuple[str, str], ...]:
    """The three headers; every secret signs, so that a receiver may know the old or the new one."""
    seconds = now_ms // 1000
    moment = datetime.fromtimestamp(seconds, UTC)
    text = body.decode()
    signatures = [Webhook(secret.reveal()).sign(message_id, moment, text) for secret in secrets]
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(seconds)),
        ("webhook-signature", " ".join(signatures)),
    )
