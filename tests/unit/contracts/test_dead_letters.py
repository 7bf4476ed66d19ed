"""Records that are set aside."""

from __future__ import annotations

import base64

from contracts.dead_letters import MAX_PAYLOAD_BYTES, dead_letter
from contracts.errors import InvalidRecord
from contracts.results import DeadLetter

ERROR = InvalidRecord("not json", "at \udcff")


def _letter(payload: bytes, *, full_length: int | None = None) -> DeadLetter:
    return dead_letter(
        ERROR, stage="test", origin="t/0/1", payload=payload, time=1, full_length=full_length
    )


def test_a_dead_letter_keeps_reason_origin_and_bytes() -> None:
    """What was set aside can be looked at, and put back."""
    letter = _letter(b"\x00\xff{")
    assert base64.b64decode(letter.payload) == b"\x00\xff{"
    assert (letter.id, letter.reason, letter.origin) == ("test:t/0/1", "not json", "t/0/1")
    assert letter.detail == "at \\udcff"  # no lone surrogate ever reaches JSON


def test_what_was_cut_is_marked() -> None:
    """Beyond the limit, or when only the beginning was given."""
    assert not _letter(b"x" * MAX_PAYLOAD_BYTES).truncated
    assert _letter(b"x" * (MAX_PAYLOAD_BYTES + 1)).truncated
    assert _letter(b"x", full_length=2).truncated
