"""Sees a consumer that stands still while there is something to read.

A consumer can be a member of its group, without an error, and still read nothing. A rollback that
waits in such a consumer is the one failure that nobody would notice.
"""

from __future__ import annotations

from collections.abc import Mapping

from alerting.offsets import Partition


class StallWatch:
    """Compares how far a consumer is with how far it could be.

    Args:
        patience_s: how long it may stand still before it counts as stalled.

    >>> watch = StallWatch(patience_s=2)
    >>> [watch.is_stalled({("t", 0): 5}, {("t", 0): 6}, now_s=s) for s in (0, 1, 2)]
    [False, False, True]
    >>> watch.is_stalled({("t", 0): 6}, {("t", 0): 6}, now_s=9)
    False
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._behind: dict[Partition, int | None] = {}
        self._since_s = 0.0

    def is_stalled(
        self,
        positions: Mapping[Partition, int | None],
        ends: Mapping[Partition, int],
        now_s: float,
    ) -> bool:
        """Whether the same partitions have stood at the same offsets, behind, for too long.

        Args:
            positions: next offset to read; None where the consumer does not know it yet.
            ends: offset after the last message.
            now_s: monotonic seconds.
        """
        behind = {
            partition: position
            for partition, position in positions.items()
            if position is None or position < ends.get(partition, 0)
        }
        stuck = behind.items() & self._behind.items()
        self._behind = behind
        if not stuck:
            self._since_s = now_s
        return bool(stuck) and now_s - self._since_s >= self._patience_s
