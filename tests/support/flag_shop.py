"""A service that reads a flag through OpenFeature: ``python -m tests.support.flag_shop``.

One process, one release. The flag ``new-checkout`` chooses between two ways to add up a cart; the
new one divides by the number of coupons. Every request is a JSON line with the arm it met.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import TextIO

from aiohttp import web
from openfeature import api as openfeature
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from coalmine.openfeature import CoalmineProvider, collecting, current_arm

FLAG = "new-checkout"
RELEASE = "2.0.0"


def old_total(prices: list[float], coupons: list[float]) -> float:
    """Prices less coupons."""
    return sum(prices) - sum(coupons)


def new_total(prices: list[float], coupons: list[float]) -> float:
    """The same, with the coupons' mean; whoever wrote it had a coupon in every cart."""
    return sum(prices) - len(coupons) * (sum(coupons) / len(coupons))


class Shop:
    """Answers ``POST /checkout`` and logs it."""

    def __init__(self, service: str, flags: OpenFeatureClient, log: TextIO) -> None:
        self._service = service
        self._flags = flags
        self._log = log

    async def checkout(self, request: web.Request) -> web.Response:
        """One purchase."""
        with collecting():
            began_ms = time.time_ns() // 1_000_000
            cart = await request.json()
            user = EvaluationContext(cart["user"])
            is_new = self._flags.get_boolean_value(FLAG, False, user)
            total = new_total if is_new else old_total
            try:
                answer = {"total": total(cart["prices"], cart["coupons"])}
                status = 200
            except ZeroDivisionError:
                answer, status = {}, 500
            self._write(began_ms, status, cart["user"])
            return web.json_response(answer, status=status)

    def _write(self, began_ms: int, status: int, user: str) -> None:
        line = {
            "time": began_ms,
            "service.name": self._service,
            "service.version": RELEASE,
            "http.route": "/checkout",
            "http.response.status_code": status,
            "user.id": user,
            "arm": current_arm(),
        }
        self._log.write(json.dumps(line) + "\n")


async def _serve(service: str, api: str, token: str, log: Path, ready: Path) -> None:
    openfeature.set_provider(CoalmineProvider(api, service, token=token))
    with log.open("a", encoding="utf-8", buffering=1) as lines:
        app = web.Application()
        shop = Shop(service, openfeature.get_client(), lines)
        app.router.add_post("/checkout", shop.checkout)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        ready.with_suffix(".part").write_text(str(port), encoding="utf-8")
        ready.with_suffix(".part").rename(ready)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ("service", "api", "token"):
        parser.add_argument(f"--{option}", required=True)
    for option in ("log", "ready"):
        parser.add_argument(f"--{option}", required=True, type=Path)
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.service, chosen.api, chosen.token, chosen.log, chosen.ready))
