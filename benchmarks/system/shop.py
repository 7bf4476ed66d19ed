"""Services that write access logs at a given rate, with marked lines whose way is followed.

A program of its own: ``python -m benchmarks.system.shop DIRECTORY --events-per-s 20000 ...``. It
marks lines until it gets SIGTERM, goes on without for some seconds, then prints the times of the
marked lines as JSON. A canary joins each service after some seconds, the marked lines after it.
"""

from __future__ import annotations

import math
import random
import signal
import sys
import threading
import time
from io import BufferedWriter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

BASELINE, CANARY = "1.4.2", "1.5.0"
MARK = "mark"
"""Name of the marked events."""
CANARY_SHARE = 0.2
CANARY_AFTER_S = 8.0
MARKS_AFTER_S = 14.0
_GOES_ON_S = 5.0
"""A line that comes late counts in the next look: there must be one."""
_TURN_S = 0.01
_TAILS = 5_000
_EVENTS_OF_SESSION = 10


class Written(msgspec.Struct):
    """What a shop wrote: lines in all, and by service the times of the canary's marked lines."""

    lines: int
    seconds: float
    marks: dict[str, list[int]]


class Arm:
    """One release of one service, with a log of its own.

    Args:
        directory: of the logs.
        service: its name.
        release: its release.
        per_s: lines a second.
    """

    def __init__(self, directory: Path, service: str, release: str, per_s: float) -> None:
        self.service = service
        self.release = release
        self.per_s = per_s
        self.lines = 0
        # both releases do the same, or the rollout would soon be over
        self._random = random.Random(service)
        self._tails = [self._tail() for _ in range(_TAILS)]
        self._log: BufferedWriter = (directory / f"{service}-{release}.log").open("ab")

    def write(self, count: int, time_ms: int) -> None:
        """So many requests of now."""
        start = self.lines % _TAILS
        tails = self._tails[start : start + count]
        while len(tails) < count:
            tails += self._tails[: count - len(tails)]
        head = b'{"time":%d,"session.id":"%b-' % (time_ms, self.release.encode())
        self._log.write(
            b"".join(
                b'%b%d"%b' % (head, number // _EVENTS_OF_SESSION, tail)
                for number, tail in enumerate(tails, start=self.lines)
            )
        )
        self._log.flush()
        self.lines += count

    def mark(self, time_ms: int) -> None:
        """One marked line."""
        line = b'{"time":%d,"service.name":"%b","service.version":"%b","event.name":"%b"}\n'
        names = (name.encode() for name in (self.service, self.release, MARK))
        self._log.write(line % (time_ms, *names))
        self._log.flush()

    def _tail(self) -> bytes:
        chosen = self._random
        fields = {
            "service.name": self.service,
            "service.version": self.release,
            "host.name": f"host-{chosen.randrange(20):02}.example",
            "http.route": f"/api/v1/resource-{chosen.randrange(30):02}/{{id}}",
            "http.response.status_code": 500 if chosen.random() < 0.01 else 200,
            "duration_ms": round(chosen.lognormvariate(3.5, 0.8), 2),
        }
        return b"," + msgspec.json.encode(fields)[1:] + b"\n"


def write(
    directory: Path, services: int, per_s: float, marks_per_s: float, stopping: threading.Event
) -> Written:
    """Write in short turns until told to stop, and a little longer."""
    names = [f"shop-{number}" for number in range(services)]
    shares = {BASELINE: 1 - CANARY_SHARE, CANARY: CANARY_SHARE}
    arms = {
        (name, release): Arm(directory, name, release, per_s / services * share)
        for name in names
        for release, share in shares.items()
    }
    written = Written(0, 0.0, {name: [] for name in names})
    chosen, began_s = random.Random(1), time.monotonic()
    since_s = {BASELINE: 0.0, CANARY: CANARY_AFTER_S}
    next_mark_s = MARKS_AFTER_S
    end_s = math.inf
    while (now_s := time.monotonic() - began_s) < end_s:
        if stopping.is_set() and math.isinf(end_s):
            end_s = now_s + _GOES_ON_S
        for (_, release), arm in arms.items():
            due = int(max(0.0, now_s - since_s[release]) * arm.per_s) - arm.lines
            if due > 0:
                arm.write(min(due, int(arm.per_s) + 1), _now_ms())
        if now_s >= next_mark_s and math.isinf(end_s):
            for name in names:
                arms[name, BASELINE].mark(_now_ms())
                written.marks[name].append(_now_ms())
                arms[name, CANARY].mark(written.marks[name][-1])
            next_mark_s += chosen.expovariate(marks_per_s)
        time.sleep(_TURN_S)
    written.seconds = time.monotonic() - began_s
    written.lines = sum(arm.lines for arm in arms.values())
    return written


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(
    directory: Path,
    services: Annotated[int, typer.Option(min=1)] = 3,
    events_per_s: Annotated[float, typer.Option(min=1)] = 20_000,
    marks_per_s: Annotated[float, typer.Option(min=0.1)] = 10,
) -> None:
    """Write until some seconds after SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    written = write(directory, services, events_per_s, marks_per_s, stopping)
    sys.stdout.buffer.write(msgspec.json.encode(written) + b"\n")


if __name__ == "__main__":
    typer.run(main)
