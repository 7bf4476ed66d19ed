"""How far a consumer is behind, in messages and in seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from streams.messages import Message

Partition = tuple[str, int]


class Lag:
    """Knows what was handled, and sets two gauges by topic.

    The age of the oldest message that waits is not known without reading it. Two bounds are: it
    came after the last one that was handled, and after the last moment at which none waited. The
    smaller one is what is shown; until one of them is known, the time since the first look.

    Args:
        registry: gets the two gauges.
        worst: shows the seconds of the topic that is furthest behind.
    """

    def __init__(self, registry: CollectorRegistry, worst: Gauge | None = None) -> None:
        self._worst = worst
        self._messages = Gauge(
            "coalmine_streams_lag_messages",
            "Messages that wait to be handled, by topic.",
            ["topic"],
            registry=registry,
        )
        self._seconds = Gauge(
            "coalmine_streams_lag_seconds",
            "Age of the oldest message that waits, at most, by topic; 0 where none waits.",
            ["topic"],
            registry=registry,
        )
        self._handled: dict[Partition, tuple[int, int]] = {}
        self._clear_at: dict[Partition, int] = {}

    def handled(self, message: Message) -> None:
        """Everything up to this message is done with, in its partition."""
        place = (message.topic, message.partition)
        self._handled[place] = (message.offset + 1, message.timestamp)

    def measure(
        self, ends: Mapping[Partition, int], starts: Mapping[Partition, int], now: int
    ) -> None:
        """Set the gauges.

        Args:
            ends: of each partition that is ours, the offset after its last message.
            starts: the offset to begin at, where nothing was handled yet.
            now: epoch milliseconds.
        """
        self._forget(ends)
        waiting: dict[str, int] = defaultdict(int)
        behind_ms: dict[str, int] = defaultdict(int)
        for place, end in ends.items():
            topic = place[0]
            count = end - self._next_offset(place, starts)
            waiting[topic] += max(0, count)
            behind_ms[topic] = max(behind_ms[topic], self._behind_ms(place, count, now))
        for topic, count in waiting.items():
            self._messages.labels(topic).set(count)
            self._seconds.labels(topic).set(behind_ms[topic] / 1000)
        if self._worst is not None:
            self._worst.set(max(behind_ms.values(), default=0) / 1000)

    def _next_offset(self, place: Partition, starts: Mapping[Partition, int]) -> int:
        return self._handled[place][0] if place in self._handled else starts.get(place, 0)

    def _behind_ms(self, place: Partition, count: int, now: int) -> int:
        if count <= 0:
            self._clear_at[place] = now
            return 0
        since = self._clear_at.setdefault(place, now)
        handled = self._handled.get(place)
        return max(0, now - max(since, handled[1] if handled else since))

    def _forget(self, ends: Mapping[Partition, int]) -> None:
        """What went to another process is its business; what comes back begins anew."""
        for known in (self._handled, self._clear_at):
            for place in known.keys() - ends.keys():
                del known[place]
