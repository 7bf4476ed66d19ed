"""A Faust app as a process: its event loop, its health, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from contracts.errors import CoalmineError, Fatal
from contracts.settings import KafkaSettings, kafka_settings
from health import heap
from health.address import Address
from health.server import serve
from streams.durable import DurableApp, PromptWorker
from streams.lag import Lag
from streams.liveness import Liveness

GARBAGE_OBJECTS = 100_000
"""New objects that are not looked through for garbage: those of a few stretches of JSON."""
_TRIM_EVERY_S = 5.0


def run_app(
    build: Callable[[KafkaSettings], DurableApp],
    state_dir: Path,
    health: Address | None,
    registry: CollectorRegistry,
    lag: Lag,
) -> None:
    """Build a Faust app on a fast event loop and run it as a worker until a signal ends it.

    Raises:
        CoalmineError: the app ended by itself, which Faust would report as a success.
    """
    kafka = kafka_settings()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build(kafka)
    app.conf.datadir = state_dir
    worker = PromptWorker(app, loop)
    liveness = Liveness(app, loop, lag)
    loop.call_soon(liveness.start)
    loop.call_later(_TRIM_EVERY_S, _keep_trimmed, loop)
    spare_what_is_loaded()
    with serve(health, app.vitals, registry), contextlib.suppress(SystemExit):
        worker.execute_from_commandline()
    if error := worker.crash_reason or app.crash_reason:
        if isinstance(error, CoalmineError):
            raise error
        raise Fatal(f"stopped by an unexpected error: {error!r}") from error


def spare_what_is_loaded() -> None:
    """Keep the garbage collector from going through all that was loaded, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _keep_trimmed(loop: asyncio.AbstractEventLoop) -> None:
    """Whoever is behind takes in and drops hundreds of megabytes a minute."""
    heap.trim()
    loop.call_later(_TRIM_EVERY_S, _keep_trimmed, loop)
