"""The events of the benchmark: seeded, the same for every side, as Arrow batches and as JSON.

Three services × two releases × twenty hosts × thirty routes, 20,000 events a second of event time.
Durations are multiples of 1/64 ms, so that ``float32`` (Arrow) and decimal text (JSON) are the same
number and every side finds the same bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.throughput.sides.common import WINDOW_MS, Counts, Key
from contracts import arrow, histogram
from contracts.records import Event, RecordKind

START_MS = 1_700_000_000_000
EVENTS_PER_SECOND = 20_000
BATCH = 1_000
LARGE_BATCH = 5_000
CLOSING_MS = 3_600_000
"""How long after the last event the closing events come: see ``closing_lines``."""

_SERVICES = ("cart", "checkout", "search")
_RELEASES = ("2026.11.1", "2026.11.2")
_HOSTS = tuple(f"host-{n:02}.example" for n in range(20))
_ROUTES = tuple(f"/api/v1/resource-{n:02}/{{id}}" for n in range(30))
_STATUS = (200, 204, 302, 404, 500, 503)
_STATUS_SHARES = (0.8, 0.08, 0.05, 0.05, 0.015, 0.005)
_CANARY_SHARE = 0.2
_USERS = 50_000


@dataclass(frozen=True, slots=True)
class Columns:
    """All events, each array of shape (n,), in order of time; codes index the names above."""

    time: npt.NDArray[np.int64]
    service: npt.NDArray[np.int64]
    release: npt.NDArray[np.int64]
    host: npt.NDArray[np.int64]
    route: npt.NDArray[np.int64]
    status: npt.NDArray[np.int64]
    duration_ms: npt.NDArray[np.float64]
    user: npt.NDArray[np.int64]

    def events(self, rows: npt.NDArray[np.int64]) -> list[Event]:
        """Those rows as records, as the agent has them after parsing."""
        return [
            Event(
                time=time,
                service=_SERVICES[service],
                release=_RELEASES[release],
                host=_HOSTS[host],
                route=_ROUTES[route],
                status=status,
                ok=status < 500,
                duration_ms=duration_ms,
                user=f"user-{user:05}",
            )
            for time, service, release, host, route, status, duration_ms, user in zip(
                *(getattr(self, name)[rows].tolist() for name in self.__slots__), strict=True
            )
        ]


def generate(count: int, seed: int) -> Columns:
    """``count`` events."""
    rng = np.random.default_rng(seed)
    rows = np.arange(count)
    release = (rng.random(count) < _CANARY_SHARE).astype(np.int64)
    return Columns(
        time=START_MS + rows * 1000 // EVENTS_PER_SECOND,
        service=rng.integers(0, len(_SERVICES), count),
        release=release,
        host=rng.integers(0, len(_HOSTS), count),
        route=rng.integers(0, len(_ROUTES), count),
        status=rng.choice(_STATUS, count, p=_STATUS_SHARES),
        duration_ms=np.ceil(rng.lognormal(3.5 + 0.1 * release, 0.8) * 64) / 64,
        user=rng.integers(0, _USERS, count),
    )


def expected(columns: Columns) -> dict[Key, Counts]:
    """What every side must find."""
    window = columns.time // WINDOW_MS * WINDOW_MS
    bins = histogram.bins_of(columns.duration_ms.astype(np.float32)).astype(np.int64)
    found: dict[Key, Counts] = {}
    cells = np.stack([columns.service, columns.release, window], axis=1)
    keys, of_row = np.unique(cells, axis=0, return_inverse=True)
    for number, (service, release, start) in enumerate(keys.tolist()):
        chosen = of_row.ravel() == number
        values, counts = np.unique(bins[chosen], return_counts=True)
        found[_SERVICES[service], _RELEASES[release], start] = Counts(
            exposures=int(chosen.sum()),
            errors=int((columns.status[chosen] >= 500).sum()),
            histogram=dict(zip(values.tolist(), counts.tolist(), strict=True)),
        )
    return found


class Batch(NamedTuple):
    """One message of an agent; ``time`` is that of its last event."""

    agent: str
    seq: int
    time: int
    payload: bytes


def agent_batches(columns: Columns, size: int = BATCH) -> Iterator[Batch]:
    """Arrow batches of ``size`` events, one agent to a host, in order of their last events."""
    in_order = []
    for host, name in enumerate(_HOSTS):
        rows = np.flatnonzero(columns.host == host)
        for seq, start in enumerate(range(0, len(rows), size), start=1):
            part = rows[start : start + size]
            in_order.append((int(part[-1]), f"agent-{name}", seq, part))
    for _, agent, seq, part in sorted(in_order, key=lambda batch: batch[0]):
        yield _batch(columns, agent, seq, part)


def mixed_batches(columns: Columns) -> Iterator[Batch]:
    """The same from four central log servers: every batch holds events of every host."""
    rows = np.arange(len(columns.time))
    for number, start in enumerate(range(0, len(rows), BATCH)):
        part = rows[start : start + BATCH]
        yield _batch(columns, f"agent-central-{number % 4}", number // 4 + 1, part)


def _batch(columns: Columns, agent: str, seq: int, rows: npt.NDArray[np.int64]) -> Batch:
    encoded = arrow.encode(arrow.batch_from_records(RecordKind.EVENTS, columns.events(rows)))
    return Batch(agent, seq, int(columns.time[rows[-1]]), encoded)


class Line(NamedTuple):
    """One message of a shipper that sends JSON, keyed by service and release."""

    key: str
    time: int
    value: bytes


def json_lines(columns: Columns) -> Iterator[Line]:
    """Every event as a JSON object, closing events last."""
    for start in range(0, len(columns.time), BATCH):
        part = np.arange(start, min(start + BATCH, len(columns.time)))
        for event in columns.events(part):
            yield _line(event)
    yield from closing_lines(columns)


def closing_lines(columns: Columns) -> Iterator[Line]:
    """One event of each service and release long after all others.

    Some frameworks emit a window only when a later event has come; results of the windows these
    events open are not compared.
    """
    for service in _SERVICES:
        for release in _RELEASES:
            time = int(columns.time[-1]) + CLOSING_MS
            yield _line(
                Event(time=time, service=service, release=release, status=200, duration_ms=1.0)
            )


def _line(event: Event) -> Line:
    value = msgspec.json.encode(_fields(event))
    return Line(f"{event.service}/{event.release}", event.time, value)


def _fields(event: Event) -> dict[str, object]:
    return {
        "time": event.time,
        "service.name": event.service,
        "service.version": event.release,
        "host.name": event.host,
        "http.route": event.route,
        "http.response.status_code": event.status,
        "duration_ms": event.duration_ms,
        "user.id": event.user,
    }
