"""Events of any number of services, releases, hosts and routes, as agents send them.

Made as columns, so that making them costs little beside what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow
from contracts.records import RecordKind
from streams.messages import Message

BATCH = 1_000
_SCHEMA = arrow.schemas[RecordKind.EVENTS]
_HEADERS = {arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode()}


class Shape(NamedTuple):
    """How many of each there are; each host runs every service and release."""

    services: int = 3
    releases: int = 2
    hosts: int = 20
    routes: int = 30

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self._asdict().items())


def batch(
    shape: Shape, host: int | None, times: npt.NDArray[np.int64], rng: np.random.Generator
) -> bytes:
    """One message's value.

    Args:
        shape: what may stand in it.
        host: of all its events; any where not given, as from a central log server.
        times: of its events (n,), epoch milliseconds.
        rng: chooses.
    """
    n = len(times)
    hosts = rng.integers(0, shape.hosts, n) if host is None else np.zeros(n, np.int64)
    names = [f"host-{i}.example" for i in (range(shape.hosts) if host is None else [host])]
    ok = rng.random(n) >= 0.01
    columns = {
        "time": pa.array(times, pa.timestamp("ms", tz="UTC")),
        "service": _coded(rng.integers(0, shape.services, n), "service-{}", shape.services),
        "release": _coded(rng.integers(0, shape.releases, n), "1.{}.0", shape.releases),
        "host": _of(hosts, names),
        "name": _of(np.zeros(n, np.int64), ["request"]),
        "arm": _of(np.zeros(n, np.int64), [""]),
        "route": _coded(rng.integers(0, shape.routes, n), "/api/v1/{}", shape.routes),
        "status": pa.array(np.where(ok, 200, 500).astype(np.int16)),
        "ok": pa.array(ok),
        "duration_ms": pa.array(rng.lognormal(3.5, 0.8, n).astype(np.float32)),
        "user": pa.array([f"user-{id_}" for id_ in rng.integers(0, 50_000, n).tolist()]),
    }
    missing = [columns.get(f.name, pa.nulls(n, f.type)) for f in _SCHEMA]
    return arrow.encode(pa.RecordBatch.from_arrays(missing, schema=_SCHEMA))


def messages(
    shape: Shape, count: int, per_s: float, start_ms: int, *, by_host: bool = True
) -> Iterator[Message]:
    """Messages of one partition with ``count`` events in all, ``per_s`` a second of event time.

    Args:
        shape: of the traffic.
        count: events.
        per_s: of them in a second.
        start_ms: time of the first.
        by_host: whether each host has an agent of its own; else the log servers are four.
    """
    rng = np.random.default_rng(1)
    for number in range(count // BATCH):
        agent = number % (shape.hosts if by_host else 4)
        # agents fill their batches side by side, so each spans as long as all of them together
        side_by_side = min(shape.hosts if by_host else 4, max(1, count // BATCH))
        first = number // side_by_side * side_by_side * BATCH
        rows = first + np.sort(rng.integers(0, side_by_side * BATCH, BATCH))
        times = start_ms + (rows * 1000 / per_s).astype(np.int64)
        value = batch(shape, agent if by_host else None, times, rng)
        told = headers(agent, number + 1)
        yield Message("events", 0, number, int(times[-1]), told, value)


def headers(agent: int, seq: int) -> dict[str, bytes]:
    """What an agent says of a batch."""
    return {
        **_HEADERS,
        arrow.AGENT_HEADER: f"agent-{agent}".encode(),
        arrow.SEQ_HEADER: b"%d" % seq,
    }


def _coded(codes: npt.NDArray[np.int64], name: str, count: int) -> pa.DictionaryArray:
    return _of(codes, [name.format(number) for number in range(count)])


def _of(codes: npt.NDArray[np.int64], values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values))
