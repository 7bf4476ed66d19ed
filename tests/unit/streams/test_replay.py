"""Recorded events through the judge."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from contracts import arrow
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.records import Event, RecordKind
from contracts.results import Decision, Outcome, Verdict
from streams.judge.service import Output
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


def test_an_empty_file_is_no_data_and_a_missing_one_a_plain_error(tmp_path: Path) -> None:
    """Nothing to judge is not health; a wrong path is the user's mistake."""
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert replay([empty], Policy()).outcome is Outcome.NO_DATA
    with pytest.raises(ConfigError, match="cannot be read"):
        replay([tmp_path / "missing.jsonl"], Policy())


def test_several_services_need_a_choice(tmp_path: Path) -> None:
    """The error names the services that the files hold."""
    path = tmp_path / "two.jsonl"
    two = [Event(time=START, service=name, release="1") for name in ("a", "b")]
    path.write_bytes(b"".join(map(_json_line, two)))
    with pytest.raises(ConfigError, match="a, b"):
        replay([path], Policy())


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
