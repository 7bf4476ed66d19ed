"""What the shop's processes share: telling their address, and ending when asked to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web


def announce(path: Path, addresses: dict[str, str]) -> None:
    """Write ``addresses`` to ``path`` in one step, so that a reader sees all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(addresses), encoding="utf-8")
    draft.replace(path)


async def stopped() -> None:
    """Wait for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def serve_until_stopped(runners: Sequence[web.AppRunner]) -> None:
    """Serve until asked to stop, then finish what is under way and free the ports."""
    try:
        await stopped()
    finally:
        for runner in runners:
            await runner.cleanup()
