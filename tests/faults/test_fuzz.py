"""The long form of tests/property/test_fuzz.py: each reader gets mutations for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import FaultTable
from tests.support.fuzz_targets import targets
from tests.support.mutate import mutate

_SECONDS = 600


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_ten_minutes_of_mutations(
    fault_seed: int, fault_rounds: Callable[[int], int], fault_table: FaultTable
) -> None:
    """Nothing unexpected is raised, and nothing hangs; ``--fault-rounds`` gives seconds."""
    seconds = fault_rounds(_SECONDS)
    print(f"seed {fault_seed}, {seconds} s")
    readers = targets()
    chosen = random.Random(fault_seed)
    counts = dict.fromkeys((reader.name for reader in readers), 0)
    slowest = 0.0
    for reader in readers:
        until = time.monotonic() + seconds / len(readers)
        while (began := time.monotonic()) < until:
            data = mutate(chosen.choice(reader.seeds), chosen)
            try:
                reader.feed(data)
            except Exception as error:
                raise AssertionError(f"{reader.name} on {data!r}: {error!r}") from error
            slowest = max(slowest, time.monotonic() - began)
            counts[reader.name] += 1
    total = sum(counts.values())
    fault_table(
        "mutated bytes for every decoder and parser",
        f"{total:,} inputs, {len(readers)} readers, {seconds} s",
        f"0 unexpected errors; slowest input {slowest:.2f} s",
    )
    assert min(counts.values()) > 100
