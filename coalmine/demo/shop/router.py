"""The shop's front: sends each request to one release, by weight, and on to one of its instances.

Public port: everything. Admin port: ``GET /weights``, ``PUT /weights`` with ``{"1.5.0": 0}``,
``PUT /instances`` with ``{"1.5.0": ["http://127.0.0.1:8081"]}``. A release with weight 0, or
without instances, gets no further request.
"""

from __future__ import annotations

import argparse
import itertools
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from coalmine.demo.shop.serving import announce, serve_until_stopped

_UPSTREAM_TIMEOUT_S = 10


class Weights:
    """Which release the next request goes to."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - spreads load, keeps no secret
        self._weights: dict[str, float] = {}
        self._instances: dict[str, Iterator[str]] = {}

    def set_weights(self, weights: dict[str, float]) -> None:
        """Change the weights named and leave the others."""
        self._weights.update(weights)

    def set_instances(self, instances: dict[str, list[str]]) -> None:
        """Tell where a release runs; none means nowhere."""
        for release, urls in instances.items():
            self._instances.pop(release, None)
            if urls:
                self._instances[release] = itertools.cycle(urls)

    def as_json(self) -> dict[str, float]:
        """Release → weight."""
        return dict(self._weights)

    def pick(self) -> str | None:
        """Address of the instance for the next request; None when no release takes any."""
        able = [(r, w) for r, w in self._weights.items() if w > 0 and r in self._instances]
        if not able:
            return None
        releases, weights = zip(*able, strict=True)
        return next(self._instances[self._chance.choices(releases, weights)[0]])


def build_public(weights: Weights, session: ClientSession) -> web.Application:
    """The port that customers see."""

    async def forward(request: web.Request) -> web.StreamResponse:
        if (upstream := weights.pick()) is None:
            return web.Response(status=503, text="no release takes requests")
        headers = {
            name: request.headers[name]
            for name in ("content-type", "x-user")
            if name in request.headers
        }
        headers["x-request-id"] = uuid.uuid4().hex
        try:
            async with session.request(
                request.method,
                upstream + request.path_qs,
                data=await request.read(),
                headers=headers,
            ) as response:
                return web.Response(
                    status=response.status,
                    body=await response.read(),
                    content_type=response.content_type,
                )
        except (ClientError, TimeoutError):
            return web.Response(status=504, text="the instance did not answer")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def build_admin(weights: Weights) -> web.Application:
    """The port that deploy tools use."""

    async def get_weights(_: web.Request) -> web.Response:
        return web.json_response(weights.as_json())

    async def put_weights(request: web.Request) -> web.Response:
        body = await request.json()
        if not isinstance(body, dict) or not all(_is_weight(w) for w in body.values()):
            return web.Response(status=400, text='expected {"release": weight of 0 or more}')
        weights.set_weights(body)
        return web.json_response(weights.as_json())

    async def put_instances(request: web.Request) -> web.Response:
        weights.set_instances(await request.json())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/weights", get_weights)
    app.router.add_put("/weights", put_weights)
    app.router.add_put("/instances", put_instances)
    return app


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


async def serve(arguments: argparse.Namespace) -> None:
    """Run the router until SIGTERM or SIGINT."""
    weights = Weights(arguments.seed)
    timeout = ClientTimeout(total=_UPSTREAM_TIMEOUT_S)
    async with ClientSession(connector=TCPConnector(limit=0), timeout=timeout) as session:
        runners = []
        for app, port in (
            (build_public(weights, session), arguments.port),
            (build_admin(weights), arguments.admin_port),
        ):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            runners.append(runner)
        public, admin = (f"http://127.0.0.1:{r.addresses[0][1]}" for r in runners)
        announce(arguments.ready, {"url": public, "admin": admin})
        await serve_until_stopped(runners)


def main() -> None:
    """Entry point of ``python -m coalmine.demo.shop.router``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument("--ready", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
