"""Reads a side's results back from Kafka and holds them against what the generator knows."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from benchmarks.throughput.broker import Broker
from benchmarks.throughput.catalogue import Results
from benchmarks.throughput.sides.common import WINDOW_MS, Counts, Key, Result
from contracts.results import Cell, Partial, decode_partial


class Found(NamedTuple):
    """What a results topic holds."""

    counts: dict[Key, Counts]
    last_ms: int
    """When the broker took the last of them, epoch milliseconds."""
    messages: int


def read_back(broker: Broker, topic: str, form: Results) -> Found:
    """All results of a topic that the broker stamped."""
    counts: dict[Key, Counts] = {}
    last_ms = messages = 0
    for message in broker.read(topic):
        last_ms = max(last_ms, message.timestamp)
        messages += 1
        if form is Results.LATEST:
            result = msgspec.json.decode(message.value, type=Result)
            counts[result.key] = result
        else:
            add_partial(counts, decode_partial(message.value))
    return Found(counts, last_ms, messages)


def difference(found: dict[Key, Counts], expected: dict[Key, Counts]) -> str:
    """The first difference in words, empty where there is none; windows beyond are left out."""
    end = max(window for _, _, window in expected)
    within = {key for key in found if key[2] <= end}
    if within != expected.keys():
        return f"{len(within)} windows, expected {len(expected)}"
    for key, wanted in expected.items():
        for name in Counts.__struct_fields__:
            got = getattr(found[key], name)
            if got != getattr(wanted, name):
                return f"{name} of {key} differ: {got}, expected {getattr(wanted, name)}"
    return ""


def add_partial(counts: dict[Key, Counts], partial: Partial) -> None:
    """Add what a partial says about events."""
    for cell in partial.cells:
        key = partial.service, cell.release, cell.tick // WINDOW_MS * WINDOW_MS
        _add_cell(counts.setdefault(key, Counts()), cell)


def _add_cell(counts: Counts, cell: Cell) -> None:
    counts.exposures += cell.counts.get("request", 0)
    counts.errors += cell.counts.get("request.bad", 0)
    if (histogram := cell.histograms.get("request.duration_ms")) is not None:
        for found, number in zip(histogram.bins, histogram.counts, strict=True):
            counts.histogram[found] = counts.histogram.get(found, 0) + number
