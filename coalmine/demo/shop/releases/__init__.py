"""One folder per build of the checkout: what differs between releases, and nothing else.

A file has the same name in each of them, as it has on a server: otherwise every crash that passes
through it would be new in every release.
``1.5.0`` exists twice, as the build with the bug and as the build it should have been.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coalmine.demo.shop.carts import Cart
from coalmine.demo.shop.releases.v1_4_2 import checkout as checkout_1_4_2
from coalmine.demo.shop.releases.v1_5_0 import checkout as checkout_1_5_0
from coalmine.demo.shop.releases.v1_5_0_good import checkout as checkout_1_5_0_good
from coalmine.demo.shop.suppliers import Payments, Warehouse

Checkout = Callable[[Cart, Warehouse, Payments], Awaitable[str]]

builds: dict[str, Checkout] = {
    "1.4.2": checkout_1_4_2.buy,
    "1.5.0": checkout_1_5_0.buy,
    "1.5.0-good": checkout_1_5_0_good.buy,
}
"""Build → its checkout; a build's release is what stands before the dash."""
