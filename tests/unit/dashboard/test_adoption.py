"""Many releases in the wild: figures out of counts and sketches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from dashboard.queries.adoption import crash_free, in_order, report_of
from dashboard.queries.release_records import Bucket, ReleaseReport, Span, Stretch
from streams.windows import ids, units

DAY_MS = 86_400_000
NOW = 1_700_006_400_000
SPAN = Span(NOW - 7 * DAY_MS, NOW, 3600)


def of(numbers: Sequence[int]) -> bytes:
    """A sketch of the users, or sessions, of these numbers."""
    return units.sketch(ids.mixed(np.array(numbers, dtype=np.uint64)))


def stretch(release: str, time: int, users: Sequence[int], crashed: Sequence[int] = ()) -> Stretch:
    """These users each had a session, some of them a crash."""
    sketches: dict[str, bytes] = {}
    for kind, shift in (("user", 0), ("session", 10**9)):
        sketches[f"session@{kind}"] = of([u + shift for u in users])
        if crashed:
            sketches[f"crash@{kind}"] = of([u + shift for u in crashed])
    return Stretch(release, time, sketches)


def bucket(release: str, time: int, sessions: int, crashes: int = 0) -> Bucket:
    """What windows counted."""
    return Bucket(release, time, time + 3_000_000, {"session": sessions, "crash": crashes})


def report(
    first: Mapping[str, int], buckets: Sequence[Bucket], stretches: Sequence[Stretch] = ()
) -> ReleaseReport:
    """Of a week."""
    return report_of("app", first, buckets, stretches, SPAN)


FIRST = {"1.0": NOW - 30 * DAY_MS, "1.9": NOW - 6 * DAY_MS, "1.10": NOW - 2 * DAY_MS}


def upgrading() -> ReleaseReport:
    """A thousand users: twelve never left 1.0, sixty not 1.9; those who moved used both."""
    hour = NOW - 3_600_000
    stretches = [
        stretch("1.0", FIRST["1.9"], range(12)),
        stretch("1.0", SPAN.start_ms, range(500)),
        stretch("1.9", hour, range(12, 800), crashed=range(20, 28)),
        stretch("1.9", FIRST["1.9"], range(100, 300), crashed=[100, 101]),
        stretch("1.10", hour, [*range(72, 1000)], crashed=[99]),
    ]
    buckets = [
        bucket("1.0", hour, 12),
        bucket("1.9", hour, 188, crashes=9),
        bucket("1.10", hour, 800, crashes=2),
        bucket("1.0", SPAN.start_ms, 500),
    ]
    return report(FIRST, buckets, stretches)


def test_who_would_be_left_behind_is_who_used_nothing_newer() -> None:
    """Those who upgraded within the week count for the newer release only; the sum is everybody."""
    found = upgrading()
    assert found.unit == "user"
    assert [(s.release, s.left_behind, s.share) for s in found.support] == [
        ("1.0", 12, 0.012),
        ("1.9", 72, 0.072),
        ("1.10", 1000, 1.0),
    ]


@pytest.mark.parametrize(
    ("leave", "sentence"),
    [
        (
            0.01,
            "Every release still matters: ending support for 1.0, the oldest, would leave 1.2 %",
        ),
        (
            0.05,
            "Ending support for 1.0 and older would leave 1.2 % of the users of the last 7 days",
        ),
        (0.1, "Ending support for 1.9 and older would leave 7.2 %"),
    ],
)
def test_one_sentence_says_what_support_can_end(leave: float, sentence: str) -> None:
    """As many releases as the share that may be left behind allows."""
    week = upgrading()
    hour = NOW - 3_600_000
    stretches = [
        stretch("1.0", hour, range(12)),
        stretch("1.9", hour, range(12, 72)),
        stretch("1.10", hour, range(72, 1000)),
    ]
    buckets = [bucket(r.release, hour, 10) for r in week.releases]
    found = report_of("app", FIRST, buckets, stretches, SPAN, leave)
    assert found.summary.startswith(sentence)


def test_crash_free_counts_a_user_once() -> None:
    """Users with a crash, however many, of the distinct users of all stretches."""
    one = next(r for r in upgrading().releases if r.release == "1.9")
    assert (one.users.total, one.users.crashed) == (788, 10)
    assert one.users.share == pytest.approx(1 - 10 / 788)


def test_crashes_that_nobody_can_be_found_for_make_no_figure() -> None:
    """Unless there are none: then everybody is free of them."""
    some = [stretch("1.0", NOW, range(10))]
    assert crash_free(some, "session", crashes=3).share is None
    assert crash_free(some, "session", crashes=0).share == 1.0
    assert crash_free([], "session", crashes=0).share is None


def test_the_adoption_curve_is_shares_of_each_bucket() -> None:
    """Shares of one bucket add up to one, and the newest is what a release has now."""
    found = upgrading()
    assert {r.release: r.share for r in found.releases} == {"1.0": 0.012, "1.9": 0.188, "1.10": 0.8}
    for time in {point.time for point in found.adoption}:
        assert sum(p.share for p in found.adoption if p.time == time) == pytest.approx(1)


def test_a_release_is_compared_with_its_predecessor_at_the_same_age() -> None:
    """What the older one did when it was older than that is left out."""
    first = {"1.0": NOW - 5 * DAY_MS, "2.0": NOW - 1 * DAY_MS}
    stretches = [
        stretch("1.0", first["1.0"], range(1000), crashed=range(10)),
        stretch("1.0", first["1.0"] + DAY_MS, range(1000, 9000), crashed=range(1000, 2000)),
        stretch("2.0", first["2.0"], range(20_000, 21_000), crashed=range(20_000, 20_050)),
    ]
    buckets = [bucket(name, time, 1) for name, time in first.items()]
    same = report(first, buckets, stretches).releases[1].same_age
    assert same is not None
    assert (same.predecessor, same.age_s, same.other.total) == ("1.0", 86_400, 1000)
    assert same.difference == pytest.approx(-0.04)
    assert same.lower is not None
    assert same.upper is not None
    assert same.lower < -0.04 < same.upper < 0


def test_crashes_without_ids_are_compared_at_no_age() -> None:
    """They must not look like none."""
    first = {"1.0": NOW - 5 * DAY_MS, "2.0": NOW - 1 * DAY_MS}
    stretches = [stretch(name, time, range(10)) for name, time in first.items()]
    buckets = [bucket("1.0", first["1.0"], 10), bucket("2.0", first["2.0"], 10, crashes=3)]
    assert report(first, buckets, stretches).releases[1].same_age is None


def test_without_ids_requests_tell_what_matters() -> None:
    """Shares of exposures, and the sentence says so."""
    buckets = [
        Bucket("1.0", NOW - 3_600_000, NOW, {"request": 1}),
        Bucket("1.9", NOW - 3_600_000, NOW, {"request": 999}),
    ]
    found = report(FIRST, buckets)
    assert (found.unit, found.exposure, found.support[0].share) == ("request", "request", 0.001)
    assert "0.1 % of the requests" in found.summary
    assert found.releases[0].sessions.share is None


def test_a_single_release_is_nothing_to_end() -> None:
    """And nothing at all is no error either."""
    assert "no older release" in report(FIRST, [bucket("1.0", NOW - 1000, 5)]).summary
    assert report({}, []).releases == []


def test_versions_order_releases_that_began_together() -> None:
    """By the numbers in them; what began later comes later whatever its name."""
    assert in_order({"2.0-rc1": 5, "1.10": 5, "1.9": 5, "0.1": 6}) == [
        "1.9",
        "1.10",
        "2.0-rc1",
        "0.1",
    ]
