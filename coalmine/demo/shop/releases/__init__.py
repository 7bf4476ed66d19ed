"""One module per build of the checkout: what differs between releases, and nothing else.

``1.5.0`` exists twice, as the build with the bug and as the build it should have been.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coalmine.demo.shop.carts import Cart
from coalmine.demo.shop.releases import v1_4_2, v1_5_0, v1_5_0_good
from coalmine.demo.shop.suppliers import Payments, Warehouse

Checkout = Callable[[Cart, Warehouse, Payments], Awaitable[str]]

builds: dict[str, Checkout] = {
    "1.4.2": v1_4_2.buy,
    "1.5.0": v1_5_0.buy,
    "1.5.0-good": v1_5_0_good.buy,
}
"""Build → its checkout; a build's release is what stands before the dash."""
