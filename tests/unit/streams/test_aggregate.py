"""Batches to cells."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from contracts import histogram
from contracts.arrow import batch_from_records
from contracts.policy import Metric, Policies, Policy, StratifyBy, Unit
from contracts.records import Crash, Event, HostSample, LogLine, Record, RecordKind
from contracts.results import Cell, SparseHistogram
from streams.windows import units
from streams.windows.aggregate import cells_of_batch
from streams.windows.tally import Arm

NOW = 1_700_000_000_000


SESSIONS_AND_USERS = Policies(
    {"s": Policy(metrics=[Metric(name="a", bad="crash"), Metric(name="b", unit=Unit.USER)])}
)


def cells_of(
    kind: RecordKind, records: Sequence[Record], policies: Policies = SESSIONS_AND_USERS
) -> dict[str, list[Cell]]:
    """The cells of these records."""
    return cells_of_batch(kind, batch_from_records(kind, records), policies)


def _events(seed: int, count: int) -> list[Event]:
    chosen = random.Random(seed)
    return [
        Event(
            time=NOW + chosen.randrange(3000),
            service=chosen.choice(["checkout", "search"]),
            release=chosen.choice(["1.4.2", "1.5.0"]),
            host=chosen.choice(["a", "b"]),
            name=chosen.choice(["request", "click"]),
            status=chosen.choice([200, 404, 500, None]),
            ok=chosen.random() > 0.2,
            size_bytes=chosen.randrange(1000),
            duration_ms=chosen.choice([None, chosen.lognormvariate(3, 1)]),
        )
        for _ in range(count)
    ]


def _said(cell: Cell, key: tuple[object, ...]) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for name, count in cell.counts.items():
        found[(*key, name)] += count
    for name, sparse in cell.histograms.items():
        for bin_, count in zip(sparse.bins, sparse.counts, strict=True):
            found[(*key, name, bin_)] += count
    for name, sums in cell.sums.items():
        for power, count in enumerate(sums):
            found[(*key, name, "sum of powers", power)] += count
    return found


def test_cells_equal_a_count_of_the_events_one_by_one() -> None:
    """Every counter, histogram and sum equals what a plain loop over the events counts."""
    events = _events(seed=1, count=2000)
    expected: Counter[tuple[object, ...]] = Counter()
    for e in events:
        key = (e.service, e.release, e.host, e.time // 1000 * 1000)
        of_all_hosts = (e.service, e.release, "", key[3])
        expected[(*key, e.name)] += 1
        expected[(*key, f"{e.name}.bad")] += not e.ok
        expected[(*of_all_hosts, f"{e.name}.bytes")] += e.size_bytes
        if e.status:
            expected[(*of_all_hosts, f"{e.name}.status.{e.status}")] += 1
        if e.duration_ms is not None:
            [bin_] = histogram.bins_of(np.array([np.float32(e.duration_ms)])).tolist()
            name = f"{e.name}.duration_ms"
            expected[(*of_all_hosts, name, bin_)] += 1
            for power in range(3):
                expected[(*key, name, "sum of powers", power)] += bin_**power
    found: Counter[tuple[object, ...]] = Counter()
    for service, cells in cells_of(RecordKind.EVENTS, events).items():
        for cell in cells:
            found.update(_said(cell, (service, cell.release, cell.host, cell.tick)))
    assert +found == +expected


def test_arms_are_the_same_told_host_by_host_or_together() -> None:
    """What the judge adds up is the same; of a host it has what the comparison asks for."""
    events = [
        msgspec.structs.replace(event, session=f"session-{number % 700}")
        for number, event in enumerate(_events(seed=2, count=2000))
    ]
    by_host: list[Cell] = []
    for host in ("a", "b"):
        ours = [msgspec.structs.replace(e, host="") for e in events if e.host == host]
        for cell in cells_of(RecordKind.EVENTS, ours)["checkout"]:
            cell.host = host
            by_host.append(cell)
    both = cells_of(RecordKind.EVENTS, events)["checkout"]
    assert all(cell.histograms for cell in by_host)
    assert all(cell.is_of_all_hosts is not bool(cell.host) for cell in both)
    assert not any(cell.histograms or cell.units for cell in both if cell.host)
    told, expected = Arm.of_cells(both), Arm.of_cells(by_host)
    asked = {"request", "request.bad", "click", "click.bad"}
    for tally in expected.hosts.values():
        tally.counts = {name: count for name, count in tally.counts.items() if name in asked}
    assert told == expected


def test_hosts_tell_every_counter_where_a_metric_is_about_more_than_bad_events() -> None:
    """The comparison of hosts then asks for it; the sums over all hosts are the same."""
    events = _events(seed=3, count=2000)
    metric = Metric(name="unavailable", bad="request.status.500")
    policies = Policies({"search": Policy(metrics=[metric])})
    found = cells_of(RecordKind.EVENTS, events, policies)["search"]
    usual = cells_of(RecordKind.EVENTS, events)["search"]
    told, expected = Arm.of_cells(found), Arm.of_cells(usual)
    assert told.strata == expected.strata
    expected_of_a = sum(
        e.host == "a" and e.service == "search" and e.status == 500 and e.name == "request"
        for e in events
    )
    assert told.hosts["a"].counts["request.status.500"] == expected_of_a > 0
    assert "request.status.500" not in expected.hosts["a"].counts


def test_a_cell_knows_its_latest_event_and_its_first_bad_one() -> None:
    """``last`` and ``first_bad`` are event times, not tick times."""
    events = [
        Event(time=NOW + 10, service="s", release="1"),
        Event(time=NOW + 300, service="s", release="1", ok=False),
        Event(time=NOW + 200, service="s", release="1", ok=False),
        Event(time=NOW + 900, service="s", release="1"),
    ]
    [cell] = cells_of(RecordKind.EVENTS, events)["s"]
    assert (cell.last, cell.first_bad) == (NOW + 900, NOW + 200)


def test_missing_names_are_counted_under_unknown() -> None:
    """A record without service or release is not lost."""
    events = [Event(time=NOW, service="", release="")]
    cells = cells_of(RecordKind.EVENTS, events)
    assert cells["unknown"][0].release == "unknown"
    assert cells["unknown"][0].counts["request"] == 1


def test_an_impossible_status_is_counted_as_other() -> None:
    """Garbage in a status cannot make new counters without end."""
    events = [Event(time=NOW, service="s", release="1", status=s) for s in (7, 999, -3)]
    [cell] = cells_of(RecordKind.EVENTS, events)["s"]
    assert cell.counts["request.status.other"] == 3


def test_an_event_that_is_named_like_a_counter_adds_to_it() -> None:
    """``request.bad`` as a name of events counts beside the bad ones of ``request``."""
    events = [
        Event(time=NOW, service="s", release="1", name=name, ok=False, user=user)
        for name, user in [("request", "u"), ("request.bad", "v"), ("request.bad", "w")]
    ]
    [cell] = cells_of(RecordKind.EVENTS, events)["s"]
    assert (cell.counts["request.bad"], cell.counts["request.bad@user"]) == (3, 3)
    assert units.count(cell.units["request.bad@user"]) == 3
    events = [
        Event(time=NOW, service="s", release="1", host=host, name=name, size_bytes=7)
        for name in ("request", "request.bytes")
        for host in ("", "h")
    ]
    cells = cells_of(RecordKind.EVENTS, events)["s"]
    assert Arm.of_cells(cells).count("request.bytes") == 16


def test_logs_are_counted_by_severity() -> None:
    """``log`` counts all lines, ``log.<severity>`` each kind."""
    lines = [
        LogLine(time=NOW, service="s", release="1", severity=s) for s in ("info", "error", "info")
    ]
    [cell] = cells_of(RecordKind.LOGS, lines)["s"]
    assert cell.counts == {"log": 3, "log.error": 1, "log.info": 2}


def test_crashes_and_host_samples_give_counts_and_loads() -> None:
    """A crash counts as bad at its time; host samples give a histogram per value, all together."""
    crash = Crash(time=NOW + 5, service="s", release="1")
    [cell] = cells_of(RecordKind.CRASHES, [crash])["s"]
    assert (cell.counts, cell.first_bad) == ({"crash": 1}, NOW + 5)
    samples = [
        HostSample(time=NOW, host=host, service="s", release="1", cpu_percent=50.0)
        for host in ("g", "h")
    ]
    [*hosts, together] = cells_of(RecordKind.HOSTS, samples)["s"]
    bin_ = int(histogram.bins_of(np.array([50.0]))[0])
    sums = {"host.cpu_percent": (1, bin_, bin_**2)}
    assert [(cell.host, cell.sums) for cell in hosts] == [("g", sums), ("h", sums)]
    assert together.histograms == {"host.cpu_percent": SparseHistogram([bin_], [2])}
    assert (together.host, together.counts) == ("", {})


def test_an_empty_batch_gives_nothing() -> None:
    """No rows, no cells."""
    assert cells_of(RecordKind.EVENTS, []) == {}


def test_sessions_and_users_are_counted_distinct() -> None:
    """Sketches hold each session once, a user stands for a missing session, no id for none."""
    events = [
        Event(time=NOW, service="s", release="1", session=session, user=user, ok=ok)
        for session, user, ok in [
            ("a", "u", True),
            ("a", "u", False),
            ("b", None, False),
            (None, "v", True),
            (None, None, True),
        ]
    ]
    [cell] = cells_of(RecordKind.EVENTS, events)["s"]
    assert {name: n for name, n in cell.counts.items() if "@" in name} == {
        "request@session": 4,
        "request@user": 3,
        "request.bad@session": 2,
        "request.bad@user": 1,
    }
    assert {name: units.count(sketch) for name, sketch in cell.units.items()} == {
        "request@session": 3,
        "request@user": 2,
        "request.bad@session": 2,
        "request.bad@user": 1,
    }


def test_a_crash_and_its_request_name_the_same_session() -> None:
    """Sketches of different topics meet: the session that crashed is the one that asked."""
    event = Event(time=NOW, service="s", release="1", session="a")
    crash = Crash(time=NOW, service="s", release="1", session="a")
    [one] = cells_of(RecordKind.EVENTS, [event])["s"]
    [two] = cells_of(RecordKind.CRASHES, [crash])["s"]
    both = units.union(one.units["request@session"], two.units["crash@session"])
    assert units.count(both) == 1


def test_only_stratified_services_are_counted_route_by_route() -> None:
    """The policy of a service says so; what is counted in all stays the same."""
    events = [
        Event(time=NOW, service=service, release="1", route=route)
        for service in ("s", "t")
        for route in ("/a", "/b", "/b", "")
    ]
    stratified = Policy(service="s", stratify_by=StratifyBy.ROUTE)
    cells = cells_of(RecordKind.EVENTS, events, Policies({"s": stratified}))
    assert {c.stratum: c.counts["request"] for c in cells["s"]} == {"/a": 1, "/b": 2, "": 1}
    assert [(c.stratum, c.counts["request"]) for c in cells["t"]] == [("", 4)]


def test_thousands_of_units_are_counted_within_two_per_cent() -> None:
    """Beyond what a sketch holds exactly, it is still close."""
    events = [
        Event(time=NOW, service="s", release="1", session=f"session-{number}")
        for number in range(30_000)
    ]
    [cell] = cells_of(RecordKind.EVENTS, events)["s"]
    sketch = cell.units["request@session"]
    assert not units.is_exact(sketch)
    assert abs(units.count(sketch) / 30_000 - 1) < 0.05


def test_users_are_not_counted_where_no_policy_counts_by_them() -> None:
    """Sketches cost time and bytes: only those that some metric asks for are made."""
    events = [Event(time=NOW, service="s", release="1", session="a", user="u")]
    [cell] = cells_of(RecordKind.EVENTS, events, Policies())["s"]
    assert list(cell.units) == ["request@session"]
