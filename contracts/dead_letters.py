"""How a record is set aside: one place, so that every dead letter tells its origin alike."""

from __future__ import annotations

import base64

from contracts.errors import InvalidRecord
from contracts.results import DeadLetter

MAX_PAYLOAD_BYTES = 256 * 1024


def dead_letter(
    error: InvalidRecord,
    *,
    stage: str,
    origin: str,
    payload: bytes,
    time: int,
    service: str = "",
    identity: str = "",
    full_length: int | None = None,
    schema: str = "",
) -> DeadLetter:
    """The dead letter of ``payload``; the same stage and origin give the same id, so twice is once.

    Args:
        error: reason and detail.
        stage: the part that sets it aside, for example ``streams.aggregate``.
        origin: ``file:position`` or ``topic/partition/offset``.
        payload: the original bytes; beyond 256 KiB they are cut, and marked so.
        time: epoch milliseconds.
        service: where it is known.
        identity: what tells it apart for ever, where the origin may change (a renamed file).
        full_length: bytes of the whole record, where ``payload`` is only its beginning.
        schema: what the message's header called the payload.
    """
    kept = payload[:MAX_PAYLOAD_BYTES]
    return DeadLetter(
        id=f"{stage}:{identity or origin}",
        time=time,
        stage=stage,
        reason=error.reason,
        detail=error.detail[:1000].encode("utf-8", "backslashreplace").decode(),
        origin=origin,
        service=service,
        payload=base64.b64encode(kept).decode(),
        truncated=len(kept) < (len(payload) if full_length is None else full_length),
        schema=schema[:200],
    )
