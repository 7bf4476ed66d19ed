"""Sentry's envelope: a line of headers, then items, each a line of headers and a payload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord

MAX_ITEMS = 1_000
"""An SDK sends a handful; more would be a way to keep the receiver busy."""

_LONGEST_TYPE = 60


class Item(NamedTuple):
    """One part of an envelope."""

    type: str
    payload: bytes


class Envelope(NamedTuple):
    """Headers (``event_id``, ``sent_at``, ``dsn``, …) and items, in order."""

    headers: Mapping[str, Any]
    items: list[Item]


def read_envelope(body: bytes) -> Envelope:
    r"""The envelope in a request's body.

    A payload is as long as its header says (``length``), or ends with its line.

    Raises:
        InvalidRecord: headers that are none, a payload that is cut, too many items.

    >>> read_envelope(b'{"event_id":"9e"}\n{"type":"event","length":2}\n{}\n').items
    [Item(type='event', payload=b'{}')]
    """
    line, at = _line(body, 0)
    return Envelope(_headers(line), list(_items(body, at)))


def _items(body: bytes, at: int) -> Iterator[Item]:
    count = 0
    while at < len(body):
        line, at = _line(body, at)
        if not line.strip():
            continue  # newlines at the end
        count += 1
        if count > MAX_ITEMS:
            raise InvalidRecord("too many items in an envelope", f"more than {MAX_ITEMS}")
        headers = _headers(line)
        payload, at = _payload(body, at, headers.get("length"))
        yield Item(str(headers.get("type", ""))[:_LONGEST_TYPE], payload)


def _payload(body: bytes, at: int, length: object) -> tuple[bytes, int]:
    if length is None:
        return _line(body, at)
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise InvalidRecord("wrong length of an item", repr(length)[:80])
    end = at + length
    if end > len(body):
        raise InvalidRecord("envelope is cut", f"{length} bytes announced, {len(body) - at} left")
    if body[end : end + 1] not in (b"", b"\n"):
        raise InvalidRecord("wrong length of an item", f"no newline after {length} bytes")
    return body[at:end], end + 1


def _line(body: bytes, at: int) -> tuple[bytes, int]:
    end = body.find(b"\n", at)
    return (body[at:], len(body)) if end < 0 else (body[at:end], end + 1)


def _headers(line: bytes) -> Mapping[str, Any]:
    try:
        headers = msgspec.json.decode(line)
    except UNREADABLE as error:
        raise InvalidRecord("not an envelope", f"headers are not JSON: {error}") from error
    if not isinstance(headers, dict):
        raise InvalidRecord("not an envelope", f"headers are {type(headers).__name__}")
    return headers
