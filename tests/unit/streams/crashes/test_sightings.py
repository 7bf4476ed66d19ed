"""Crashes of one message become few sightings, the same ones however often they are read."""

from __future__ import annotations

import time

import msgspec
import numpy as np
import pyarrow as pa

from contracts import arrow
from contracts.records import Crash, Frame, RecordKind
from contracts.results import CrashGroupSighting
from streams.crashes.group import group_of
from streams.crashes.sightings import SAMPLE_STACKTRACE_BYTES, groups_of_batch, sightings

TRACE = 'Traceback (most recent call last):\n  File "cart.py", line 8, in total\nKeyError: 1\n'


def crash(at: int, release: str = "1.5.0", trace: str = TRACE, service: str = "checkout") -> Crash:
    """One crash of a release."""
    return Crash(time=at, service=service, release=release, stacktrace=trace)


def of(crashes: list[Crash], offset: int = 7) -> list[CrashGroupSighting]:
    """Sightings as of one message at ``offset``."""
    columns = batch(crashes)
    origins = (np.zeros(len(crashes), np.int64), [f"coalmine.crashes/2/{offset}"])
    return sightings(columns, groups_of_batch(columns), origins)


def batch(crashes: list[Crash]) -> pa.RecordBatch:
    """Crashes as they come from the wire."""
    columns = arrow.batch_from_records(RecordKind.CRASHES, crashes)
    return arrow.decode(RecordKind.CRASHES, arrow.encode(columns))


def test_each_row_has_the_group_that_its_crash_has_alone() -> None:
    """Whatever stands around it, and whether frames, text or nothing at all tells it."""
    calls = [Frame(module="m", function=f"f{n}", in_app=n > 0 or None) for n in range(3)]
    crashes = [
        crash(1),
        Crash(time=1, service="s", release="1", exception_type="E", exception_message="at 7"),
        crash(2),
        Crash(time=1, service="s", release="1", frames=calls),
        Crash(time=1, service="s", release="1", frames=calls[:2]),
        Crash(time=1, service="s", release="1", exception_type="E", exception_message="at 8"),
        Crash(time=1, service="s", release="1"),
        Crash(time=1, service="t", release="2", frames=calls),
    ]
    of_row, groups = groups_of_batch(batch(crashes))
    assert [groups[n].fingerprint for n in of_row] == [group_of(c).fingerprint for c in crashes]
    assert of_row.tolist() == [0, 1, 0, 2, 3, 1, 4, 2]


def test_no_crash_has_no_group() -> None:
    """An empty batch is no special case for its readers."""
    of_row, groups = groups_of_batch(batch([]))
    assert (len(of_row), groups, of([])) == (0, [], [])


def test_arms_of_a_feature_flag_are_counted_apart() -> None:
    """Also where an arm's name could be taken for the end of a release's."""
    found = of(
        [
            msgspec.structs.replace(crash(n, release), arm=arm)
            for n, (release, arm) in enumerate(
                [("1", "a/b"), ("1", ""), ("1", "a/b"), ("b/1", "a")]
            )
        ]
    )
    assert [(s.release, s.arm, s.count) for s in found] == [
        ("1", "a/b", 2),
        ("1", "", 1),
        ("b/1", "a", 1),
    ]
    assert len({s.id for s in found}) == 3


def test_users_are_distinct_and_the_same_in_every_message() -> None:
    """A hash of each, so that sightings of two messages do not count one user twice."""
    users = ["ann", "bob", None, "ann"]
    (one,) = of([msgspec.structs.replace(crash(n), user=user) for n, user in enumerate(users)])
    (other,) = of([msgspec.structs.replace(crash(9), user="bob")], offset=8)
    assert len(one.users) == 2
    assert set(other.users) < set(one.users)
    assert of([crash(1)])[0].users == []


def test_samples_are_limited_to_one_of_a_service_group_and_release() -> None:
    """A burst that fills many messages does not fill the disk."""
    columns = batch([crash(n) for n in range(6)] + [crash(9, "1.4.2")])
    origins = (np.array([0, 0, 1, 1, 2, 2, 2]), ["t/0/1", "t/0/2", "t/0/3"])
    found = sightings(columns, groups_of_batch(columns), origins)
    assert [(s.release, s.count, s.is_sampled) for s in found] == [
        ("1.5.0", 2, True),
        ("1.5.0", 2, False),
        ("1.5.0", 2, False),
        ("1.4.2", 1, True),
    ]
    assert all(bool(s.sample) == s.is_sampled for s in found)


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
    assert found.calls == ["cart.total"]
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
    several, single = batch(burst), batch(others)
    began = time.process_time()
    groups_of_batch(several)
    done = time.process_time()
    groups_of_batch(single)
    each, each_other = (done - began) / len(burst), (time.process_time() - done) / len(others)
    assert of(burst)[0].count == len(burst)
    assert each < each_other / 20, f"{each:.2e} s and {each_other:.2e} s"
