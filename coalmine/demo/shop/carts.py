"""The carts that customers bring: seeded, so that two runs see the same customers."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

_CATALOGUE = {f"sku-{number:03d}": 3.5 + (number * 37 % 90) for number in range(120)}
_SHARE_OF_VOUCHERS = 0.16
_SHARE_OF_GIFTS = 0.12


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a cart; ``price`` in euro."""

    sku: str
    price: float
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Cart:
    """What one customer wants to buy. A voucher takes off a ``percent`` or an ``amount``."""

    user: str
    items: tuple[Item, ...]
    voucher: dict[str, Any] | None = None
    gift: bool = False

    @property
    def total(self) -> float:
        """Price of all items before any voucher, in euro."""
        return sum(item.price * item.quantity for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """The body of ``POST /checkout``."""
        return asdict(self)


def cart_from_json(body: dict[str, Any]) -> Cart:
    """The cart in the body of ``POST /checkout``."""
    return Cart(
        user=body["user"],
        items=tuple(Item(**item) for item in body["items"]),
        voucher=body.get("voucher"),
        gift=body.get("gift", False),
    )


def draw_cart(chance: random.Random) -> Cart:
    """One customer's cart.

    >>> draw_cart(random.Random(7)) == draw_cart(random.Random(7))
    True
    """
    skus = chance.sample(sorted(_CATALOGUE), chance.randint(1, 6))
    return Cart(
        user=f"u{chance.randrange(4_000):04d}",
        items=tuple(Item(sku, _CATALOGUE[sku], chance.randint(1, 3)) for sku in skus),
        voucher=_draw_voucher(chance) if chance.random() < _SHARE_OF_VOUCHERS else None,
        gift=chance.random() < _SHARE_OF_GIFTS,
    )


def _draw_voucher(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.5:
        return {"code": "SPRING", "percent": chance.choice([5, 10, 20])}
    return {"code": "THANKS", "amount": chance.choice([2.5, 5.0])}
