"""The health port: ``/healthz``, ``/readyz`` and ``/metrics``, answered by a thread of its own.

Its own, because the loops that it tells of may be blocked: a server on the same event loop would
be silent just when it is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from contracts.errors import ConfigError
from health.address import Address
from health.vitals import Vitals

log = structlog.get_logger()

_JSON = "application/json"
_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503


class Answer(NamedTuple):
    """A response: status, content type, body."""

    status: int
    content_type: str
    body: bytes


class Liveness(msgspec.Struct, frozen=True):
    """The body of ``/healthz``: seconds for which each loop stood still, and which are stuck."""

    status: str
    still_s: dict[str, float]
    stuck: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """The body of ``/readyz``: what is stuck, what is needed and not there.

    And what people should see to although the process is ready.
    """

    status: str
    stuck: list[str]
    missing: list[str]
    warnings: list[str] = []


def answer(path: str, vitals: Vitals, registry: CollectorRegistry) -> Answer:
    """What the health port says to a GET of ``path``."""
    match path.partition("?")[0]:
        case "/healthz":
            stuck = vitals.stuck()
            still_s = {loop: round(s, 1) for loop, s in vitals.still_s().items()}
            return _json(Liveness("stuck" if stuck else "alive", still_s, stuck), bool(stuck))
        case "/readyz":
            stuck, missing = vitals.stuck(), vitals.missing()
            is_away = bool(stuck or missing)
            status = "not ready" if is_away else "ready"
            return _json(Readiness(status, stuck, missing, vitals.warnings()), is_away)
        case "/metrics":
            return Answer(_OK, CONTENT_TYPE_LATEST, generate_latest(registry))
    return Answer(_NOT_FOUND, "text/plain; charset=utf-8", b"/healthz, /readyz, /metrics\n")


@contextmanager
def serve(
    address: Address | None, vitals: Vitals, registry: CollectorRegistry
) -> Iterator[int | None]:
    """Answer on ``address`` while the context lasts; without one, do nothing.

    Yields:
        The port.

    Raises:
        ConfigError: nothing can listen there.
    """
    if address is None:
        yield None
        return
    registry.register(vitals)
    try:
        with _listen(address, vitals, registry) as server:
            port = int(server.server_address[1])
            log.info("health_served", host=address.host, port=port)
            yield port
    finally:
        registry.unregister(vitals)


@contextmanager
def _listen(
    address: Address, vitals: Vitals, registry: CollectorRegistry
) -> Iterator[ThreadingHTTPServer]:
    class Handler(_Handler):
        def answer(self) -> Answer:
            return answer(self.path, vitals, registry)

    try:
        server = _Server(address, Handler)
    except OSError as error:
        expected = f"cannot listen on {address.host}: {error.strerror}"
        raise ConfigError("--health-port", expected, value=address.port) from error
    with server:
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def _json(body: msgspec.Struct, is_away: bool) -> Answer:  # noqa: FBT001 - one place
    return Answer(_UNAVAILABLE if is_away else _OK, _JSON, msgspec.json.encode(body) + b"\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    """Seconds that a client may take over its request."""
    server_version = "coalmine"
    sys_version = ""

    def answer(self) -> Answer:
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer, body included."""
        self._send(self.answer(), with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._send(self.answer(), with_body=False)

    def log_message(self, *_: object) -> None:
        """A scrape is no news."""

    def _send(self, found: Answer, *, with_body: bool) -> None:
        self.send_response(found.status)
        self.send_header("content-type", found.content_type)
        self.send_header("content-length", str(len(found.body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(found.body)
