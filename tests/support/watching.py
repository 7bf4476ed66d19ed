"""Watching from beside, each in a thread of its own: what an agent's batches do, and its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, NamedTuple, Self

import psutil
import pyarrow.compute as pc
from kafka import KafkaConsumer, TopicPartition

from contracts import arrow
from contracts.records import RecordKind
from contracts.settings import KafkaSettings
from contracts.topics import TELEMETRY
from tests.support.waiting import wait_until

_MIB = 1024 * 1024
_LOOK_S = 0.1


class Arrival(NamedTuple):
    """One batch of the agent, seen in Kafka."""

    at_s: float
    """Monotonic."""
    seq: int
    newest_ms: int
    """The latest time that a line of it carries."""


class _Watch(threading.Thread):
    """Looks again and again, from ``with`` on until its end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()


class Arrivals(_Watch):
    """When the batches of events of one agent are in Kafka.

    Args:
        settings: a way to the broker that no fault touches; it may be killed all the same.
        agent: whose batches.
    """

    def __init__(self, settings: KafkaSettings, agent: str) -> None:
        super().__init__()
        self._settings = settings
        self._agent = agent.encode()
        self.seen: list[Arrival] = []

    def run(self) -> None:
        """Thread body."""
        # checksums in Python would hold up the proxy, which runs in this process
        options = {"fetch_max_wait_ms": 50, "reconnect_backoff_max_ms": 100, "check_crcs": False}
        topic = TELEMETRY[RecordKind.EVENTS].name
        with closing(KafkaConsumer(**self._settings.client_options(), **options)) as consumer:
            parts = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(parts)
            consumer.seek_to_end(*parts)
            while not self._stopping.is_set():
                for messages in consumer.poll(timeout_ms=100).values():
                    self.seen += filter(None, map(self._arrival, messages))

    def _arrival(self, message: Any) -> Arrival | None:
        headers = dict(message.headers)
        if headers.get(arrow.AGENT_HEADER) != self._agent:
            return None
        times = arrow.decode(RecordKind.EVENTS, message.value).column("time")
        newest_ms = int(pc.max(times).cast("int64"))
        return Arrival(time.monotonic(), int(headers[arrow.SEQ_HEADER]), newest_ms)

    def wait_for(self, is_it: Callable[[Arrival], bool], what: str) -> Arrival:
        """The first batch that is the one, once it is there."""
        found = wait_until(lambda: next(filter(is_it, list(self.seen)), None), 90, what)
        assert found is not None
        return found


class Memory(_Watch):
    """Resident memory of a process and its children.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self.peak_mib = self.now_mib()

    def now_mib(self) -> float:
        """At this moment."""
        tree = [self._process, *self._process.children(recursive=True)]
        return sum(process.memory_info().rss for process in tree) / _MIB

    def run(self) -> None:
        """Thread body."""
        while not self._stopping.wait(_LOOK_S):
            with suppress(psutil.NoSuchProcess):
                self.peak_mib = max(self.peak_mib, self.now_mib())

    def begin(self) -> float:
        """Look for a new peak from now on; what it is now."""
        self.peak_mib = now = self.now_mib()
        return now
