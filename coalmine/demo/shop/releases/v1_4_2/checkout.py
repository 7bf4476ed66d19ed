"""Release 1.4.2: sold for weeks, nobody complains."""

from __future__ import annotations

from coalmine.demo.shop.carts import Cart
from coalmine.demo.shop.suppliers import Payments, Warehouse


async def buy(cart: Cart, warehouse: Warehouse, payments: Payments) -> str:
    """Reserve what is in the cart, take the money, give the receipt."""
    await warehouse.reserve([item.sku for item in cart.items])
    return await payments.charge(cart.user, cart.total - discount_of(cart))


def discount_of(cart: Cart) -> float:
    """What the voucher takes off, in euro."""
    if not cart.voucher:
        return 0.0
    if "percent" in cart.voucher:
        return float(cart.total * cart.voucher["percent"] / 100)
    return float(cart.voucher["amount"])
