"""What the arms did to what a metric is judged by."""

from __future__ import annotations

import numpy as np

from contracts.policy import Metric, StratifyBy, Unit
from contracts.results import Cell
from streams.judge import measure
from streams.windows import ids, units
from streams.windows.tally import Arm

CRASHES = Metric(name="crash_rate", bad="crash")
ERRORS = Metric(name="error_rate", bad="request.bad")


def _arm(*cells: Cell) -> Arm:
    return Arm.of_cells(cells)


def _cell(
    sessions: list[int], crashed: list[int] | None = None, *, host: str = "a", stratum: str = ""
) -> Cell:
    """Each session makes two requests; those that crashed do so three times."""
    crashed = crashed or []
    return Cell(
        tick=0,
        release="1",
        host=host,
        stratum=stratum,
        last=1,
        counts={
            "request": 2 * len(sessions),
            "request@session": 2 * len(sessions),
            "crash": 3 * len(crashed),
            "crash@session": 3 * len(crashed),
        },
        units={
            "request@session": units.sketch(ids.mixed(np.array(sessions, dtype=np.uint64))),
            "crash@session": units.sketch(ids.mixed(np.array(crashed, dtype=np.uint64))),
        },
    )


def test_a_session_is_exposed_once_and_fails_once() -> None:
    """Twenty requests and six crashes of ten sessions are ten exposures and two bad outcomes."""
    canary, baseline = _arm(_cell([*range(10)], [1, 2])), _arm(_cell([*range(100, 130)]))
    [window], failed = measure.measure(CRASHES, canary, baseline, measure.NONE_FAILED)
    assert (window.canary_exposures, window.canary_bad) == (10, 2)
    assert (window.baseline_exposures, window.baseline_bad) == (30, 0)
    [window], failed = measure.measure(CRASHES, canary, baseline, failed)
    assert (window.canary_exposures, window.canary_bad) == (8, 0)
    assert units.count(failed[0]) == 2


def test_a_session_on_several_hosts_is_one() -> None:
    """Sketches of hosts are merged, so a session that wanders is not counted by every host."""
    arm = _arm(_cell([1, 2, 3], host="a"), _cell([2, 3, 4], [4], host="b"))
    found = measure.exposed(CRASHES, arm.total(), units.NOTHING)
    assert (found.exposures, found.bad) == (4, 1)


def test_events_without_an_id_count_by_themselves() -> None:
    """Those with an id count by session, the others one by one; a metric may ask for events."""
    cell = _cell([1, 2], [1])
    cell.counts["request"] += 5
    cell.counts["crash"] += 2
    tally = _arm(cell).total()
    assert measure.exposed(CRASHES, tally, units.NOTHING)[:2] == (7, 3)
    by_event = Metric(name="crash_rate", bad="crash", unit=Unit.EVENT)
    assert measure.exposed(by_event, tally, units.NOTHING)[:2] == (9, 5)


def test_strata_are_measured_apart_where_the_outcome_knows_its_stratum() -> None:
    """Errors have a route, so they are compared route by route; crashes have none."""

    def routed(route: str, count: int, bad: int) -> Cell:
        counts = {"request": count, "request.bad": bad, "crash": bad}
        return Cell(tick=0, release="1", stratum=route, last=1, counts=counts)

    canary = _arm(routed("/buy", 5, 1), routed("/see", 1, 0))
    baseline = _arm(routed("/see", 90, 2))
    by_route, _ = measure.measure(ERRORS, canary, baseline, measure.NONE_FAILED, StratifyBy.ROUTE)
    assert [(w.stratum, w.canary_exposures, w.baseline_exposures) for w in by_route] == [
        ("/buy", 5, 0),
        ("/see", 1, 90),
    ]
    together, _ = measure.measure(CRASHES, canary, baseline, measure.NONE_FAILED, StratifyBy.ROUTE)
    assert [(w.stratum, w.canary_exposures, w.canary_bad) for w in together] == [("", 6, 1)]


def test_nothing_gives_no_window() -> None:
    """Empty arms are no stretch of time."""
    assert measure.measure(ERRORS, Arm(), Arm(), measure.NONE_FAILED) == ([], (b"", b""))
