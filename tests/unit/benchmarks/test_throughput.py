"""The throughput benchmark compares what it says it compares: no server needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from benchmarks.throughput import events
from benchmarks.throughput.profiler import as_text, read_profile
from benchmarks.throughput.results import add_partial, difference
from benchmarks.throughput.sides.common import WINDOW_MS, Counts, Event, Key
from contracts import arrow
from contracts.policy import Policies
from contracts.records import RecordKind
from streams.messages import Message, aggregate

COLUMNS = events.generate(5_000, seed=6)
EXPECTED = events.expected(COLUMNS)


def aggregated(messages: Sequence[Message]) -> dict[Key, Counts]:
    """What the aggregate finds in messages of one partition."""
    counts: dict[Key, Counts] = {}
    for partial in aggregate(RecordKind.EVENTS, messages, Policies(), ()).partials:
        add_partial(counts, partial)
    return counts


def agent_message(offset: int, batch: events.Batch) -> Message:
    """A batch as the worker gets it."""
    headers = {
        arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode(),
        arrow.AGENT_HEADER: batch.agent.encode(),
        arrow.SEQ_HEADER: b"%d" % batch.seq,
    }
    return Message("arrow", 0, offset, batch.time, headers, batch.payload)


@pytest.mark.parametrize("batches", [events.agent_batches, events.mixed_batches])
def test_arrow_batches_hold_the_events(batches: object) -> None:
    """Both arrangements of Arrow batches give what the generator expects."""
    assert callable(batches)
    messages = [agent_message(n, batch) for n, batch in enumerate(batches(COLUMNS))]
    assert not difference(aggregated(messages), EXPECTED)


def test_json_holds_the_same_events() -> None:
    """The JSON events give the same, their closing events apart."""
    lines = list(events.json_lines(COLUMNS))
    messages = [Message("json", 0, n, line.time, {}, line.value) for n, line in enumerate(lines)]
    assert not difference(aggregated(messages), EXPECTED)
    assert len(lines) == 5_000 + 6


def test_peers_read_what_they_need() -> None:
    """The peers' record takes the time, the labels, the status and the duration of a JSON event."""
    line = next(iter(events.json_lines(COLUMNS)))
    event = msgspec.json.decode(line.value, type=Event)
    assert f"{event.service}/{event.release}" == line.key
    assert event.time == line.time


@pytest.mark.parametrize("field", Counts.__struct_fields__)
def test_a_single_miscount_is_found(field: str) -> None:
    """One event more in one field of one window is a difference."""
    key = next(iter(EXPECTED))
    wrong = msgspec.structs.replace(EXPECTED[key])
    histogram = {**wrong.histogram, 0: wrong.histogram.get(0, 0) + 1}
    setattr(wrong, field, histogram if field == "histogram" else getattr(wrong, field) + 1)
    assert field in difference({**EXPECTED, key: wrong}, EXPECTED)


def test_a_missing_window_is_found_and_a_closing_one_is_not() -> None:
    """Every window must be there; those of the closing events do not count."""
    key, *others = EXPECTED
    assert difference({other: EXPECTED[other] for other in others}, EXPECTED)
    later = ("cart", "2026.11.1", key[2] + 100 * WINDOW_MS)
    assert not difference({**EXPECTED, later: Counts()}, EXPECTED)


def test_a_profile_tells_kernels_from_the_rest(tmp_path: Path) -> None:
    """Native frames count for their library, waiting and imports do not count; samples of a thread
    count for the time that it had, however few they are.
    """
    raw = tmp_path / "raw"
    lines = [
        "7): Main;run (streams/app.py:1);bincount (numpy/_core/x.so);memcpy (libc.so.6) 6",
        "7): Main;run (streams/app.py:2) 3",
        "7): Main;run (faust/agents/agent.py:2) 1",
        "7): Main;_find_and_load (<frozen importlib._bootstrap>:1);f (numpy/__init__.py:1) 50",
        "7): Main;run (mode/worker.py:3);uv__io_poll (uvloop/loop.so);epoll_pwait (libc.so.6) 70",
        "8): consumer;zstd_decode (streams/decompression.py:2);x (zstandard/backend_c.so) 1",
        "9): other;sleep (x.py:1);time_sleep (futex) 30",
    ]
    raw.write_text("".join(f"thread ({line}\n" for line in lines))
    profile = read_profile(raw, {7: 600, 8: 400, 9: 5})
    assert profile.layers == {
        "numpy kernels": 360,
        "Coalmine": 180,
        "Faust": 60,
        "decompression": 400,
    }
    assert profile.samples == 11
    text = as_text(profile)
    assert (
        "outside Arrow and numpy kernels: 64%; outside of these and of decompression: 24%" in text
    )
