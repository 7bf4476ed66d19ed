"""Garbage beside much that is held is found soon, and what was freed is given back."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

import pytest

from health import heap

_ROUNDS = 300_000
_LIVE = 1_500


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """Other tests find the collector as it was."""
    yield
    gc.unfreeze()


class _Cycle:
    alive = 0

    def __init__(self) -> None:
        self.self = self
        _Cycle.alive += 1

    def __del__(self) -> None:
        _Cycle.alive -= 1


def _most_alive() -> int:
    """The most cycles at a time, of which each lives long enough to become an old object."""
    recent: deque[_Cycle] = deque(maxlen=_LIVE)
    most = 0
    for _ in range(_ROUNDS):
        recent.append(_Cycle())
        most = max(most, _Cycle.alive)
    return most


def test_old_garbage_is_found_soon_although_much_is_held() -> None:
    """Beside 400,000 objects that are held, none of the old garbage was looked for before."""
    held: list[list[int]] = [[] for _ in range(400_000)]
    gc.collect()
    creeping = _most_alive()
    heap.freeze()
    assert _Cycle.alive == 0
    assert _most_alive() < creeping / 2
    assert len(held) == 400_000


def test_what_was_frozen_and_is_no_longer_needed_goes_with_the_next_freeze() -> None:
    """A consumer that was replaced is not kept for ever."""
    cycle = _Cycle()
    heap.freeze()
    del cycle
    gc.collect()
    assert _Cycle.alive == 1
    heap.freeze()
    assert _Cycle.alive == 0


_MUCH_COMES_AND_GOES = """
import psutil
from health import heap
blocks, held = [], []
for number in range(2_000):
    blocks.append(bytes([number % 256]) * 60_000)
    held.append(bytes([number % 256]) * 1_000)
del blocks
before = psutil.Process().memory_info().rss
trimmed = heap.trim()
print(trimmed, before - psutil.Process().memory_info().rss, len(held))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators need no such call")
def test_what_was_freed_below_something_held_is_given_back() -> None:
    """Small things that are held lie between the blocks, as in a worker that is behind.

    In a process of its own: in one that has run other tests, they lie in the gaps of those.
    """
    told = subprocess.check_output([sys.executable, "-c", _MUCH_COMES_AND_GOES], text=True)
    trimmed, freed, held = told.split()
    assert trimmed == "True"
    assert int(freed) > 60_000_000
    assert int(held) == 2_000
