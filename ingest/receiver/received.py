"""What one request brought, as both protocols give it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.errors import InvalidRecord
from contracts.records import Record

KEY_BYTES = 8
"""Length of a group's key: so few of them collide that none will be seen to."""


class Group(NamedTuple):
    """Records that came as one: a sender that tries again sends all of them under the same key.

    ``key`` is empty where nothing tells a second try from a second record.
    """

    key: bytes
    records: Sequence[Record]


class Refused(NamedTuple):
    """A part that is no record: why, and its bytes."""

    error: InvalidRecord
    payload: bytes
    service: str = ""


@dataclass(slots=True)
class Received:
    """Records, parts that are none, and parts that nobody asked for."""

    groups: list[Group] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    """Parts that are passed over, by what they are."""
    event_id: str = ""

    @property
    def is_useless(self) -> bool:
        """Whether nothing in it could be used and something was wrong."""
        return bool(self.refused) and not self.groups

    @property
    def records(self) -> int:
        """How many records it holds."""
        return sum(len(group.records) for group in self.groups)


def key_of(*parts: str | bytes) -> bytes:
    """The key of what ``parts`` identify.

    >>> key_of("event", "1", "a") == key_of("event", "1", "a") != key_of("event", "1a", "")
    True
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
