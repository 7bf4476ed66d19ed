"""Recorded events through the judge."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.cli.replay import Pace
from contracts import arrow
from contracts.clock import ManualClock
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.records import Event, RecordKind
from contracts.results import Decision, Outcome, Verdict
from streams.judge.service_state import Output
from streams.replay import Replayed, replay

START = 1_700_000_000_000


def _events(canary_error_rate: float, seconds: int = 120) -> list[Event]:
    chosen = random.Random(11)
    made = []
    for number in range(seconds * 50):
        is_canary = number > 1000 and chosen.random() < 0.2
        is_bad = chosen.random() < (canary_error_rate if is_canary else 0.02)
        made.append(
            Event(
                time=START + number * 20,
                service="checkout",
                release="1.5.0" if is_canary else "1.4.2",
                status=500 if is_bad else 200,
                ok=not is_bad,
                duration_ms=round(chosen.lognormvariate(3, 0.5), 3),
            )
        )
    return made


def _json_line(event: Event) -> bytes:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    del fields["ok"]  # it follows from the status
    return msgspec.json.encode(fields) + b"\n"


def _evidence(found: Replayed) -> float:
    assert found.verdict is not None
    return found.verdict.evidence_log10


def test_a_bad_canary_is_found_and_a_good_one_is_not(tmp_path: Path) -> None:
    """The same traffic with ten times the errors, and with none more."""
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_bytes(b"".join(map(_json_line, _events(0.2))))
    good.write_bytes(b"".join(map(_json_line, _events(0.02))))
    found = replay([bad], Policy())
    assert (found.outcome, found.canary, found.baseline) == (Outcome.REGRESSED, "1.5.0", "1.4.2")
    assert replay([good], Policy()).outcome in (Outcome.INCONCLUSIVE, Outcome.HEALTHY)


def test_the_variants_of_a_flag_are_judged_like_releases(tmp_path: Path) -> None:
    """The same events under one release, their arm the variant: the same evidence."""
    events = _events(0.2)
    whole, split = tmp_path / "releases.jsonl", tmp_path / "flag.jsonl"
    whole.write_bytes(b"".join(map(_json_line, events)))
    for event in events:
        event.arm = "cart:on" if event.release == "1.5.0" else "cart:off"
        event.release = "2.0.0"
    split.write_bytes(b"".join(map(_json_line, events)))
    found, same = replay([split], Policy(), flag="cart"), replay([whole], Policy())
    assert (found.outcome, found.canary, found.baseline) == (Outcome.REGRESSED, "on", "off")
    assert found.decisions[0].flag == "cart"
    assert _evidence(found) == _evidence(same)


def test_every_format_gives_the_same_evidence(tmp_path: Path) -> None:
    """JSON lines, gzip, Arrow stream and file, and shuffled lines: equal to the last digit."""
    events = _events(0.05)
    lines = [_json_line(event) for event in events]
    batch = arrow.batch_from_records(RecordKind.EVENTS, events)
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))
    random.Random(1).shuffle(lines)
    (tmp_path / "shuffled.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "a.arrows").write_bytes(arrow.encode(batch))
    with (
        pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, batch.schema) as writer,
    ):
        writer.write_batch(batch)
    found = [replay([path], Policy()) for path in sorted(tmp_path.iterdir())]
    assert len(found) == 5
    assert {f.records for f in found} == {len(events)}
    assert {_evidence(f) for f in found} == {_evidence(found[0])}


def test_events_of_the_arms_in_files_of_their_own_are_judged_together(tmp_path: Path) -> None:
    """One file per release gives what one file of both gives."""
    events = _events(0.05)
    both = tmp_path / "both.jsonl"
    both.write_bytes(b"".join(map(_json_line, events)))
    apart = []
    for release in ("1.5.0", "1.4.2"):
        path = tmp_path / f"{release}.jsonl"
        path.write_bytes(b"".join(_json_line(e) for e in events if e.release == release))
        apart.append(path)
    assert _evidence(replay(apart, Policy())) == _evidence(replay([both], Policy()))


def test_bad_lines_are_counted_and_the_rest_is_judged(tmp_path: Path) -> None:
    """Lines that are no events do not stop a replay, and are not forgotten."""
    path = tmp_path / "mixed.jsonl"
    lines = [*map(_json_line, _events(0.2)), b"{oops\n", b"17\n", b'{"time": "never"}\n']
    path.write_bytes(b"".join(lines))
    found = replay([path], Policy())
    assert found.set_aside == {"not json": 1, "not a json object": 1, "no time": 1}
    assert found.outcome is Outcome.REGRESSED


def test_a_recording_without_records_is_no_data(tmp_path: Path) -> None:
    """Nothing to judge is not health."""
    path = tmp_path / "idle.arrows"
    path.write_bytes(arrow.encode(arrow.batch_from_records(RecordKind.EVENTS, [])))
    assert replay([path], Policy()).outcome is Outcome.NO_DATA


def test_wrong_paths_are_told_before_anything_is_read(tmp_path: Path) -> None:
    """A missing file at the end of the list, or one that would count twice."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(_json_line, _events(0.02, seconds=1))))
    counts: list[int] = []
    with pytest.raises(ConfigError, match=r"gone\.jsonl: cannot be read: no such file"):
        replay([path, tmp_path / "gone.jsonl"], Policy(), progress=counts.append)
    with pytest.raises(ConfigError, match="given twice"):
        replay([path, tmp_path / "." / path.name], Policy(), progress=counts.append)
    assert counts == []


def test_several_services_need_a_choice(tmp_path: Path) -> None:
    """The error names the services that the files hold."""
    path = tmp_path / "two.jsonl"
    two = [Event(time=START, service=name, release="1") for name in ("a", "b")]
    path.write_bytes(b"".join(map(_json_line, two)))
    with pytest.raises(ConfigError, match="a, b"):
        replay([path], Policy())
    assert replay([path], Policy(), service="b").service == "b"
    assert replay([path], Policy(service="a")).service == "a"


def test_what_is_found_is_told_in_order_of_event_time(tmp_path: Path) -> None:
    """Every tick is announced once before its outputs, and nothing that is told is left out."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join(map(_json_line, _events(0.2))))
    ticks: list[int] = []
    told: list[tuple[int, Output]] = []
    found = replay(
        [path], Policy(), pace=ticks.append, tell=lambda output: told.append((ticks[-1], output))
    )
    assert ticks == sorted(set(ticks))
    assert [o for _, o in told if isinstance(o, Decision)] == found.decisions
    assert sum(isinstance(o, Verdict) for _, o in told) == found.looks
    assert all(o.time <= tick + 1000 for tick, o in told if isinstance(o, Verdict))


@pytest.mark.parametrize(
    ("error_rate", "seconds", "code"), [(0.2, 120, 1), (0.02, 30, 4), (None, 0, 5)]
)
def test_the_exit_code_is_the_outcome(
    tmp_path: Path, error_rate: float | None, seconds: int, code: int
) -> None:
    """Regressed, inconclusive and no data, with JSON on stdout and nothing else."""
    path = tmp_path / "events.jsonl"
    events = _events(error_rate, seconds) if error_rate else []
    path.write_bytes(b"".join(map(_json_line, events)) + b"{oops\n")
    done = CliRunner().invoke(build(), ["replay", str(path), "--json"])
    assert done.exit_code == code
    found = msgspec.json.decode(done.stdout, type=Replayed)
    assert (found.records, found.set_aside) == (len(events), {"not json": 1})
    assert f"1 record set aside: not json, the first at {path}:{len(events) + 1}" in done.stderr


def test_people_read_the_decisions_and_what_is_still_needed(tmp_path: Path) -> None:
    """With the time at which the events, not the replay, led to them."""
    bad, open_ = tmp_path / "bad.jsonl", tmp_path / "open.jsonl"
    bad.write_bytes(b"".join(map(_json_line, _events(0.2))))
    open_.write_bytes(b"".join(map(_json_line, _events(0.02, seconds=30))))
    regressed = CliRunner().invoke(build(), ["replay", str(bad)]).stdout
    assert re.search(r"2023-11-14 22:1\d:\d\dZ\tcanary\trollback\terror_rate of 1\.5\.0", regressed)
    inconclusive = CliRunner().invoke(build(), ["replay", str(open_)]).stdout
    assert re.search(
        r"^error_rate\tinconclusive\t.*\d exposures if .* high", inconclusive, re.MULTILINE
    )


def test_a_pace_makes_up_for_slow_judging() -> None:
    """Waiting is for a moment, not between ticks: what took long is not waited for again."""
    clock = ManualClock()
    pace = Pace(10, clock, clock.advance)
    moments = []
    for tick, takes_s in [(0, 0.0), (1000, 0.25), (2000, 0.0), (5000, 0.0)]:
        pace(START + tick)
        moments.append(round(clock.monotonic_s(), 6))
        clock.advance(takes_s)
    assert moments == [0.0, 0.1, 0.35, 0.5]


def test_with_a_speed_every_change_is_told_as_it_comes(tmp_path: Path) -> None:
    """On stderr, at its event time; the result on stdout is the same."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(_json_line, _events(0.2, seconds=30))))
    at_once = CliRunner().invoke(build(), ["replay", str(path)])
    done = CliRunner().invoke(build(), ["replay", str(path), "--speed", "10000"])
    assert (done.exit_code, done.stdout) == (at_once.exit_code, at_once.stdout)
    assert not at_once.stderr
    told = [line.split("Z  ")[1].partition(":")[0] for line in done.stderr.splitlines()]
    assert told == ["no_data", "inconclusive", "regressed", "rollback"]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """No traceback, and not the exit code of a regression."""
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(map(_json_line, _events(0.2, seconds=5))))[:-20])
    done = subprocess.run(
        [sys.executable, "-m", "coalmine", "replay", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"coalmine: {path}: cannot be read: Truncated compressed stream\n"
