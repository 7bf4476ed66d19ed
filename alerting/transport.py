"""One HTTP request to one endpoint: checked address, no redirects, no proxies, one deadline.

httpcore and not httpx: it lets us make the connection ourselves, so that the address that was
checked is the address that is connected to, and it reads nothing from the environment.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpcore

from alerting.addresses import ForbiddenAddressError, Resolve, checked_addresses
from alerting.integrations.conversation import Answer, HttpRequest, Request, revealed
from alerting.settings import Endpoint, Network
from contracts.config import Secret

_TLS_ERRORS = (ssl.SSLError, ssl.CertificateError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take."""

    within_s: float = math.inf
    """Seconds until its decision expires: what is not sent by then is not sent."""
    timeout_s: float = math.inf
    """What is left of the attempt: it is answered by then, or not at all."""


class Transport(Protocol):
    """Sends requests; never raises for what a receiver or a network does."""

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        """One request, credentials among its headers; blocks for the limits' timeout at most."""
        ...


class HttpTransport:
    """HTTP requests. A connection lives for one request.

    Args:
        resolve: name to addresses; the system's resolver if not given.
    """

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve

    def send(self, endpoint: Endpoint, request: HttpRequest, limits: Limits) -> Answer:
        """See ``Transport``."""
        began = time.monotonic()
        times = _Times(began + min(limits.timeout_s, limits.within_s), began + limits.timeout_s)
        try:
            answer = self._exchange(endpoint, request, times)
        except Exception as error:  # noqa: BLE001 - a receiver may break HTTP in any way it likes
            return Answer(failure=failure_of(error), duration_ms=_since_ms(began))
        return replace(answer, duration_ms=_since_ms(began))

    def _exchange(self, endpoint: Endpoint, request: HttpRequest, times: _Times) -> Answer:
        backend = _CheckedBackend(endpoint.private_networks, times, self._resolve)
        url = target(endpoint.url, request)
        tls = _tls(endpoint.ca_file) if url.lower().startswith("https:") else None
        headers = [(name, revealed(value)) for name, value in request.headers.items()]
        with httpcore.ConnectionPool(
            ssl_context=tls, network_backend=backend, max_keepalive_connections=0
        ) as pool:
            limits = dict.fromkeys(("connect", "read", "write", "pool"), endpoint.timeout_s)
            with pool.stream(
                request.method,
                url,
                headers=[*headers, ("connection", "close")],
                content=request.body.sent,
                extensions={"timeout": limits},
            ) as response:
                body, is_cut = _read_some(response, request.answer_bytes)
                return Answer(response.status, "", _headers(response), body, is_cut)


def target(url: Secret, request: HttpRequest) -> str:
    """Where a request goes: the endpoint's address with the request's path and query.

    >>> target(Secret("https://a.example/api/?k=1"), HttpRequest(path="/v1", query={"q": "x y"}))
    'https://a.example/api/v1?k=1&q=x+y'
    """
    parts = urlsplit(url.reveal())
    query = urlencode({name: revealed(value) for name, value in request.query.items()})
    path = parts.path.rstrip("/") + request.path if request.path else parts.path
    return urlunsplit(parts._replace(path=path, query="&".join(filter(None, (parts.query, query)))))


@lru_cache(maxsize=64)
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # reading the certificates of all authorities takes longer than a whole attempt
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


def _read_some(response: httpcore.Response, most: int) -> tuple[bytes, bool]:
    """What of a body is read, and whether there is more; a status is valid whatever follows."""
    body = bytearray()
    try:
        for part in response.iter_stream():
            body += part
            if len(body) > most:
                return bytes(body[:most]), True
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return bytes(body), True
    return bytes(body), False


def _headers(response: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000


def failure_of(error: Exception) -> str:
    """The named reason of what kept a request from being answered."""
    chain: list[BaseException] = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) and below not in chain:
        chain.append(below)
    if any(isinstance(e, ForbiddenAddressError) for e in chain):
        return "forbidden address"
    if any(isinstance(e, _TLS_ERRORS) for e in chain):
        return "tls"
    if any(isinstance(e, OSError) and type(e).__name__ == "gaierror" for e in chain):
        return "name"
    if any(isinstance(e, httpcore.TimeoutException | TimeoutError) for e in chain):
        return "timeout"
    if any(isinstance(e, httpcore.ProtocolError) for e in chain):
        return "protocol"
    return "connection"


@dataclass(frozen=True, slots=True)
class _Times:
    """Of one request, monotonic seconds: the last moment to send, and the one to be answered."""

    send_by_s: float
    end_s: float


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects only to addresses that were checked, and holds everything to one deadline."""

    def __init__(self, allowed: Sequence[Network], times: _Times, resolve: Resolve | None) -> None:
        self._allowed = allowed
        self._times = times
        self._resolve = resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = checked_addresses(host, port, self._allowed, self._resolve)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(
                    str(address),
                    port,
                    _left_s(self._times.send_by_s, timeout),
                    local_address,
                    socket_options,
                )
                return _DeadlineStream(stream, self._times)
            except httpcore.ConnectError as error:
                failure = error
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    """A receiver that sends one byte a second does not get a new timeout with each."""

    def __init__(self, stream: httpcore.NetworkStream, times: _Times) -> None:
        self._stream = stream
        self._times = times

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(self._times.end_s, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left_s(self._times.send_by_s, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(self._times.send_by_s, timeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, left_s)
        return _DeadlineStream(secured, self._times)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return self._stream.get_extra_info(info)


def _left_s(deadline_s: float, timeout: float | None) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout("the attempt's time is over")
    return left_s if timeout is None else min(left_s, timeout)
