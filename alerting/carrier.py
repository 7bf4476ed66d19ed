"""Carries each kind of request to where it belongs: over HTTP, to a socket, a file, a command."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alerting import local
from alerting.integrations.conversation import (
    Answer,
    HttpRequest,
    ReadFile,
    ReplaceFile,
    Request,
    RunCommand,
    SocketLine,
)
from alerting.settings import Endpoint
from alerting.transport import HttpTransport, Limits, failure_of


class Carrier:
    """The transport of production, see ``alerting.transport.Transport``."""

    def __init__(self) -> None:
        self._http = HttpTransport()

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        """See ``Transport``."""
        if isinstance(request, HttpRequest):
            return self._http.send(endpoint, request, limits)
        began_s = time.monotonic()
        if min(limits.within_s, limits.timeout_s) <= 0:
            return Answer(failure="timeout")
        try:
            answer = _do(endpoint, request, limits.timeout_s)
        except Exception as error:  # noqa: BLE001 - as over HTTP: a tool may fail in any way
            answer = Answer(failure=_named(request, error))
        return replace(answer, duration_ms=(time.monotonic() - began_s) * 1000)


def _do(
    endpoint: Endpoint,
    request: SocketLine | ReadFile | ReplaceFile | RunCommand,
    timeout_s: float,
) -> Answer:
    match request:
        case SocketLine():
            return local.say(endpoint, request.body.sent, timeout_s)
        case ReadFile():
            return local.read(_file(endpoint))
        case ReplaceFile():
            local.replace_file(_file(endpoint), request.body.sent)
            return Answer(200)
        case RunCommand():
            return local.run(request.argv, timeout_s)


def _file(endpoint: Endpoint) -> Path:
    return Path(unquote(urlsplit(endpoint.url.reveal()).path))


def _named(request: Request, error: Exception) -> str:
    kind = {ReadFile: "file", ReplaceFile: "file", RunCommand: "command"}.get(type(request))
    if kind is None or isinstance(error, TimeoutError):
        return failure_of(error)
    return f"{kind}: {type(error).__name__}"
