"""Mutations of good messages: as a strategy of hypothesis, and by a seeded random generator."""

from __future__ import annotations

import random

from hypothesis import strategies as st

_MOST_CHANGES = 6
_TELLING = [
    b"", b"\0", b"\xff", b"\\u0000", b"\\ud800", b'"', b"}", b"]", b"{", b"[", b",", b"-", b"e400",
    b"null", b"true", b"-1", b"9" * 30, b"1e999", b"NaN", b"[" * 2000, b'{"a":' * 2000, b"\n",
    b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 400 + b"]" * 400,
    b"9007199254740993", b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:60Z", b"&a *a", b"!!python/x",
    b"\xed\xa0\x80", "𝔘".encode(), b"%", b"@", b"::", b"A" * 5000,
]  # fmt: skip


def mutate(data: bytes, chosen: random.Random) -> bytes:
    """``data`` with a few changes."""
    for _ in range(chosen.randint(1, _MOST_CHANGES)):
        data = _change(data, chosen)
    return data


def _change(data: bytes, chosen: random.Random) -> bytes:
    start = chosen.randint(0, len(data))
    end = min(len(data), start + chosen.choice([0, 1, 2, 4, 8, 64]))
    match chosen.randrange(6):
        case 0:
            return data[:start] + chosen.choice(_TELLING) + data[end:]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:start]
        case 3:
            return data[:end] + data[start:]
        case 4:
            other = chosen.randint(0, len(data))
            return data[:start] + data[other : other + end - start] + data[end:]
        case _:
            flipped = bytes(b ^ (1 << chosen.randrange(8)) for b in data[start:end])
            return data[:start] + flipped + data[end:]


def mutated(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Mutations of any of ``seeds``."""
    return st.builds(
        mutate, st.sampled_from(seeds), st.randoms(use_true_random=False, note_method_calls=False)
    )
