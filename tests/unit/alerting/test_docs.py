"""The example in docs/webhooks.md is what Coalmine sends, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

from alerting.integrations.generic import render
from alerting.signing import signed_headers, webhook_id
from contracts.config import Secret
from tests.unit.alerting.support import NOW_MS, decision

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def test_the_documented_body_is_what_is_sent() -> None:
    """A receiver written after the page works."""
    (example,) = re.findall(r"```json\n(.*)\n```", PAGE)
    assert example.encode() == render(decision()).sent


def test_the_documented_signature_is_right() -> None:
    """Headers, secret and body of the page belong together."""
    (secret,) = re.findall(r"signed with `(whsec_[^`]+)`", PAGE)
    headers = dict(re.findall(r"^(webhook-\w+): (.*)$", PAGE, re.MULTILINE))
    message_id = webhook_id(decision().id)
    expected = signed_headers(message_id, render(decision()).sent, NOW_MS, [Secret(secret)])
    assert headers == dict(expected)
