"""The API's process: reads the settings, builds the clients, joins board, app and server."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import structlog
import uvicorn

from coalmine.api import feed, metrics
from coalmine.api.access import check_access
from coalmine.api.app import Options, build, guarded
from coalmine.api.board import Board
from coalmine.api.sending import CommandProducer
from contracts.clock import SystemClock
from contracts.settings import kafka_settings
from dashboard.access.settings import Place
from health.address import Address
from health.server import serve
from health.vitals import Pulse, Vitals

log = structlog.get_logger()

GRACEFUL_SHUTDOWN_S = 2
_BEAT_S = 2
_LOOP_LIMIT_S = 30.0


def run(
    host: str, port: int, health: Address | None = None, options: Options | None = None
) -> None:
    """Serve the API until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: port to listen on.
        health: where it tells of its health.
        options: see there.

    Raises:
        ConfigError: the environment names no usable Kafka, or strangers could steer.
    """
    chosen = options or Options()
    check_access(Place(host, port), chosen.access)
    clock = SystemClock()
    board, vitals = Board(), Vitals(clock)
    reading = feed.Feed(settings := kafka_settings(), board, clock, vitals)
    producer = CommandProducer(settings)
    app = build(board, producer, lambda: reading.is_current, clock, chosen)
    config = uvicorn.Config(
        guarded(app, chosen.access, clock),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        callback_notify=_beating(vitals.pulse("event loop", _LOOP_LIMIT_S)),
        timeout_notify=_BEAT_S,
    )
    # uvicorn raises the signal that ended it once more, which would end us in the middle
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    end = feed.start(reading)
    log.info("api_started", url=f"http://{host}:{port}", kafka=settings.bootstrap)
    try:
        with serve(health, vitals, metrics.REGISTRY):
            uvicorn.Server(config).run()
    finally:
        end()
        producer.close()
    log.info("api_stopped")


def _beating(pulse: Pulse) -> Callable[[], Awaitable[None]]:
    """Called by the server's loop every few seconds: it moves."""

    async def beat() -> None:
        pulse.beat()

    return beat
