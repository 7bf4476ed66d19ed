"""When a stage has set aside so much that it must stop: what it reads is not to blame for it all.

A bad record is set aside and the rest goes on. When nearly nothing is good any more, the stage
itself is likely wrong (an old worker that meets a new format): going on would move everything into
the dead letters.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import repeat

from contracts.errors import TooManyDeadLetters


@dataclass(frozen=True)
class DeadLetterLimit:
    """How much a stage may set aside; 0 switches a limit off.

    The defaults let a sender of garbage have 10,000 dead letters before it stops anybody else.
    """

    share: float = 0.5
    """Largest share of the last ``of_last`` records that may be dead letters, 0 to 1."""
    of_last: int = 20_000
    consecutive: int = 10_000
    """Dead letters in a row that stop the stage."""


class DeadLetterCount:
    """Counts good and bad records of one stage.

    >>> count = DeadLetterCount("streams.aggregate", DeadLetterLimit(consecutive=2))
    >>> count.bad("not json"); count.good(); count.bad("not json")
    >>> count.bad("not json")
    Traceback (most recent call last):
    contracts.errors.TooManyDeadLetters: streams.aggregate stopped: 2 records in a row became ...
    """

    def __init__(self, stage: str, limit: DeadLetterLimit) -> None:
        self._stage = stage
        self._limit = limit
        self._last: deque[bool] = deque(maxlen=max(1, limit.of_last))
        self._bad_of_last = 0
        self._in_a_row = 0

    def good(self, count: int = 1) -> None:
        """So many records were used."""
        if not count:
            return
        self._in_a_row = 0
        if not self._bad_of_last:
            self._last.extend(repeat(False, count))
            return
        for _ in range(count):
            self._note(is_bad=False)

    def bad(self, reason: str) -> None:
        """One record was set aside.

        Raises:
            TooManyDeadLetters: that was one too many.
        """
        self._note(is_bad=True)
        self._in_a_row += 1
        limit = self._limit
        if limit.consecutive and self._in_a_row >= limit.consecutive:
            raise TooManyDeadLetters(self._stage, f"{self._in_a_row} records in a row", reason)
        is_full = len(self._last) == limit.of_last
        if limit.share and is_full and self._bad_of_last > limit.share * limit.of_last:
            found = f"{self._bad_of_last} of the last {limit.of_last} records"
            raise TooManyDeadLetters(self._stage, found, reason)

    def _note(self, *, is_bad: bool) -> None:
        if len(self._last) == self._last.maxlen:
            self._bad_of_last -= self._last[0]
        self._last.append(is_bad)
        self._bad_of_last += is_bad
