"""What every side of the benchmark shares: its task, its results, its stopwatch.

Runs in both virtual environments, so it imports nothing but the standard library and msgspec.
"""

from __future__ import annotations

import argparse
import math
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
    """Tells the runner how far a side is: after the first twentieth, after half, at the end.

    Time counts from the first of them, so that joining a group and fetching ahead do not.
    """

    def __init__(self, messages: int) -> None:
        self.left = messages
        """Messages that have not been worked on."""
        self._told = [(messages - messages // 2, "half"), (messages - messages // 20, "first")]

    def did(self, count: int = 1) -> None:
        """Call with the number of messages that were worked on."""
        self.left -= count
        while self._told and self.left <= self._told[-1][0]:
            self._tell(self._told.pop()[1])

    def done(self) -> None:
        """Call when Kafka has every result."""
        self._tell("done")

    def _tell(self, what: str) -> None:
        sys.stdout.write(f"{what} {time.time_ns()} {time.process_time_ns()} {self.left}\n")
        sys.stdout.flush()
