"""Traffic of two releases whose shares somebody sets while it flows, faster than the clock."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka import KafkaProducer

from contracts.records import Record, RecordKind
from contracts.settings import KafkaSettings
from tests.support.telemetry import EVENTS_TOPIC, batch_message, events

BASELINE, CANARY = "1.4.2", "1.5.0"
ErrorRate = Callable[[str, float], float]
"""Of a release, while the canary has this share of the traffic."""
_MOST_AHEAD_MS = 9 * 60_000
"""Event time that runs ahead of the clock by ten minutes is refused: before that it goes slowly."""
_TURN_S = 0.1
"""In which a second of event time passes."""


class DrivenTraffic(threading.Thread):
    """Requests of one service, a second of event time in a tenth of a second.

    Args:
        kafka: where they go.
        service: a name of its own.
        error_rate: see there.
        per_second: of both releases together.
    """

    def __init__(
        self, kafka: KafkaSettings, service: str, error_rate: ErrorRate, per_second: int = 400
    ) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.canary = CANARY
        self.share = 0.0
        """The canary's, 0 to 1; set by whoever deploys."""
        self._error_rate = error_rate
        self._per_second = per_second
        self._producer = KafkaProducer(**kafka.client_options(), linger_ms=0)
        self._stopping = threading.Event()
        self._chosen = random.Random(service[:8])
        self._second_ms = time.time_ns() // 1_000_000
        self._seq = 0

    def run(self) -> None:
        """Thread body: flows until ``stop``."""
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + _TURN_S, time.monotonic())
            if self._second_ms < time.time_ns() // 1_000_000 + _MOST_AHEAD_MS:
                self._send_second()

    def stop(self) -> None:
        """Let what was sent arrive."""
        self._stopping.set()
        self.join()
        self._producer.close(timeout=5)

    def _send_second(self) -> None:
        share = self.share
        canary = round(self._per_second * share)
        for release, count in ((BASELINE, self._per_second - canary), (self.canary, canary)):
            if count:
                made: list[Record] = list(
                    events(
                        5,
                        self.service,
                        release,
                        second_ms=self._second_ms,
                        count=count,
                        error_rate=self._error_rate(release, share),
                    )
                )
                agent = f"{self.service}-{release}"
                key, value, headers = batch_message(RecordKind.EVENTS, agent, self._seq, made)
                self._producer.send(EVENTS_TOPIC, value, key=key.encode(), headers=headers)
        self._seq += 1
        self._second_ms += 1000


@contextmanager
def flowing(traffic: DrivenTraffic) -> Iterator[DrivenTraffic]:
    """Traffic as long as the context lasts."""
    traffic.start()
    try:
        yield traffic
    finally:
        traffic.stop()
