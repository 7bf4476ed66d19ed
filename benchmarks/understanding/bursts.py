"""Crashes a second that become groups and sightings: a burst beside crashes that differ.

Each row is one batch as an agent ships it, many messages of 500 crashes; figures are CPU time of
one core, the best of three rounds, all in one run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from contracts import arrow
from contracts.records import Crash, RecordKind
from streams.crashes.sightings import groups_of_batch, sightings

_FRAMES = 30
_MESSAGE = 500
_ROUNDS = 3


def batch_of(crashes: int, different: int) -> pa.RecordBatch:
    """So many crashes with traces of thirty frames, so many of them different."""
    traces = [
        "Traceback (most recent call last):\n"
        + "".join(
            f'  File "/srv/shop/part_{n}.py", line {n}, in step_{n}\n    go()\n'
            for n in range(_FRAMES - 1)
        )
        + f'  File "/srv/shop/cart.py", line 7, in total_{_letters(number)}\n    go()\n'
        + "KeyError: 1\n"
        for number in range(different)
    ]
    records = [
        Crash(
            time=number, service="shop", release="1", stacktrace=traces[number % different],
            user=f"u{number % 1000}",
        )
        for number in range(crashes)
    ]  # fmt: skip
    batch = arrow.batch_from_records(RecordKind.CRASHES, records)
    return arrow.decode(RecordKind.CRASHES, arrow.encode(batch))


def measure(crashes: int, different: int) -> tuple[float, int]:
    """CPU seconds, the least of three rounds, and how many sightings they gave."""
    batch = batch_of(crashes, different)
    messages = np.arange(crashes) // _MESSAGE
    origins = (messages, [f"t/0/{n}" for n in range(int(messages.max()) + 1)])
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        found = sightings(batch, groups_of_batch(batch), origins)
        took.append(time.process_time() - began)
    assert sum(one.count for one in found) == crashes
    return min(took), len(found)


def add_options(_parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_options: argparse.Namespace) -> int:
    """Print the table."""
    print(f"{'crashes':>9} {'different':>9} {'sightings':>9} {'CPU ms':>9} {'crashes/CPU s':>14}")
    for crashes, different in ((1, 1), (1_000, 1_000), (100_000, 1), (100_000, 1_000)):
        took, found = measure(crashes, different)
        print(
            f"{crashes:>9,} {different:>9,} {found:>9,} {1000 * took:>9.1f}"
            f" {crashes / took:>14,.0f}"
        )
    return 0


def _letters(number: int) -> str:
    """Digits would be taken for generated names."""
    return "".join(chr(97 + int(digit)) for digit in str(number))
