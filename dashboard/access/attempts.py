"""How often a password may be tried: guessing costs time, also with many connections."""

from __future__ import annotations

from collections import deque

from contracts.clock import Clock

MOST_FAILURES = 10
WITHIN_S = 300.0
_MOST_SOURCES = 10_000


class Attempts:
    """Failed logins of the last minutes, by source (an address, or a user's name)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}

    def is_blocked(self, *sources: str) -> bool:
        """Whether one of these has failed too often lately."""
        return any(len(self._recent(source)) >= MOST_FAILURES for source in sources)

    def failed(self, *sources: str) -> None:
        """Note one failure of each."""
        for source in sources:
            self._recent(source).append(self._clock.monotonic_s())

    def _recent(self, source: str) -> deque[float]:
        if source not in self._failures and len(self._failures) >= _MOST_SOURCES:
            self._failures.pop(next(iter(self._failures)))
        times = self._failures.setdefault(source, deque(maxlen=MOST_FAILURES))
        while times and times[0] < self._clock.monotonic_s() - WITHIN_S:
            times.popleft()
        return times
