"""Crashes of one message become few sightings, the same ones however often they are read."""

from __future__ import annotations

import time

import msgspec

from contracts.records import Crash
from contracts.results import CrashGroupSighting
from streams.crashes.sightings import SAMPLE_STACKTRACE_BYTES, sightings

TRACE = 'Traceback (most recent call last):\n  File "cart.py", line 8, in total\nKeyError: 1\n'


def crash(at: int, release: str = "1.5.0", trace: str = TRACE, service: str = "checkout") -> Crash:
    """One crash of a release."""
    return Crash(time=at, service=service, release=release, stacktrace=trace)


def of(crashes: list[Crash], offset: int = 7) -> list[CrashGroupSighting]:
    """Sightings as of one message at ``offset``."""
    return sightings(crashes, topic="coalmine.crashes", partition=2, offset=offset)


def test_one_sighting_per_group_and_release() -> None:
    """Counts are summed, and the first and last moments kept, per group and release."""
    found = of([crash(30), crash(10), crash(20, "1.4.2"), crash(40, trace="boom")])
    assert [(s.release, s.count, s.first, s.time) for s in found] == [
        ("1.5.0", 2, 10, 30),
        ("1.4.2", 1, 20, 20),
        ("1.5.0", 1, 40, 40),
    ]
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint


def test_a_message_read_twice_gives_the_same_documents() -> None:
    """Ids are made of the message's place, so that a second reading overwrites and adds nothing."""
    crashes = [crash(1), crash(2, "1.4.2")]
    assert of(crashes) == of(crashes)
    assert {s.id for s in of(crashes)}.isdisjoint({s.id for s in of(crashes, offset=8)})


def test_services_of_one_message_are_kept_apart() -> None:
    """Two services with the same crash are two sightings with two ids."""
    found = of([crash(1), crash(1, service="search")])
    assert len({s.id for s in found}) == 2


def test_the_sample_is_the_first_crash_by_its_json_names() -> None:
    """A sample can be read by whoever reads the crash topic."""
    (found,) = of([crash(30), crash(10)])
    assert found.sample["exception.stacktrace"] == TRACE
    assert msgspec.convert(found.sample, Crash).time == 30


def test_a_huge_trace_is_cut_in_the_middle_of_the_sample_only() -> None:
    """A megabyte of trace gives a sample of at most 16 KiB that keeps both ends."""
    trace = TRACE + "x" * 1_000_000 + "THE END"
    (found,) = of([crash(1, trace=trace)])
    sample = found.sample["exception.stacktrace"]
    assert len(sample.encode()) <= SAMPLE_STACKTRACE_BYTES
    assert sample.startswith(TRACE)
    assert sample.endswith("THE END")


def test_a_burst_costs_about_as_much_as_one() -> None:
    """Of identical crashes each costs far less than each of those that differ."""
    burst = [crash(n) for n in range(50_000)]
    others = [
        crash(n, trace=TRACE.replace("total", f"total_{chr(97 + n % 26)}{chr(97 + n // 26)}"))
        for n in range(500)
    ]
    began = time.process_time()
    (found,) = of(burst)
    done = time.process_time()
    of(others)
    each, each_other = (done - began) / len(burst), (time.process_time() - done) / len(others)
    assert found.count == len(burst)
    assert each < each_other / 3, f"{each:.2e} s and {each_other:.2e} s"
