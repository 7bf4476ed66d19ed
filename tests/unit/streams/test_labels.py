"""Explosions of labels: bounded state, exact totals, and a number that a user sees."""

from __future__ import annotations

from collections import Counter

import pytest

from contracts.policy import Policy, StratifyBy
from contracts.results import Cell, Partial, Source, SparseHistogram, Verdict, Window
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.state import decode_state, encode_state
from streams.windows import labels
from streams.windows.labels import LIMITS, MAX_RELEASES, OTHER, fold_services
from tests.support.partials import Traffic, together

START = 1_700_000_000_000
HOW_MANY = 10_000


def run(
    state: ServiceState,
    cells: list[Cell],
    policy: Policy | None = None,
    *,
    are_together: bool = False,
) -> list[Window]:
    """Every cell as a partial of its own, then silence; the windows that were written."""
    rules = policy or Policy()
    outputs = []
    for offset, cell in enumerate(cells):
        cell.agent = f"agent-{offset % 3}"
        partial = Partial(
            service="s",
            source=Source(topic="t", partition=0, offset=offset),
            sent_at=cell.last,
            cells=together([cell]) if are_together else [cell],
        )
        outputs += apply_partial(state, partial, rules, processed_time=cell.last)
    end = cells[-1].last + 60_000
    silence = Partial(service="s", sent_at=end)
    outputs += apply_partial(state, silence, rules, processed_time=end)
    latest = {(o.time, o.release, o.arm, o.part): o for o in outputs if isinstance(o, Window)}
    return list(latest.values())


def totals(windows: list[Window]) -> Counter[str]:
    """All counters of all windows."""
    sums: Counter[str] = Counter()
    for window in windows:
        sums.update(window.counts)
    return sums


def exploding(kind: str) -> list[Cell]:
    """Ten thousand cells of three requests, each with its own label, ten milliseconds apart."""
    cells = []
    for number in range(HOW_MANY):
        time = START + number * 10
        label = f"{kind}-{number}"
        event = label if kind == "event" else "request"
        cells.append(
            Cell(
                tick=time - time % 1000,
                release=label if kind == "release" else "1.4.2",
                host=label if kind == "host" else "h",
                arm=label if kind == "arm" else "",
                stratum=label if kind == "route" else "",
                last=time,
                counts={event: 3, f"{event}.bad": 1, f"{event}.status.500": 1},
                histograms={f"{event}.duration_ms": SparseHistogram([5, 7], [1, 2])},
                units={},
            )
        )
    return cells


@pytest.mark.parametrize("are_together", [False, True])
@pytest.mark.parametrize("kind", ["release", "route", "host", "arm", "event"])
def test_ten_thousand_labels_are_bounded_counted_and_told(kind: str, are_together: bool) -> None:  # noqa: FBT001
    """The state stays small, nothing is dropped, and the verdicts can tell how much was folded.

    Whether histograms are told host by host, as older workers did, or of all hosts together.
    """
    state = ServiceState(service="s")
    policy = Policy(stratify_by=StratifyBy.ROUTE)
    windows = run(state, exploding(kind), policy, are_together=are_together)
    limit = MAX_RELEASES if kind == "release" else LIMITS[kind]
    sums = totals(windows)
    plain = [n for n in sums if labels.event_of(n) == n and not n.startswith("folded.")]
    assert sum(sums[name] for name in plain) == HOW_MANY * 3
    assert sum(n for name, n in sums.items() if name.endswith(".bad")) == HOW_MANY
    histograms = [h for w in windows for h in w.histograms.values()]
    assert sum(sum(h.counts) for h in histograms) == HOW_MANY * 3
    assert state.labels.folded == {kind: (HOW_MANY - limit) * 3}
    assert sums[f"folded.{kind}"] == state.labels.folded[kind]
    assert len(state.releases) <= MAX_RELEASES + 1
    assert all(len(seen) <= limit for seen in state.labels.seen.values())
    assert len(encode_state(state)) < 100_000


def test_ten_thousand_routes_in_one_tick_keep_the_state_small() -> None:
    """Also while a tick is still open."""
    state = ServiceState(service="s")
    cells = exploding("route")
    for cell in cells:
        cell.tick, cell.last = START, START + 1
    one = Partial(
        service="s",
        source=Source(topic="t", partition=0, offset=1),
        sent_at=START,
        cells=cells,
    )
    apply_partial(state, one, Policy(stratify_by=StratifyBy.ROUTE), processed_time=START)
    assert len(state.ticks[START]["1.4.2"].strata) == LIMITS["route"] + 1
    assert len(encode_state(state)) < 100_000
    assert decode_state(encode_state(state)).labels.folded == state.labels.folded


def test_a_label_that_was_silent_for_an_hour_gives_its_place_to_a_new_one() -> None:
    """Deployments come and go: the limit is on what lives at a time."""
    state = ServiceState(service="s")
    cells = exploding("release")[:MAX_RELEASES]
    later = exploding("release")[MAX_RELEASES : 2 * MAX_RELEASES]
    for cell in later:
        cell.tick += 7_200_000
        cell.last += 7_200_000
    windows = run(state, cells + later)
    assert not state.labels.folded
    assert len({w.release for w in windows}) == 2 * MAX_RELEASES


def test_an_event_that_only_units_tell_of_is_folded_and_a_group_is_no_event() -> None:
    """Its events may have no duration, and their hosts have told their counters."""
    known = labels.Labels()
    known.seen["event"] = {f"event-{number}": START for number in range(LIMITS["event"])}
    cell = Cell(
        tick=START,
        release="1.4.2",
        last=START,
        is_of_all_hosts=True,
        histograms={"request.duration_ms": SparseHistogram([5], [1])},
        units={"one more@user": b"a sketch", "crash/ab12@user": b"another"},
        groups={"crash/ab12": 1, "crash/ab12@user": 1},
    )
    known.fold(cell, wanted={"request"})
    assert cell.units.keys() == {"other@user", "crash/ab12@user"}
    assert "crash/ab12" not in known.seen["event"]


def test_what_is_folded_is_never_a_canary_or_a_baseline() -> None:
    """``other`` is no release, whatever its counts; and the verdicts of a real one tell of it."""
    policy = Policy(autodetect=True)
    state = ServiceState(service="checkout")
    verdicts = []
    traffic = Traffic(error_rate={"1.5.0": 0.2})
    traffic.requests_per_s = {f"build-{n}": 1 for n in range(MAX_RELEASES - 2)}
    traffic.requests_per_s |= {"1.4.2": 80}
    names = list(traffic.requests_per_s)
    traffic.requests_per_s |= {"1.5.0": 20, "garbage-1": 500, "garbage-2": 500}
    for second in range(60):
        now = names if second < 10 else [*names, "1.5.0", "garbage-1", "garbage-2"]
        for partial in traffic.second(second, now):
            found = apply_partial(state, partial, policy, processed_time=partial.sent_at)
            verdicts += [one for one in found if isinstance(one, Verdict)]
    assert {(v.canary, v.baseline) for v in verdicts} == {("1.5.0", "1.4.2")}
    assert verdicts[-1].folded["release"] > 10_000
    assert OTHER in state.releases


def test_services_beyond_the_limit_become_one_partial_of_one_service() -> None:
    """The judge takes one message's partial of a service once: two of ``other`` would be one."""
    source = Source(topic="t", partition=0, offset=1)
    partials = [
        Partial(service=name, source=source, sent_at=1, cells=[cell])
        for name, cell in zip(("a", "b", "c"), exploding("route")[:3], strict=True)
    ]
    kept, other = fold_services(partials, {"b"})
    assert (kept.service, other.service, len(other.cells)) == ("b", OTHER, 2)
    assert other.source == source
    assert [cell.counts["folded.service"] for cell in other.cells] == [3, 3]
    assert fold_services(partials[1:2], {"b"}) == [kept]
