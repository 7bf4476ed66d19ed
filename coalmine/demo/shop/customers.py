"""The customers: real HTTP requests at a steady rate, seeded, bounded in count and in time.

Open loop: a slow answer does not slow the next customer down, as in life. Ends by itself after
``--seconds``, or earlier on SIGTERM; either way it waits for the answers under way and then prints
one JSON object: how many requests were sent and how they were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter

import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from coalmine.demo.shop.carts import draw_cart
from coalmine.demo.shop.serving import stopped

_STEP_S = 0.02
_TIMEOUT_S = 15
_SHARE_OF_CHECKOUTS = 0.8


async def shop(url: str, *, rate: float, seconds: float, seed: int) -> Counter[str]:
    """Send ``rate`` requests a second for ``seconds``; how they were answered, by status."""
    chance = random.Random(seed)  # noqa: S311 - simulated customers, not secrets
    answers: Counter[str] = Counter()
    timeout = ClientTimeout(total=_TIMEOUT_S)
    async with (
        ClientSession(connector=TCPConnector(limit=0), timeout=timeout) as session,
        asyncio.TaskGroup() as visits,
    ):
        stop = asyncio.create_task(stopped())
        loop = asyncio.get_running_loop()
        start = loop.time()
        sent = 0
        while not stop.done() and (elapsed := loop.time() - start) < seconds:
            due = min(int(elapsed * rate), int(seconds * rate)) - sent
            for _ in range(due):
                visits.create_task(_visit(session, url, chance, answers))
            sent += due
            await asyncio.wait([stop], timeout=_STEP_S)
        stop.cancel()
    return answers


async def _visit(
    session: ClientSession, url: str, chance: random.Random, answers: Counter[str]
) -> None:
    cart = draw_cart(chance)
    buys = chance.random() < _SHARE_OF_CHECKOUTS
    method, path = ("POST", "/checkout") if buys else ("GET", "/shipping")
    try:
        async with session.request(
            method,
            url + path,
            json=cart.to_json() if buys else None,
            headers={"x-user": cart.user},
        ) as response:
            await response.read()
            answers[str(response.status)] += 1
    except (ClientError, TimeoutError):
        answers["no answer"] += 1


def main() -> None:
    """Entry point of ``python -m coalmine.demo.shop.customers``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=250)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    answers = uvloop.run(shop(a.url, rate=a.rate, seconds=a.seconds, seed=a.seed))
    sys.stdout.write(json.dumps({"sent": answers.total(), "answers": answers}) + "\n")


if __name__ == "__main__":
    main()
