"""Time, injected: code asks a clock, tests turn one by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: wall time for people and records, monotonic time for waiting."""

    def now_ms(self) -> int:
        """Wall time, epoch milliseconds, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """See ``Clock``."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """See ``Clock``."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to, for tests.

    >>> clock = ManualClock(now_ms=1_000)
    >>> clock.advance(2.5)
    >>> clock.now_ms(), clock.monotonic_s()
    (3500, 2.5)
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        """See ``Clock``."""
        return self._now_ms

    def monotonic_s(self) -> float:
        """See ``Clock``."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both readings."""
        self._now_ms += round(seconds * 1000)
        self._monotonic_s += seconds
