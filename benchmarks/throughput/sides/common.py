"""What every side of the benchmark shares: its task, its results, its stopwatch.

Runs in both virtual environments, so it imports nothing but the standard library and msgspec.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import time
from typing import NamedTuple

import msgspec

WINDOW_MS = 10_000
LOG_WIDTH = math.log1p(0.02)
"""Width of a bin of the histogram: bin ``i`` covers ``[1.02**i, 1.02**(i+1))``."""

Key = tuple[str, str, int]
"""Service, release, start of the window in epoch milliseconds."""


class Event(msgspec.Struct, gc=False, frozen=True, rename={
    "service": "service.name",
    "release": "service.version",
    "status": "http.response.status_code",
}):  # fmt: skip
    """What the work needs of a JSON event; its other fields are skipped."""

    time: int
    service: str
    release: str
    status: int
    duration_ms: float


class Counts(msgspec.Struct):
    """What is asked of every side for each key; ``histogram`` maps a bin to its count."""

    exposures: int = 0
    errors: int = 0
    histogram: dict[int, int] = {}


class Result(Counts, kw_only=True):
    """One message of a results topic; a later one of the same key replaces an earlier one."""

    service: str
    release: str
    window: int

    @classmethod
    def of(cls, key: Key, counts: Counts) -> Result:
        """The counts with their key."""
        service, release, window = key
        return cls(
            service=service, release=release, window=window, **msgspec.structs.asdict(counts)
        )

    @property
    def key(self) -> Key:
        """Service, release, window."""
        return self.service, self.release, self.window


LENGTH = struct.Struct(">I")
"""Before each ``Loaded`` on the loader's stdin: its number of bytes."""


class Loaded(msgspec.Struct, array_like=True, gc=False):
    """A message that the loader writes; ``time`` becomes its timestamp."""

    key: str
    time: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


WARM_UP = "COALMINE_BENCH_WARM_UP"
"""Set where a side shall warm up until it is told to go: a profiler that attaches stops it."""
READY = "ready\n"


class Task(NamedTuple):
    """What a side is told: read ``messages`` messages of ``topic``, write to ``results``."""

    kafka: str
    topic: str
    results: str
    group: str
    messages: int
    variant: str
    state: str


def task_from_arguments() -> Task:
    """The seven arguments that the runner gives to every side, in the order of ``Task``."""
    arguments = argparse.ArgumentParser()
    for name, type_ in Task.__annotations__.items():
        arguments.add_argument(name, type=int if "int" in str(type_) else str)
    return Task(**vars(arguments.parse_args()))


class Stopwatch:
    """Tells the runner when the first message is in hand, when half are done, and the end."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        """Messages that have not been worked on."""
        self._half = messages - messages // 2
        self._has_begun = self._is_beyond_half = False

    def begin(self) -> None:
        """Call with the first message in hand; harmless to call again."""
        if not self._has_begun:
            self._has_begun = True
            self._tell("first")

    def did(self, count: int = 1) -> None:
        """Call with the number of messages that were worked on."""
        self.left -= count
        if self.left <= self._half and not self._is_beyond_half:
            self._is_beyond_half = True
            self._tell("half")

    def done(self) -> None:
        """Call when Kafka has every result."""
        self._tell("done")

    def _tell(self, what: str) -> None:
        sys.stdout.write(f"{what} {time.time_ns()} {time.process_time_ns()} {self.left}\n")
        sys.stdout.flush()
