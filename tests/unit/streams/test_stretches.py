"""Distinct units of releases over stretches of time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from contracts.results import UNITS_PART, Cell, Partial, Source, Window
from streams.judge.stretches import LG_K
from streams.windows import ids, units
from tests.support.judge import Judge

START = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class Phones:
    """Sessions of one release, told partial by partial to a judge."""

    def __init__(self) -> None:
        self.judge = Judge()
        self._offset = 0

    def report(self, at_ms: int, sessions: range, release: str = "1.4.2", crashed: int = 0) -> None:
        """These sessions each made a request in the second ``at_ms`` after the start."""
        self._offset += 1
        tick = START + at_ms
        known = np.array(sessions, dtype=np.uint64)
        sketches = {
            "request@session": units.sketch(ids.mixed(known)),
            "request.bad@session": units.sketch(ids.mixed(known[:1])),
            "other@session": units.sketch(ids.mixed(known)),
            "crash/0f3a@session": units.sketch(ids.mixed(known[:1])),
            "crash@session": units.sketch(ids.mixed(known[:crashed])),
        }
        cell = Cell(
            tick=tick,
            release=release,
            agent="a",
            last=tick + 900,
            counts={"request": len(sessions), "request@session": len(sessions)},
            units={name: sketch for name, sketch in sketches.items() if sketch},
        )
        source = Source(topic="coalmine.events", partition=0, offset=self._offset)
        self.judge.hear(Partial(service="checkout", source=source, sent_at=tick, cells=[cell]))

    def fall_silent(self) -> None:
        """A heartbeat: everything is written."""
        self.judge.hear(Partial(service="checkout", sent_at=START + 100 * HOUR_MS))

    def written(self, release: str = "1.4.2") -> list[Window]:
        """The last copy of each part with units."""
        last = {
            (window.time, window.part): window
            for window in self.judge.outputs
            if isinstance(window, Window)
            and window.release == release
            and window.part.startswith(UNITS_PART)
        }
        return list(last.values())

    def distinct(self, name: str = "request@session", release: str = "1.4.2") -> float:
        """Units of a release over all that was written."""
        found = [w.units[name] for w in self.written(release) if name in w.units]
        return units.count(units.union_of(found))


def test_a_session_over_many_windows_is_one() -> None:
    """Three hundred sessions, a hundred of them new in each of twenty stretches' thirds."""
    phones = Phones()
    for second in range(0, 3 * 600, 30):
        first = 100 * (second // 600)
        phones.report(second * 1000, range(first, first + 100), crashed=3)
    phones.fall_silent()
    assert phones.distinct() == 300
    assert phones.distinct("crash@session") == 9
    assert len(phones.written()) == 3


def test_only_what_the_policy_counts_is_kept() -> None:
    """Neither bad outcomes, nor single crash groups, nor events no metric is about."""
    phones = Phones()
    phones.report(0, range(10), crashed=1)
    phones.fall_silent()
    (window,) = phones.written()
    assert window.units.keys() == {"request@session", "crash@session"}
    assert (window.counts, window.histograms) == ({}, {})


def test_a_record_that_comes_after_its_stretch_is_over_counts_once() -> None:
    """As a part of its own; the union is what it would have been."""
    phones = Phones()
    phones.report(0, range(100))
    phones.report(30 * MINUTE_MS, range(100))
    phones.report(1 * MINUTE_MS, range(50, 150))
    phones.fall_silent()
    assert phones.distinct() == 150
    assert len(phones.written()) == 3


def test_what_grows_is_written_on_the_way() -> None:
    """Whoever looks at the last hour sees all of it but half a minute."""
    phones = Phones()
    for second in range(40):
        phones.report(second * 1000, range(second * 10, second * 10 + 10))
    assert phones.distinct() >= 300


@pytest.mark.parametrize(
    ("age_ms", "length_ms"), [(HOUR_MS, 10 * MINUTE_MS), (30 * HOUR_MS, HOUR_MS)]
)
def test_stretches_are_counted_from_the_release_s_beginning(age_ms: int, length_ms: int) -> None:
    """So that releases can be compared at the same age, to ten minutes on the first day."""
    phones = Phones()
    phones.report(0, range(1))
    phones.report(17 * MINUTE_MS, range(1), release="1.5.0")
    begun = 17 * MINUTE_MS + age_ms
    for at_ms in (begun, begun + length_ms - 10_000, begun + length_ms):
        phones.report(at_ms, range(1), release="1.5.0")
    phones.fall_silent()
    times = sorted(window.time - START for window in phones.written("1.5.0"))
    assert times[1:] == [begun, begun + length_ms]


def test_a_sketch_is_bounded_in_bytes() -> None:
    """Of a hundred thousand sessions 512 are held; many such stretches together are closer."""
    phones = Phones()
    for minute in range(0, 100, 10):
        for part in range(10):
            first = minute * 10_000 + part * 10_000
            at_ms = (minute * 60 + part) * 1000
            phones.report(at_ms, range(first, first + 10_000))
    phones.fall_silent()
    sketches = [window.units["request@session"] for window in phones.written()]
    assert len(sketches) == 10
    assert max(map(len, sketches)) <= 8 * (2**LG_K + 3)
    one, all_of_them = units.count(sketches[0]), phones.distinct()
    print(f"of 100,000: {one:.0f}; of 1,000,000: {all_of_them:.0f}")
    assert abs(one / 100_000 - 1) < 0.2
    assert abs(all_of_them / 1_000_000 - 1) < 0.08


def test_units_survive_the_way_to_the_store() -> None:
    """As base64 in the document, and back."""
    phones = Phones()
    phones.report(0, range(10))
    phones.fall_silent()
    (window,) = phones.written()
    again = msgspec.convert(msgspec.to_builtins(window), Window)
    assert again == window
    assert units.count(again.units["request@session"]) == 10
