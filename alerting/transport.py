"""One HTTP request to one endpoint: checked address, no redirects, no proxies, one deadline.

httpcore and not httpx: it lets us make the connection ourselves, so that the address that was
checked is the address that is connected to, and it reads nothing from the environment.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import httpcore

from alerting.addresses import ForbiddenAddressError, Resolve, checked_addresses
from alerting.settings import Endpoint, Network

_ANSWER_BYTES = 4_096
"""How much of an answer is read: a receiver's body decides nothing."""

_TLS_ERRORS = (ssl.SSLError, ssl.CertificateError)


@dataclass(frozen=True, slots=True)
class Request:
    """Method, headers and body, as they go over the wire."""

    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    within_s: float = math.inf
    """Seconds until its decision expires: what is not sent by then is not sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or the named reason why none did."""

    status: int | None = None
    failure: str = ""
    """``timeout``, ``connection``, ``name``, ``tls`` or ``forbidden address``."""
    retry_after: str = ""
    duration_ms: float = 0.0


class Transport(Protocol):
    """Sends requests; never raises for what a receiver or a network does."""

    def send(self, endpoint: Endpoint, request: Request) -> Answer:
        """One attempt; blocks for the endpoint's timeout at most."""
        ...


class HttpTransport:
    """The transport of production. A connection lives for one request.

    Args:
        resolve: name to addresses; the system's resolver if not given.
    """

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve

    def send(self, endpoint: Endpoint, request: Request) -> Answer:
        """See ``Transport``."""
        began = time.monotonic()
        try:
            status, retry_after = self._exchange(endpoint, request, began)
        except Exception as error:  # noqa: BLE001 - a receiver may break HTTP in any way it likes
            return Answer(failure=_failure(error), duration_ms=_since_ms(began))
        return Answer(status=status, retry_after=retry_after, duration_ms=_since_ms(began))

    def _exchange(self, endpoint: Endpoint, request: Request, began_s: float) -> tuple[int, str]:
        times = _Times(
            send_by_s=began_s + min(endpoint.timeout_s, request.within_s),
            end_s=began_s + endpoint.timeout_s,
        )
        backend = _CheckedBackend(endpoint.private_networks, times, self._resolve)
        url = endpoint.url.reveal()
        tls = _tls(endpoint.ca_file) if url.lower().startswith("https:") else None
        with httpcore.ConnectionPool(
            ssl_context=tls, network_backend=backend, max_keepalive_connections=0
        ) as pool:
            limits = dict.fromkeys(("connect", "read", "write", "pool"), endpoint.timeout_s)
            with pool.stream(
                request.method,
                url,
                headers=[*request.headers, ("connection", "close")],
                content=request.body,
                extensions={"timeout": limits},
            ) as response:
                _read_some(response)
                return response.status, _header(response, b"retry-after")


@lru_cache(maxsize=64)
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    # reading the certificates of all authorities takes longer than a whole attempt
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


def _read_some(response: httpcore.Response) -> None:
    """Let the receiver finish a short answer; a status that came is valid whatever follows."""
    size = 0
    try:
        for part in response.iter_stream():
            size += len(part)
            if size > _ANSWER_BYTES:
                return
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return


def _header(response: httpcore.Response, name: bytes) -> str:
    values = [value for key, value in response.headers if key.lower() == name]
    return values[0].decode("latin-1") if values else ""


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _failure(error: Exception) -> str:
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
    """Of one attempt, monotonic seconds: the last moment to send, and the one to be answered."""

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
