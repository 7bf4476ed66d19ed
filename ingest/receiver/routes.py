"""Which address takes what."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from ingest.receiver.origin import Origin
from ingest.receiver.otlp import read_logs, read_traces
from ingest.receiver.received import Received
from ingest.receiver.sentry import read_envelope_request, read_store

PATHS = "/api/<project>/envelope/, /api/<project>/store/, /v1/logs, /v1/traces"

_SENTRY = re.compile(r"/api/(?P<project>[\w-]{1,64})/(?P<what>envelope|store)/?")


class Protocol(StrEnum):
    """What a sender speaks."""

    SENTRY = "sentry"
    OTLP = "otlp"


class Route(NamedTuple):
    """One address: what is spoken there, and who reads a body."""

    protocol: Protocol
    read: Callable[[bytes, Origin], Received]
    project: str = ""


_SENTRY_READERS = {"envelope": read_envelope_request, "store": read_store}
_OTLP_ROUTES = {
    "/v1/logs": Route(Protocol.OTLP, read_logs),
    "/v1/traces": Route(Protocol.OTLP, read_traces),
}


def route_of(path: str) -> Route | None:
    """The route of a path; None where nobody listens.

    >>> route_of("/api/42/envelope/").project
    '42'
    """
    if match := _SENTRY.fullmatch(path):
        return Route(Protocol.SENTRY, _SENTRY_READERS[match["what"]], match["project"])
    return _OTLP_ROUTES.get(path.rstrip("/"))
