"""Partitions that are read in step: where many messages wait, none gets far ahead of another. Pure.

A worker that has been away finds hours of messages, and reads a partition as far as it may before
it turns to the next. The judge would take what is far ahead for the present, and all that comes
after it for late: with four partitions, three quarters of the evidence. So of what was fetched only
that is given out which arrived little after the oldest that waits, and the rest is kept in hand.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from streams.runs import Run, joined

STEP_MS = 10_000
"""So much later than the oldest may what is given out have arrived. Less at a time costs more a
message; and a batch of the stream agents may hold two steps, of which the judge takes four for
evidence: its lateness, and half a minute in which what is late joins the next look."""
PATIENCE_S = 2.0
"""So long is a partition waited for of which nothing comes although there is something."""

_Place = TypeVar("_Place", bound=Hashable)


class InStep(Generic[_Place]):
    """What was fetched and is not given out yet."""

    def __init__(self) -> None:
        self._in_hand: dict[_Place, Run] = {}
        self._times: dict[_Place, int] = {}
        """When the last message that was given out arrived."""
        self._missed_since: dict[_Place, float] = {}

    def clear(self) -> None:
        """Forget everything: it comes again."""
        self._in_hand.clear()
        self._times.clear()
        self._missed_since.clear()

    def drop(self, place: _Place) -> None:
        """Forget what is in hand of a partition: it comes again."""
        self._in_hand.pop(place, None)

    @property
    def in_hand(self) -> Collection[_Place]:
        """The partitions of which something is kept: no more of them need be fetched."""
        return self._in_hand.keys()

    def take(
        self,
        fetched: Mapping[_Place, Run],
        ready: Collection[_Place],
        waiting: Collection[_Place],
        *,
        now_ms: int,
        now_s: float,
    ) -> dict[_Place, Run]:
        """What may be given out now, the oldest first.

        Args:
            fetched: further messages of each partition, in order.
            ready: partitions of which something may be given out.
            waiting: partitions with messages that were not fetched yet.
            now_ms: epoch milliseconds. A message that says it arrived later arrived now, and none
                arrived before the one in front of it: clocks of senders may be wrong.
            now_s: a monotonic clock.
        """
        for place, run in fetched.items():
            before = self._in_hand.get(place)
            self._in_hand[place] = joined([before, run]) if before else run
        arrivals = {place: self._arrivals(place, now_ms) for place in self._in_hand}
        heads = [int(times[0]) for times in arrivals.values()]
        missed = [self._times.get(place, 0) for place in self._missed(waiting, now_s)]
        end_ms = min([*heads, *missed], default=now_ms) + STEP_MS
        given = {}
        for place in sorted(arrivals.keys() & ready, key=lambda place: int(arrivals[place][0])):
            run, times = self._in_hand.pop(place), arrivals[place]
            end = int(np.searchsorted(times, end_ms, "right"))
            if end < len(run):
                self._in_hand[place] = run[end:]
            if end:
                given[place] = run[:end]
                self._times[place] = int(times[end - 1])
        return given

    def _arrivals(self, place: _Place, now_ms: int) -> npt.NDArray[np.int64]:
        """When the messages in hand of a partition arrived, as far as that can be: ascending."""
        told = np.minimum(np.asarray(self._in_hand[place].timestamps, np.int64), now_ms)
        return np.maximum.accumulate(np.maximum(told, self._times.get(place, 0)))

    def _missed(self, waiting: Collection[_Place], now_s: float) -> list[_Place]:
        """The partitions of which something must be seen before others go on."""
        missed = [place for place in waiting if place not in self._in_hand]
        since = self._missed_since
        self._missed_since = {place: since.get(place, now_s) for place in missed}
        return [p for p in missed if now_s - self._missed_since[p] < PATIENCE_S]
