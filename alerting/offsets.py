"""Which offsets may be committed: those before which every message is settled."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from alerting.intake import Place

Partition = tuple[str, int]


class OffsetTracker:
    """Counts what each message still waits for. Safe to use from several threads.

    >>> tracker = OffsetTracker()
    >>> tracker.began(Place("t", 0, 5), waits_for=1)
    >>> tracker.began(Place("t", 0, 6), waits_for=0)
    >>> tracker.committable()
    {}
    >>> tracker.settled(Place("t", 0, 5))
    >>> tracker.committable()
    {('t', 0): 7}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Partition, dict[int, int]] = {}

    def began(self, place: Place, *, waits_for: int) -> None:
        """A message was read; ``waits_for`` endpoints have to settle it. Offsets come in order."""
        with self._lock:
            self._waiting.setdefault((place.topic, place.partition), {})[place.offset] = waits_for

    def settled(self, place: Place) -> None:
        """One endpoint is done with it; unknown after its partition went to another process."""
        with self._lock:
            partition = self._waiting.get((place.topic, place.partition), {})
            if place.offset in partition:
                partition[place.offset] -= 1

    def committable(self) -> dict[Partition, int]:
        """Next offset to read after a crash, of each partition where it moved since last asked."""
        with self._lock:
            return {
                partition: offset
                for partition, waiting in self._waiting.items()
                if (offset := _advance(waiting)) is not None
            }

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Another process reads these now."""
        with self._lock:
            for partition in partitions:
                self._waiting.pop(partition, None)

    def partitions(self) -> set[Partition]:
        """Those that anything is known of."""
        with self._lock:
            return set(self._waiting)

    def is_under_way(self, place: Place) -> bool:
        """Whether this message was read before and is not committed yet."""
        with self._lock:
            return place.offset in self._waiting.get((place.topic, place.partition), {})

    def pending(self) -> int:
        """Messages that are not committed yet."""
        with self._lock:
            return sum(len(waiting) for waiting in self._waiting.values())


def _advance(waiting: dict[int, int]) -> int | None:
    upto = None
    while waiting and waiting[first := next(iter(waiting))] <= 0:
        del waiting[first]
        upto = first + 1
    return upto
