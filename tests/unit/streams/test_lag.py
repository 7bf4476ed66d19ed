"""How far behind a consumer says it is."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge

from contracts.results import Cell, Partial
from streams.judge.counting import late_records
from streams.judge.service_state import ServiceState
from streams.lag import Lag
from streams.messages import Message

T0 = 1_000_000


class Shown:
    """A lag and what its gauges show."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        worst = Gauge("worst_seconds", "Worst.", registry=self.registry)
        self.lag = Lag(self.registry, worst)

    def handle(self, offset: int, timestamp: int, partition: int = 0) -> None:
        """A message is done with."""
        self.lag.handled(Message("events", partition, offset, timestamp, {}, b""))

    def look(
        self, ends: list[int], now: int, starts: tuple[int, ...] = (0, 0)
    ) -> tuple[float, float]:
        """Messages and seconds behind, of one topic with so many partitions."""
        places = [("events", number) for number in range(len(ends))]
        pairs = dict(zip(places, starts, strict=False))
        self.lag.measure(dict(zip(places, ends, strict=True)), pairs, now)
        labels = {"topic": "events"}
        seconds = self.registry.get_sample_value("coalmine_streams_lag_seconds", labels)
        assert self.registry.get_sample_value("worst_seconds") == seconds
        messages = self.registry.get_sample_value("coalmine_streams_lag_messages", labels)
        assert messages is not None
        assert seconds is not None
        return messages, seconds


@pytest.fixture
def shown() -> Shown:
    """A new one."""
    return Shown()


def test_a_message_after_a_quiet_hour_is_not_an_hour_old(shown: Shown) -> None:
    """What was handled last may be long ago: the wait began when nothing waited any more."""
    shown.handle(4, T0)
    assert shown.look([5], T0 + 3_600_000) == (0, 0)
    assert shown.look([6], T0 + 3_601_000) == (1, 1.0)


def test_a_backlog_is_as_old_as_what_comes_out_of_it(shown: Shown) -> None:
    """While a backlog is worked off, its age is that of the newest message handled."""
    assert shown.look([1000], T0 + 600_000) == (1000, 0)
    assert shown.look([1000], T0 + 610_000) == (1000, 10.0)
    shown.handle(499, T0 + 602_000)
    assert shown.look([1000], T0 + 611_000) == (500, 9.0)
    shown.handle(999, T0 + 610_000)
    assert shown.look([1000], T0 + 612_000) == (0, 0)


def test_before_anything_is_handled_the_committed_offset_counts(shown: Shown) -> None:
    """A restart does not count what was committed before it."""
    assert shown.look([10, 20], T0, starts=(10, 18)) == (2, 0)


def test_the_slowest_partition_tells_the_age(shown: Shown) -> None:
    """Messages add up over partitions, ages do not."""
    shown.look([0, 0], T0)
    shown.handle(0, T0 + 1000, partition=0)
    assert shown.look([2, 3], T0 + 5000) == (4, 5.0)


def test_a_partition_that_went_elsewhere_is_forgotten(shown: Shown) -> None:
    """When it comes back, what was handled before is no measure."""
    shown.handle(7, T0, partition=1)
    shown.look([1, 8], T0)
    shown.look([1], T0 + 1000)
    assert shown.look([0, 9], T0 + 2000, starts=(0, 9)) == (0, 0)


def test_late_records_are_counted_once_each() -> None:
    """Details of a record (bad, bytes, status, ids) are not further records."""
    state = ServiceState(service="shop", judged_to=T0)
    counts = {
        "request": 5, "request.bad": 2, "request.bytes": 900, "request.status.500": 2,
        "request@session": 4, "cart.add": 3, "cart.add.bad": 1, "log": 7, "log.error": 1,
    }  # fmt: skip
    cells = [
        Cell(tick=tick, release="1", last=tick, counts=counts)
        for tick in (T0 - 1000, T0, T0 + 1000)
    ]
    assert late_records(state, Partial(service="shop", sent_at=T0, cells=cells)) == 15
