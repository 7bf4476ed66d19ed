"""What the receiver says, in the words that SDKs expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from ingest.receiver.routes import Protocol

RETRY_AFTER_S = 5
"""Short: an SDK that is told to wait drops what happens meanwhile."""

_ALLOWED_HEADERS = (
    "X-Sentry-Auth, X-Requested-With, Origin, Accept, Content-Type, Content-Encoding, "
    "Authorization, Authentication, Traceparent, Sentry-Trace, Baggage"
)
_EXPOSED_HEADERS = "X-Sentry-Error, X-Sentry-Rate-Limits, Retry-After"
_STATUS_CODES = {400: 3, 401: 16, 403: 7, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP's to those of gRPC, which an OpenTelemetry error names."""


class Answer(NamedTuple):
    """A response in JSON; without a body where ``body`` is None."""

    status: int
    body: object
    headers: Mapping[str, str] = {}

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return b"" if self.body is None else msgspec.json.encode(self.body)


def taken(protocol: Protocol, event_id: str) -> Answer:
    """Everything usable is safe."""
    if protocol is Protocol.SENTRY and event_id:
        return Answer(200, {"id": event_id})
    return Answer(200, {})


def refused(protocol: Protocol, status: int, reason: str) -> Answer:
    """Nothing was taken, and why."""
    headers = {"retry-after": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    if protocol is Protocol.OTLP:
        return Answer(status, {"code": _STATUS_CODES.get(status, 2), "message": reason}, headers)
    # a header holds no newline and no letter beyond Latin-1
    plain = " ".join(reason.split())[:200].encode("ascii", "backslashreplace").decode()
    return Answer(status, {"detail": reason}, {**headers, "x-sentry-error": plain})


def preflight() -> Answer:
    """A browser asks before it sends."""
    allowed = {
        "access-control-allow-methods": "POST, OPTIONS",
        "access-control-allow-headers": _ALLOWED_HEADERS,
        "access-control-max-age": "3600",
    }
    return Answer(204, None, allowed)


def shared(origin: str | None, origins: Sequence[str]) -> Mapping[str, str]:
    """The headers that let a page of ``origin`` read an answer; none where it may not.

    >>> shared("https://a.example", ["https://b.example"])
    {}
    """
    if origin is None or not may_send(origin, origins):
        return {}
    allowed = "*" if "*" in origins else origin
    found = {
        "access-control-allow-origin": allowed,
        "access-control-expose-headers": _EXPOSED_HEADERS,
    }
    return found if allowed == "*" else {**found, "vary": "Origin"}


def may_send(origin: str | None, origins: Sequence[str]) -> bool:
    """Whether pages of this site may send; what is no browser names no origin."""
    return origin is None or "*" in origins or origin in origins
