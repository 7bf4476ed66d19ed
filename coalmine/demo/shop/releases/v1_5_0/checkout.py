"""Release 1.5.0: vouchers rewritten, gift wrapping new. Two bugs went through review."""

from __future__ import annotations

from coalmine.demo.shop.carts import Cart
from coalmine.demo.shop.suppliers import Payments, Warehouse


async def buy(cart: Cart, warehouse: Warehouse, payments: Payments) -> str:
    """Reserve what is in the cart (wrapped, for gifts), take the money, give the receipt."""
    if cart.gift:
        await _wrap(cart, warehouse)
    else:
        await warehouse.reserve([item.sku for item in cart.items])
    return await payments.charge(cart.user, cart.total - discount_of(cart))


async def _wrap(cart: Cart, warehouse: Warehouse) -> None:
    for item in cart.items:  # the slow one: a round trip for each item
        await warehouse.reserve([item.sku])


def discount_of(cart: Cart) -> float:
    """What the voucher takes off, in euro."""
    if not cart.voucher:
        return 0.0
    return float(cart.total * cart.voucher["percent"] / 100)  # the crash: some have an amount
