"""What can happen between a broker and the processes that reach it through its proxy."""

from __future__ import annotations

import time

from tests.support.proxied_kafka import ProxiedKafka

KILLED_S, PAUSED_S, TROUBLED_S = 40.0, 60.0, 20.0

FAULTS: dict[str, float] = {
    "killed": KILLED_S,
    "paused": PAUSED_S,
    "slow": TROUBLED_S,
    "cut": TROUBLED_S,
    "flapping": TROUBLED_S,
}
"""Each fault and its seconds in the full form."""


class KafkaFaults:
    """Each lasts ``seconds`` and is over at its end."""

    def __init__(self, broker: ProxiedKafka) -> None:
        self.broker = broker

    def none(self, seconds: float) -> None:
        """Nothing, to compare with."""
        time.sleep(seconds)

    def killed(self, seconds: float) -> None:
        """SIGKILL of the broker, and a start on the same data."""
        self.broker.kill()
        time.sleep(seconds)
        self.broker.start()

    def paused(self, seconds: float) -> None:
        """Connections stand and nothing moves."""
        self.broker.proxy.pause()
        time.sleep(seconds)
        self.broker.proxy.resume()

    def slow(self, seconds: float) -> None:
        """Half a second each way, 20 KB/s."""
        self.broker.proxy.delay_s, self.broker.proxy.bytes_per_s = 0.5, 20_000
        time.sleep(seconds)
        self.broker.proxy.delay_s, self.broker.proxy.bytes_per_s = 0.0, 0

    def cut(self, seconds: float) -> None:
        """Every connection reset, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.broker.proxy.cut()
            time.sleep(0.7)

    def flapping(self, seconds: float) -> None:
        """Gone and back every three seconds."""
        with self.broker.proxy.flapping(3.0):
            time.sleep(seconds)
