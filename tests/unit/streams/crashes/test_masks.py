"""Messages lose what varies and keep what names the fault."""

from __future__ import annotations

import pytest

from streams.crashes.masks import masked


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("took 12.5 s of 10", "took <number> s of <number>"),
        ("user 550e8400-e29b-41d4-a716-446655440000 gone", "user <uuid> gone"),
        ("GET https://shop.example/cart?id=7 failed", "GET <url> failed"),
        ("no such file /var/lib/shop/7.json", "no such file <path>"),
        ("mail to ann.b@mail.example bounced", "mail to <email> bounced"),
        ("at 0xdeadbeef and deadbeef01", "at <hex> and <hex>"),
        ("order ord_9f3Ka12 unknown", "order <id> unknown"),
        ("10.0.3.7:8080 refused", "<ip> refused"),
        ("since 2026-11-23T22:12:00Z", "since <date>"),
        ("key \"a b\" and 'c' missing", "key <quoted> and <quoted> missing"),
        ("can't divide", "can't divide"),
        ("utf8 is not ascii", "utf8 is not ascii"),
    ],
)
def test_what_varies_is_masked_and_words_stay(message: str, expected: str) -> None:
    """Each kind of value is replaced by its name."""
    assert masked(message) == expected
