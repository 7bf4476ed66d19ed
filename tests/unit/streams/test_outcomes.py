"""Crash groups and log templates of batches, counted in cells and named in the judge."""

from __future__ import annotations

from pathlib import Path

from contracts import arrow
from contracts.policy import Metric, Policies, Policy, load_policies
from contracts.records import Crash, LogLine, RecordKind
from contracts.results import Cell, MetricKind
from streams.judge.known_groups import KnownGroups
from streams.outcomes import outcomes_of
from streams.windows import units
from streams.windows.aggregate import cells_of_batch

TRACE = 'Traceback (most recent call last):\n  File "/srv/app/cart.py", line 7, in total\n    x\n'


def _crash(error: str, session: str | None, time: int = 1_000) -> Crash:
    return Crash(
        time=time, service="shop", release="1", host="h", runtime="python", exception_type=error,
        stacktrace=TRACE + error, session=session,
    )  # fmt: skip


def _line(text: str, severity: str = "error", service: str = "shop") -> LogLine:
    return LogLine(
        time=1_000, service=service, release="1", host="h", severity=severity, message=text
    )


def _cells(kind: RecordKind, records: list[Crash] | list[LogLine], policy: Policy) -> list[Cell]:
    policies = Policies({"*": policy})
    batch = arrow.batch_from_records(kind, records)
    by_service = cells_of_batch(kind, batch, policies, None, outcomes_of(kind, batch, policies))
    return [cell for cells in by_service.values() for cell in cells]


def test_crashes_are_counted_by_group_with_their_sessions() -> None:
    """A burst of one session is five crashes, one unit, one group; another error is another."""
    crashes = [_crash("KeyError", "a")] * 5 + [_crash("KeyError", "b"), _crash("OSError", None)]
    [cell, together] = _cells(RecordKind.CRASHES, crashes, Policy())
    by_title = {cell.titles[name]: name for name in cell.titles}
    assert sorted(title.partition(":")[0] for title in by_title) == ["KeyError", "OSError"]
    key = next(name for title, name in by_title.items() if title.startswith("KeyError"))
    other = next(name for title, name in by_title.items() if title.startswith("OSError"))
    assert cell.groups == {key: 6, other: 1, f"{key}@session": 6}
    assert units.count(cell.units[f"{key}@session"]) == 2
    assert f"{other}@session" not in cell.units
    assert {name: units.count(one) for name, one in together.units.items()} == {"crash@session": 2}


def test_lines_are_counted_by_template_where_a_policy_wants_their_severity() -> None:
    """Errors and worse are one severity; what no policy judges is not mined."""
    lines = [_line(f"order {n} failed after {n} ms") for n in range(5)]
    lines += [_line("order 9 failed after 3 ms", "fatal"), _line("ready", "info")]
    [cell] = _cells(RecordKind.LOGS, lines, Policy())
    [(name, count)] = cell.groups.items()
    assert (name.partition("/")[0], count) == ("log.error", 6)
    assert cell.titles == {name: "order <*> failed after <*>"}
    watched = Metric(name="news", kind=MetricKind.GROUPS, bad="log.info", critical=False)
    [cell] = _cells(RecordKind.LOGS, lines, Policy(metrics=[*Policy().metrics[:1], watched]))
    assert [(n.partition("/")[0], c) for n, c in cell.groups.items()] == [("log.info", 1)]


def test_every_service_is_told_the_titles() -> None:
    """The partial of each service must be understood without the others."""
    cells = _cells(RecordKind.LOGS, [_line("down"), _line("down", service="other")], Policy())
    assert [list(cell.titles.values()) for cell in cells] == [["down"], ["down"]]


def test_a_line_of_half_a_megabyte_is_cut() -> None:
    """A template's text stays small, and only the first line of several counts."""
    [cell] = _cells(RecordKind.LOGS, [_line("x" * 500_000), _line("y\n" * 9)], Policy())
    assert sorted(map(len, cell.titles.values())) == [1, 400]


def test_stretches_that_were_mined_apart_get_one_name_in_the_service() -> None:
    """Two workers see other lines of the same template; in the judge it is one group."""
    known = KnownGroups()
    names = []
    for words in (["disk 1 of node a17 is full"], ["disk 2 of node b4 is full"]):
        cells = _cells(RecordKind.LOGS, [_line(text) for text in words], Policy())
        known.name_templates(cells)
        names += [name for cell in cells for name in cell.groups]
    assert len(names) == 2
    assert len(set(names)) == 1


def test_rules_beside_the_policies_merge_groups(tmp_path: Path) -> None:
    """What two errors have in common for their owner is one group, counted and judged as one."""
    (tmp_path / "crash-rules.yaml").write_text(
        'crash_rules: [{when: {type: "*Error", service: shop}, fingerprint: [shop-down]}]\n',
        encoding="utf-8",
    )
    policies = load_policies(tmp_path)
    batch = arrow.batch_from_records(
        RecordKind.CRASHES, [_crash("KeyError", None), _crash("OSError", None)]
    )
    for rules, groups in ((policies, 1), (Policies(), 2)):
        outcomes = outcomes_of(RecordKind.CRASHES, batch, rules)
        assert outcomes is not None
        assert len(set(outcomes.names)) == groups
