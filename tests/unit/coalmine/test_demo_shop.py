"""The shop's rules: what each build does with a cart, and where the router sends it."""

from __future__ import annotations

import asyncio
import json
import random
import traceback
from collections import Counter
from collections.abc import Sequence

import pytest

from coalmine.demo.shop.carts import Cart, Item, cart_from_json, draw_cart
from coalmine.demo.shop.releases import Checkout, builds
from coalmine.demo.shop.router import Weights
from coalmine.demo.shop.suppliers import Payments, Warehouse
from ingest.parsers.base import Labels
from ingest.tracebacks.detect import crash_of
from streams.crashes.group import group_of

AMOUNT_OFF = Cart("u1", (Item("a", 10.0), Item("b", 5.0)), voucher={"code": "X", "amount": 5.0})
GIFT = Cart("u1", (Item("a", 10.0), Item("b", 5.0)), gift=True)


class CountingWarehouse(Warehouse):
    """A warehouse without a way to it, that counts its round trips."""

    def __init__(self) -> None:
        super().__init__(random.Random(0))
        self.trips = 0

    async def reserve(self, skus: Sequence[str]) -> None:  # noqa: ARG002 - the interface
        """Count."""
        self.trips += 1


class InstantPayments(Payments):
    """A provider that answers at once with the amount it took."""

    async def charge(self, user: str, amount: float) -> str:  # noqa: ARG002 - the interface
        """Tell the amount."""
        return f"{amount:.2f}"


def buy(build: str, cart: Cart) -> tuple[str, int]:
    """Receipt and number of round trips to the warehouse."""
    warehouse = CountingWarehouse()
    receipt = asyncio.run(_buy(build, cart, warehouse))
    return receipt, warehouse.trips


async def _buy(build: str, cart: Cart, warehouse: Warehouse) -> str:
    return await builds[build](cart, warehouse, InstantPayments(random.Random(0)))


def test_new_build_crashes_on_vouchers_by_amount_and_only_there() -> None:
    """The bug of 1.5.0 is an unhandled exception for some carts; the other builds sell them."""
    with pytest.raises(KeyError, match="percent"):
        buy("1.5.0", AMOUNT_OFF)
    assert buy("1.4.2", AMOUNT_OFF)[0] == buy("1.5.0-good", AMOUNT_OFF)[0] == "10.00"


def test_new_build_goes_to_the_warehouse_once_for_each_gift() -> None:
    """The slow path of 1.5.0 is one round trip for each item, where the others need one."""
    assert {build: buy(build, GIFT)[1] for build in builds} == {
        "1.4.2": 1,
        "1.5.0": 2,
        "1.5.0-good": 1,
    }


class GarblingPayments(Payments):
    """A provider that answers with a page, as it now and then does in every release."""

    async def _ask_provider(self, user: str, amount: float) -> str:  # noqa: ARG002 - the interface
        return "<html>502 Bad Gateway</html>"


def test_crash_that_every_build_has_is_one_crash_group() -> None:
    """A file is called the same in every build, so what failed before is not new in the canary."""
    groups = set()
    for build in builds.values():
        with pytest.raises(ValueError, match="unexpected answer") as caught:
            asyncio.run(buy_with(build, GarblingPayments(random.Random(0))))
        text = "".join(traceback.format_exception(caught.value))
        crash = crash_of(text, 0, Labels(service="checkout", release="", host=""))
        assert crash is not None
        groups.add(group_of(crash).fingerprint)
    assert len(groups) == 1


async def buy_with(build: Checkout, payments: Payments) -> str:
    """One cart, a warehouse that is near, and these payments."""
    return await build(GIFT, CountingWarehouse(), payments)


def test_cart_survives_the_request_body() -> None:
    """What customers send is what the server reads."""
    chance = random.Random(3)
    carts = [draw_cart(chance) for _ in range(50)]
    assert [cart_from_json(json.loads(json.dumps(cart.to_json()))) for cart in carts] == carts


def test_router_spreads_by_weight_and_over_the_instances_of_a_release() -> None:
    """80 to 20 in weights is 80 to 20 in requests; instances of one release take turns."""
    weights = Weights(seed=1)
    weights.set_instances({"1.4.2": ["a", "b"], "1.5.0": ["c"]})
    weights.set_weights({"1.4.2": 80, "1.5.0": 20})
    picked = Counter(weights.pick() for _ in range(10_000))
    assert abs(picked["c"] - 2_000) < 200
    assert abs(picked["a"] - picked["b"]) <= 1


def test_weight_of_zero_ends_a_release_at_once() -> None:
    """After the deploy tool's call no further request goes to the canary."""
    weights = Weights(seed=1)
    weights.set_instances({"1.4.2": ["a"], "1.5.0": ["c"]})
    weights.set_weights({"1.4.2": 80, "1.5.0": 20})
    weights.set_weights({"1.5.0": 0})
    assert {weights.pick() for _ in range(1_000)} == {"a"}
    weights.set_weights({"1.4.2": 0})
    assert weights.pick() is None


def test_release_without_instances_gets_nothing() -> None:
    """A weight alone does not make a release able to answer."""
    weights = Weights(seed=1)
    weights.set_instances({"1.4.2": ["a"]})
    weights.set_weights({"1.4.2": 1, "1.5.0": 99})
    assert {weights.pick() for _ in range(100)} == {"a"}
