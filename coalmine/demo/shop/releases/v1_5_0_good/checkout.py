"""Release 1.5.0 as it should have been: the same feature without the two bugs."""

from __future__ import annotations

from coalmine.demo.shop.carts import Cart
from coalmine.demo.shop.releases.v1_4_2.checkout import discount_of
from coalmine.demo.shop.suppliers import Payments, Warehouse


async def buy(cart: Cart, warehouse: Warehouse, payments: Payments) -> str:
    """Reserve what is in the cart (wrapped, for gifts), take the money, give the receipt."""
    await warehouse.reserve([item.sku for item in cart.items])
    return await payments.charge(cart.user, cart.total - discount_of(cart))
