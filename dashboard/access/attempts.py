"""How often a password may be tried: guessing costs time, also with many connections."""

from __future__ import annotations

from collections import deque

from contracts.clock import Clock

MOST_OF_AN_ADDRESS = 10
MOST_OF_A_USER = 100
"""More than of an address: whoever guesses must not shut the user out so easily."""
WITHIN_S = 300.0
_MOST_SOURCES = 10_000


class Attempts:
    """Failed logins of the last minutes, by source (an address, or a user's name).

    Args:
        clock: time.
        most: failures of one source that block it.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._failures: dict[str, deque[float]] = {}

    def is_blocked(self, source: str) -> bool:
        """Whether it has failed too often lately."""
        return len(self._recent(source)) >= self._most

    def failed(self, source: str) -> None:
        """Note one failure."""
        self._recent(source).append(self._clock.monotonic_s())

    def _recent(self, source: str) -> deque[float]:
        if source not in self._failures and len(self._failures) >= _MOST_SOURCES:
            self._failures.pop(next(iter(self._failures)))
        times = self._failures.setdefault(source, deque(maxlen=self._most))
        while times and times[0] < self._clock.monotonic_s() - WITHIN_S:
            times.popleft()
        return times
