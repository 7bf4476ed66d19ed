"""States of crash groups, families of fingerprints, searches: pure functions."""

from __future__ import annotations

import pytest

from contracts.results import CrashMark, CrashMarkKind
from dashboard.components.crashes import arms_of, bars, trace_text
from dashboard.components.logs import log_table
from dashboard.figures.logs import lines_over_time
from dashboard.pages.logs import search_of
from dashboard.queries.crash_records import GroupRecord, ReleaseCount, mark_of
from dashboard.queries.crash_states import CrashState, families, release_order, state_of
from dashboard.queries.log_text import fixed_words, of_template
from dashboard.queries.logs import LogRow, LogSearch, in_order, log_query

ORDER = ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("seen", "resolved_in", "absent", "expected"),
    [
        ({"4"}, None, 1, CrashState.NEW),
        ({"3"}, None, 1, CrashState.ONGOING),
        ({"3", "4"}, None, 1, CrashState.ONGOING),
        ({"2", "4"}, None, 1, CrashState.REGRESSED),
        ({"2", "4"}, None, 2, CrashState.ONGOING),
        ({"1", "4"}, None, 2, CrashState.REGRESSED),
        ({"1", "3"}, None, 1, CrashState.ONGOING),
        ({"1", "2"}, "3", 1, CrashState.RESOLVED),
        ({"1", "2", "3"}, "3", 1, CrashState.REGRESSED),
        ({"1", "2", "4"}, "3", 1, CrashState.REGRESSED),
        ({"4"}, "5", 1, CrashState.RESOLVED),
    ],
)
def test_the_state_follows_from_releases_and_what_people_said(
    seen: set[str], resolved_in: str | None, absent: int, expected: CrashState
) -> None:
    """A release that has still to come resolves what is seen before it."""
    assert state_of(ORDER, seen, resolved_in, absent) is expected


def test_releases_stand_in_the_order_of_their_first_traffic() -> None:
    """Not of their names."""
    assert release_order({"10": 5, "9": 9, "hotfix": 5}) == ["10", "hotfix", "9"]


def test_a_fingerprint_that_two_groups_replace_stays_where_it_is() -> None:
    """A split loses no history; a merge takes it along; a rule that changes nothing is none."""
    found = {"m": ["a", "b"], "b": [], "x": ["s"], "y": ["s"], "s": [], "same": ["same"]}
    assert families(found) == {
        "m": ["m", "a", "b"], "x": ["x"], "y": ["y"], "s": ["s"], "same": ["same"],
    }  # fmt: skip


def test_the_newest_mark_of_any_of_its_fingerprints_counts() -> None:
    """Also one that was made before a rule merged them."""

    def mark(fingerprint: str, at: int) -> CrashMark:
        return CrashMark(
            id=fingerprint, time=at, service="s", fingerprint=fingerprint,
            kind=CrashMarkKind.RESOLVED,
        )  # fmt: skip

    marks = {"a": mark("a", 1), "b": mark("b", 2), "c": mark("c", 3)}
    found = mark_of(["a", "b"], marks)
    assert found is not None
    assert found.fingerprint == "b"
    assert mark_of(["d"], marks) is None


def test_a_trend_has_a_bar_for_each_stretch_of_time() -> None:
    """Also for those without a crash; the newest stands last."""
    release = ReleaseCount(release="", count=5, users=0, first=0, last=0, arms={"": 3, "b": 2})
    record = GroupRecord(
        fingerprint="f", members=["f"], state=CrashState.NEW, title="", culprit="", runtime="",
        algorithm="", count=5, total=5, users=0, first=0, first_release="", last=0,
        releases=[release], trend=[(100_000, 2), (110_000, 3)], trend_step_s=10,
    )  # fmt: skip
    assert bars(record, 125_000)[-4:] == [0, 2, 3, 0]
    assert arms_of(record.releases) == "unknown: 5 (b 2)"


def test_frames_stand_for_a_trace_that_has_no_text() -> None:
    """The innermost first, those of the user's own code not indented."""
    frames = [
        {"module": "lib", "function": "run", "file": "lib.py", "line": 1, "in_app": False},
        {"module": "cart", "function": "total", "file": "cart.py", "line": 8, "in_app": True},
    ]
    assert trace_text({"frames": frames}) == "cart.total (cart.py:8)\n  lib.run (lib.py:1)"
    assert "No stack trace" in trace_text({})


def test_a_search_is_conditions_whose_values_are_the_readers_text() -> None:
    """No text of a reader becomes a query of its own, and each field is one condition."""
    wanted = LogSearch(start_ms=0, end_ms=9, service="s OR *", text='a" OR *:*', severity="fatal")
    conditions = log_query(wanted)["bool"]["filter"]
    assert {"term": {"service.name": "s OR *"}} in conditions
    assert {"match": {"message": {"query": 'a" OR *:*', "operator": "and"}}} in conditions
    assert {"terms": {"severity": ["fatal"]}} in conditions
    assert len(conditions) == 4


@pytest.mark.parametrize("template", ["", "<*>", "(((", r"\Q<*>\E [", "a" * 500 + "<*>", "é <*> ☃"])
def test_any_text_is_a_template(template: str) -> None:
    """Nothing that stands in an address breaks the search; a template finds its own text."""
    assert of_template([template], template) == [True]
    assert "<*>" not in fixed_words(template)


def test_a_template_that_would_be_slow_elsewhere_is_not() -> None:
    """A backtracking engine would take years for these wildcards."""
    assert of_template(["a" * 2000 + "b"], "<*>a" * 30 + "c") == [False]


def test_an_address_without_sense_is_the_last_hour() -> None:
    """What cannot be read is left out, what nobody typed is cut."""
    found = search_of({"period": "x", "until": "soon", "text": "x" * 9_999, "evil": "1"}, 7_200_000)
    assert (found.end_ms - found.start_ms, found.end_ms) == (3_600_000, 7_201_000)
    assert len(found.text) == 2_000


def test_lines_stand_once_and_in_order_and_are_never_markup() -> None:
    """Text of a log is a string in the page's tree."""
    rows = [
        LogRow(
            time=at, service="s", release="1", host="h", severity="error",
            message="<b>boom</b>", trace="", key=key,
        )
        for at, key in ((2, "b"), (1, "a"), (2, "b"))
    ]  # fmt: skip
    ordered = in_order(rows)
    assert [row.key for row in ordered] == ["a", "b"]
    shown = str(log_table(ordered, crash_ms=1))
    assert shown.index("Pre(children='<b>boom</b>'") < shown.index("the crash")


def test_bars_of_errors_and_of_other_lines_are_stacked() -> None:
    """One bar of each for a stretch of time, in the reader's zone."""
    figure = lines_over_time([(1_795_428_000_000, 1.0, 9.0)], span=(0, 1), zone="Europe/Berlin")
    assert [trace["y"] for trace in figure["data"]] == [[1.0], [9.0]]
    assert figure["data"][0]["x"] == ["2026-11-23 11:00:00.000"]
    assert figure["layout"]["barmode"] == "stack"
