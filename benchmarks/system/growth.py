"""CPU time per event as services, releases, hosts and routes grow: aggregate and judge, in process.

    python -m benchmarks.system growth --events 200000

No server: messages go through the same two cores as in the worker, state encoded as it is kept, and
the time of each is the process's own CPU time. The events a second stay the same while the names
grow, so that there is less of each. Linear means: a cell costs the same however many there are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import typer

from benchmarks.system.figures import Row, publish
from benchmarks.system.traffic import Shape, messages
from benchmarks.throughput.command import say
from contracts.policy import Policies, Policy, StratifyBy
from contracts.records import RecordKind
from contracts.results import Partial, decode_partial, encode_partial
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.messages import Message, aggregate
from streams.running import spare_what_is_loaded
from streams.state import encode_state

_PER_S = 20_000
_STRETCH = 20
"""Messages that are aggregated at once: about a megabyte."""
_START_MS = 1_700_000_000_000
_GROWN = (1, 10, 100)
_MOST = 2.0
"""A cell among many may cost so many times what it costs among few; caches are not endless."""


class Cost(NamedTuple):
    """CPU seconds of one run."""

    events: int
    cells: int
    aggregate_s: float
    judge_s: float
    state_bytes: int

    def us_per_event(self) -> float:
        """Microseconds of both."""
        return 1e6 * (self.aggregate_s + self.judge_s) / self.events

    def us_per_cell(self) -> float:
        """The same by cell."""
        return 1e6 * (self.aggregate_s + self.judge_s) / self.cells


def main(
    events: Annotated[int, typer.Option(min=20_000, help="In each run.")] = 200_000,
    *,
    by_host: Annotated[bool, typer.Option(help="One agent to a host, not four for all.")] = True,
) -> None:
    """Cost per event and per cell as the names grow tenfold and a hundredfold."""
    rows: list[Row] = []
    measure(Shape(), events, by_host=by_host)  # what is loaded late is no event's cost
    spare_what_is_loaded()
    for name, shapes in shapes_of(Shape()).items():
        costs = [_measured(f"{name} ×{n}", s, events, by_host=by_host) for n, s in shapes]
        for (grown, shape), cost in zip(shapes, costs, strict=True):
            rows += _rows(f"{name} ×{grown} ({shape})", cost, costs[0])
    settings = {"events": events, "by_host": by_host, "events per second of event time": _PER_S}
    sys.exit(not publish("growth", settings, rows))


main.__doc__ = f"{main.__doc__}\n\nExample: make bench-scale ARGS='growth --events 100000'"


def shapes_of(base: Shape) -> dict[str, list[tuple[int, Shape]]]:
    """What grows to its shapes, by factor."""
    return {
        field: [(n, base._replace(**{field: getattr(base, field) * n})) for n in _GROWN]
        for field in base._fields
    }


def _measured(name: str, shape: Shape, events: int, *, by_host: bool) -> Cost:
    cost = measure(shape, events, by_host=by_host)
    say(
        f"{name}: {cost.us_per_event():.2f} µs an event, {cost.us_per_cell():.1f} µs a cell, "
        f"{cost.cells / cost.events:.2f} cells an event"
    )
    return cost


def measure(shape: Shape, events: int, *, by_host: bool) -> Cost:
    """Count and judge so many events."""
    stratify = StratifyBy.ROUTE if shape.routes > Shape().routes else StratifyBy.NONE
    policies = Policies({"*": Policy(autodetect=True, stratify_by=stratify)})
    made = list(messages(shape, events, _PER_S, _START_MS, by_host=by_host))
    began_s = time.process_time()
    partials = [p for part in _stretches(made) for p in _aggregated(part, policies)]
    aggregated_s = time.process_time() - began_s
    encoded = [encode_partial(partial) for partial in partials]
    began_s = time.process_time()
    states: dict[str, ServiceState] = {}
    size = 0
    for value in encoded:
        partial = decode_partial(value)
        state = states.setdefault(partial.service, ServiceState(service=partial.service))
        apply_partial(state, partial, policies[state.service], processed_time=partial.sent_at)
        size = max(size, len(encode_state(state)))
    judged_s = time.process_time() - began_s
    cells = sum(len(partial.cells) for partial in partials)
    return Cost(events, cells, aggregated_s, judged_s, size)


def _stretches(made: list[Message]) -> Iterator[list[Message]]:
    for start in range(0, len(made), _STRETCH):
        yield made[start : start + _STRETCH]


def _aggregated(part: list[Message], policies: Policies) -> list[Partial]:
    return aggregate(RecordKind.EVENTS, part, policies).partials


def _rows(name: str, cost: Cost, base: Cost) -> Iterator[Row]:
    ratio = cost.us_per_cell() / base.us_per_cell()
    yield Row(what=f"{name}: CPU an event", value=cost.us_per_event(), unit="µs")
    yield Row(
        what=f"{name}: of it aggregate", value=1e6 * cost.aggregate_s / cost.events, unit="µs"
    )
    yield Row(what=f"{name}: cells an event", value=cost.cells / cost.events)
    yield Row(what=f"{name}: largest state", value=cost.state_bytes / 1000, unit="kB")
    yield Row(
        what=f"{name}: a cell, beside ×1",
        value=ratio,
        unit="×",
        goal=f"≤ {_MOST:g} ×",
        is_met=ratio <= _MOST,
    )


if __name__ == "__main__":
    typer.run(main)
