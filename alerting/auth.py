"""How a request shows who sends it: one value per way, each with its check and its headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from alerting.signing import signed_headers
from contracts.config import Secret

_SIGNING_BYTES = range(24, 65)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a signature covers."""

    message_id: str
    """The decision's id, as a header can carry it."""
    body: bytes
    now_ms: int


Credentials: TypeAlias = Mapping[str, str | Secret]


@dataclass(frozen=True, slots=True)
class Auth:
    """One way to authenticate.

    Args:
        name: as ``auth`` in the endpoints file says it.
        headers: the headers of one request.
        mistake: what was expected of a secret that is none; empty where it is one.
        most_secrets: how many an endpoint may have; two where they are rotated.
    """

    name: str
    headers: Callable[[Sequence[Secret], Occasion], Credentials]
    mistake: Callable[[str], str]
    most_secrets: int = 1


def header(name: str, *, prefix: str = "", auth: str = "header") -> Auth:
    """A token in a header of this name.

    >>> header("PRIVATE-TOKEN").headers([Secret("t")], Occasion("id", b"", 0))
    {'PRIVATE-TOKEN': ***}
    """
    return Auth(
        auth, lambda secrets, _: {name: Secret(prefix + secrets[0].reveal())}, _token_mistake
    )


def _standard_webhooks(secrets: Sequence[Secret], occasion: Occasion) -> Credentials:
    return dict(signed_headers(occasion.message_id, occasion.body, occasion.now_ms, secrets))


def _hub_signature(secrets: Sequence[Secret], occasion: Occasion) -> Credentials:
    key = secrets[0].reveal().encode()
    digest = hmac.new(key, occasion.body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}"}


def _basic(secrets: Sequence[Secret], _: Occasion) -> Credentials:
    pair = base64.b64encode(secrets[0].reveal().encode()).decode()
    return {"authorization": Secret(f"Basic {pair}")}


def _token_mistake(secret: str) -> str:
    is_token = secret.isascii() and secret.isprintable() and secret == secret.strip() != ""
    return "" if is_token else "expected a token of printable ASCII characters in one line"


def _pair_mistake(secret: str) -> str:
    user, colon, _ = secret.partition(":")
    return "" if user and colon and secret.isprintable() else "expected user:password in one line"


def _signing_mistake(secret: str) -> str:
    try:
        raw = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except (binascii.Error, ValueError):
        raw = b""
    if secret.startswith("whsec_") and len(raw) in _SIGNING_BYTES:
        return ""
    return "expected whsec_ and the base64 of 24 to 64 random bytes"


SIGNATURE = Auth("signature", _standard_webhooks, _signing_mistake, most_secrets=2)
"""Standard Webhooks v1."""
HUB_SIGNATURE = Auth("hub-signature", _hub_signature, _token_mistake)
"""``X-Hub-Signature-256``, as GitHub sends it: an HMAC of the body."""
BEARER = header("authorization", prefix="Bearer ", auth="bearer")
BASIC = Auth("basic", _basic, _pair_mistake)
NONE = Auth("none", lambda _secrets, _occasion: {}, _token_mistake, most_secrets=0)
"""The tool asks for nothing, or for something in the request itself, which is an option then."""
