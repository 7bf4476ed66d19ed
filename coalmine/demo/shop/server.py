"""One instance of the ``checkout`` service: an HTTP server with an access log and an error log.

``python -m coalmine.demo.shop.server --build 1.4.2 --instance web-1 --port 0 --logs DIR`` writes
``DIR/checkout/1.4.2/web-1/access.log`` (one JSON object per request) and ``error.log`` (Python's
own logging, tracebacks of unhandled exceptions included), and its address to ``--ready``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import time
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from coalmine.demo.shop.carts import cart_from_json
from coalmine.demo.shop.releases import Checkout, builds
from coalmine.demo.shop.serving import announce, serve_until_stopped
from coalmine.demo.shop.suppliers import Payments, PaymentUnavailableError, Warehouse

SERVICE = "checkout"
_log = logging.getLogger("checkout")


class AccessLog(AbstractAccessLogger):
    """One JSON object per request, under the names that this shop has always used."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line of one request; ``time`` is its duration in seconds."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {
            "ts": moment,
            "method": request.method,
            "path": request.path,
            "status": response.status,
            "bytes": response.body_length,
            "took_ms": round(time * 1000, 2),
            "request_id": request.headers.get("x-request-id", ""),
            "user": request.headers.get("x-user", ""),
        }
        self.logger.info("%s", json.dumps(line))


def build_app(buy: Checkout, seed: int) -> web.Application:
    """The service: ``POST /checkout``, ``GET /shipping``."""
    chance = random.Random(seed)  # noqa: S311 - simulated suppliers, not secrets
    warehouse, payments = Warehouse(chance), Payments(chance)

    async def checkout(request: web.Request) -> web.Response:
        cart = cart_from_json(await request.json())
        try:
            receipt = await buy(cart, warehouse, payments)
        except PaymentUnavailableError as error:
            _log.warning("payment provider unavailable: %s", error)
            return web.json_response({"error": "try again"}, status=502)
        return web.json_response({"receipt": receipt, "items": len(cart.items)})

    async def shipping(_: web.Request) -> web.Response:
        await warehouse.reserve([])
        return web.json_response({"options": ["standard", "express"]})

    app = web.Application()
    app.router.add_post("/checkout", checkout)
    app.router.add_get("/shipping", shipping)
    return app


def open_logs(directory: Path) -> logging.Logger:
    """Send Python's logging to ``error.log`` and give the logger of ``access.log``."""
    directory.mkdir(parents=True, exist_ok=True)
    error = logging.FileHandler(directory / "error.log")
    error.setFormatter(_utc_formatter())
    logging.basicConfig(level=logging.INFO, handlers=[error])
    access = logging.getLogger("access")
    access.propagate = False
    access.addHandler(logging.FileHandler(directory / "access.log"))
    return access


def _utc_formatter() -> logging.Formatter:
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    return formatter


async def serve(arguments: argparse.Namespace) -> None:
    """Run one instance until SIGTERM or SIGINT."""
    release = arguments.build.partition("-")[0]
    access = open_logs(arguments.logs / SERVICE / release / arguments.instance)
    app = build_app(builds[arguments.build], seed=arguments.seed)
    runner = web.AppRunner(app, access_log_class=AccessLog, access_log=access)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.port)
    await site.start()
    _log.info("checkout %s listens on %s", release, site.name)
    announce(arguments.ready, {"url": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    await serve_until_stopped([runner])


def main() -> None:
    """Entry point of ``python -m coalmine.demo.shop.server``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", choices=sorted(builds), required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--ready", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))  # uvloop's clock is too coarse for took_ms


if __name__ == "__main__":
    main()
