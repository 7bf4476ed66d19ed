"""What the checkout calls: a warehouse and a payment provider, slow and fallible as such are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

_WAREHOUSE_MS = 7.0
_PAYMENT_MS = 11.0
_SPREAD = 0.25  # sigma of the log-normal: p99 is about 1.8 times the median
_SHARE_DOWN = 0.004
_SHARE_GARBLED = 0.004


class PaymentUnavailableError(Exception):
    """The payment provider did not answer: the customer is asked to try again."""


class Warehouse:
    """Keeps stock; one call may reserve many things."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def reserve(self, skus: Sequence[str]) -> None:
        """Set ``skus`` aside, in one round trip."""
        await _round_trip(self._chance, _WAREHOUSE_MS + 0.1 * len(skus))


class Payments:
    """Takes the money."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def charge(self, user: str, amount: float) -> str:
        """Take ``amount`` euro from ``user`` and give the receipt's number.

        Raises:
            PaymentUnavailableError: now and then, in every release.
        """
        answer = await self._ask_provider(user, amount)
        number, _, state = answer.partition(" ")
        if state != "paid":
            raise ValueError(f"unexpected answer of the payment provider: {answer!r}")
        return number

    async def _ask_provider(self, user: str, amount: float) -> str:
        await _round_trip(self._chance, _PAYMENT_MS)
        luck = self._chance.random()
        if luck < _SHARE_DOWN:
            raise PaymentUnavailableError(f"no answer for {user}")
        if luck < _SHARE_DOWN + _SHARE_GARBLED:
            return "<html>502 Bad Gateway</html>"
        return f"r{round(amount * 100):06d}-{self._chance.randrange(10**6):06d} paid"


async def _round_trip(chance: random.Random, typical_ms: float) -> None:
    await asyncio.sleep(chance.lognormvariate(0.0, _SPREAD) * typical_ms / 1000)
