"""The log files of the benchmark, seeded, and the records that everybody must make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from benchmarks.throughput import events
from benchmarks.throughput.events import Columns

BASE_MS = 1_795_428_000_000
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/cart.py", line 12, in total
    return price / count
ZeroDivisionError: division by zero"""


class Request(NamedTuple):
    """One request of an access log, as it must arrive; ``name`` is its own.

    ``duration_ms`` and ``user`` are empty where a format has none.
    """

    name: str
    time: int
    route: str
    status: int
    size_bytes: int
    duration_ms: float | None
    user: str | None


class Log(NamedTuple):
    """A file's text, and what must arrive of it: requests, or the messages of a plain log."""

    text: bytes
    lines: int
    records: list[Any]


class Shape(NamedTuple):
    """One format: how it is written, and what an agent's file says about it."""

    write: Callable[[Columns, int], Log]
    source: Mapping[str, Any]


def json_log(columns: Columns, seed: int) -> Log:
    """An access log as JSON loggers write it, with a random id to each request."""
    ids = np.random.default_rng(seed).bytes(16 * len(columns.time)).hex()
    requests = [
        request._replace(name=ids[32 * n : 32 * n + 32])
        for n, request in enumerate(_requests(columns))
    ]
    lines = [
        f'{{"ts":"{_rfc3339(r.time)}","method":"GET","path":"{r.route}","status":{r.status},'
        f'"bytes":{r.size_bytes},"took_ms":{r.duration_ms},"user":"{r.user}",'
        f'"request_id":"{r.name}"}}'
        for r in requests
    ]
    return _log(lines, requests)


def combined_log(columns: Columns, seed: int) -> Log:
    """An access log in combined format; every thousandth request is a scanner's garbage."""
    del seed
    requests = []
    lines = []
    for n, made in enumerate(_requests(columns)):
        is_garbage = n % 1000 == 500
        request = made._replace(
            name=f"u{n:07}",
            time=made.time // 1000 * 1000,
            route="" if is_garbage else made.route,
            duration_ms=None,
            user=None,
        )
        asked = r"\x16\x03\x01" if is_garbage else f"GET {request.route}?page={n} HTTP/1.1"
        lines.append(
            f'10.0.{n % 250}.7 - {request.name} [{_clf(request.time)}] "{asked}" '
            f'{request.status} {request.size_bytes} "https://shop.example/" "{_BROWSER}"'
        )
        requests.append(request)
    return _log(lines, requests)


def plain_log(columns: Columns, seed: int) -> Log:
    """A service's own log; every hundredth message is followed by a traceback, one record too."""
    del seed
    messages = []
    for n, request in enumerate(_requests(columns)):
        level = "ERROR" if n % 100 == 0 else "INFO"
        told = f"{_rfc3339(request.time)} {level} shop.cart: request {n} of {request.user} took "
        told += f"{request.duration_ms} ms for {request.route}"
        messages += [told, _TRACEBACK] if n % 100 == 0 else [told]
    return _log(messages, messages)


SHAPES: dict[str, Shape] = {
    "json": Shape(
        json_log,
        {"fields": {
            "ts": "time", "path": "route", "bytes": "size_bytes", "took_ms": "duration_ms",
            "request_id": "trace",
        }},
    ),
    "combined": Shape(combined_log, {"format": "combined"}),
    "plain": Shape(
        plain_log,
        # the last record waits so long for a line that continues it
        {"kind": "logs", "format": "plain", "multiline": {"timeout": "100ms"}},
    ),
}  # fmt: skip


def generate(count: int, seed: int) -> Columns:
    """The events of ``make bench``."""
    return events.generate(count, seed)


def _requests(columns: Columns) -> Iterator[Request]:
    rows = zip(
        columns.time.tolist(),
        columns.route.tolist(),
        columns.status.tolist(),
        columns.duration_ms.tolist(),
        columns.user.tolist(),
        strict=True,
    )
    for n, (time, route, status, duration_ms, user) in enumerate(rows):
        since_ms = time - events.START_MS
        yield Request(
            name="",
            time=BASE_MS + since_ms,
            route=f"/api/v1/resource-{route:02}/items",
            status=status,
            size_bytes=n * 7919 % 50_000,
            duration_ms=duration_ms,
            user=f"user-{user:05}",
        )


def _log(texts: list[str], records: list[Any]) -> Log:
    text = "\n".join(texts).encode() + b"\n"
    return Log(text, text.count(b"\n"), records)


def _rfc3339(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{time % 1000:03}Z"
    )


def _clf(time: int) -> str:
    moment = datetime.fromtimestamp(time / 1000, UTC)
    return f"{moment.day:02}/{_MONTHS[moment.month - 1]}/" + moment.strftime("%Y:%H:%M:%S +0000")
