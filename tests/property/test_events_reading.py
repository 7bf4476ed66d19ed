"""Messages of events read with and without Arrow."""

from __future__ import annotations

import random

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts import arrow
from contracts.policy import Metric, Policies, Policy, StratifyBy, Unit
from contracts.records import Event, RecordKind
from streams import messages
from streams.messages import Aggregated, Message, aggregate
from streams.windows.events import understood

NOW = 1_700_000_000_000
POLICIES = Policies(
    {
        "s": Policy(service="s", stratify_by=StratifyBy.ROUTE),
        "t": Policy(service="t", metrics=[Metric(name="a", unit=Unit.USER)]),
    }
)
PLAIN: list[str | None] = ["u", "user-01", "a-longer-one"]
IDS: list[list[str | None]] = [
    [None],
    PLAIN,
    [None, "", *PLAIN],
    [*PLAIN, "a user whose name is longer than a view"],
    [None, *PLAIN, "Jürgen"],
    ["8a3f0c52-7a30-4c8e-9b61-2f1f6f3f9a11", None],
]


def _message(number: int, events: list[Event]) -> Message:
    headers = {
        arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode(),
        arrow.AGENT_HEADER: b"agent-%d" % (number % 3),
        arrow.SEQ_HEADER: b"%d" % number,
    }
    batch = arrow.batch_from_records(RecordKind.EVENTS, events)
    value = _of_an_older_agent(batch) if number % 4 == 1 else arrow.encode(batch)
    return Message("coalmine.events", 0, number, NOW, headers, value)


def _of_an_older_agent(batch: pa.RecordBatch) -> bytes:
    """Codes of four bytes, and no views."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _events(chosen: random.Random) -> list[Event]:
    users, sessions = chosen.choice(IDS), chosen.choice(IDS)
    has_nulls = chosen.random() < 0.5
    odd = chosen.random()
    ahead_ms = 10**9 if odd < 0.1 else 600_000 if odd < 0.2 else 5_000 if odd < 0.3 else 0
    times = [*[NOW - 900] * 9, NOW + ahead_ms]
    return [
        Event(
            time=chosen.choice(times) - chosen.randrange(2000),
            service=chosen.choice(["s", "t", ""]),
            release=chosen.choice(["1", "2", ""]),
            host=chosen.choice(["h", "ü", "", f"h{chosen.randrange(9)}"]),
            arm=chosen.choice(["", "canary"]),
            name=chosen.choice(["request", "click", "unknown", ""]),
            route=chosen.choice(["/a", f"/{chosen.randrange(99)}", ""]),
            status=chosen.choice([None, 0, 99, 600] if has_nulls else [200, 503]),
            ok=chosen.random() < 0.8,
            size_bytes=chosen.choice([0, 10**9]),
            duration_ms=chosen.choice([None, 0.0] if has_nulls else [3.5, 70.0]),
            user=chosen.choice(users),
            session=chosen.choice(sessions),
        )
        for _ in range(chosen.choice([1, 7, 8, 40]))
    ]


def _said(found: Aggregated) -> tuple[object, ...]:
    letters = sorted((one.origin, one.reason) for one in found.dead_letters)
    partials = {one.service: one for one in found.partials}
    cells = {
        (service, cell.release, cell.host, cell.agent, cell.arm, cell.stratum, cell.tick): cell
        for service, one in partials.items()
        for cell in one.cells
    }
    assert len(cells) == sum(len(one.cells) for one in partials.values()), "one cell of each kind"
    said = {key: msgspec.to_builtins(cell) for key, cell in cells.items()}
    return letters, said, found.records


def _both(stretch: list[Message], patch: pytest.MonkeyPatch) -> tuple[Aggregated, Aggregated]:
    mine = aggregate(RecordKind.EVENTS, stretch, POLICIES)
    with patch.context() as only_arrow:
        only_arrow.setattr(messages, "understood", lambda *_: None)
        return mine, aggregate(RecordKind.EVENTS, stretch, POLICIES)


def test_events_say_the_same_whoever_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ids of any kind, nulls, records from the future, and messages of several forms."""
    chosen = random.Random(1)
    read_here = 0
    for _ in range(60):
        stretch = [_message(n, _events(chosen)) for n in range(chosen.randrange(1, 9))]
        read_here += sum(understood(one.value, "a", NOW) is not None for one in stretch)
        mine, arrows = _both(stretch, monkeypatch)
        assert _said(mine) == _said(arrows)
    assert read_here > 200


@pytest.mark.parametrize("number", [1, 2])
def test_what_an_agent_writes_is_read_without_arrow(number: int) -> None:
    """Or it would be counted half as fast, and nobody would notice."""
    events = [Event(time=NOW, service="s", release="1", user="user-1") for _ in range(9)]
    assert understood(_message(number, events).value, "a", NOW) is not None


def test_a_code_below_nothing_is_none_of_many_values() -> None:
    """Read without its sign it would be one of them."""
    events = [Event(time=NOW, service="s", release="1") for _ in range(2)]
    batch = arrow.decode(RecordKind.EVENTS, _message(2, events).value)
    codes, routes = pa.array([0, -100], pa.int8()), [f"/{number}" for number in range(200)]
    column = pa.DictionaryArray.from_arrays(codes, routes, safe=False)
    broken = batch.set_column(batch.schema.get_field_index("route"), "route", column)
    found = aggregate(
        RecordKind.EVENTS,
        [_message(2, events)._replace(value=_of_an_older_agent(broken))],
        POLICIES,
    )
    assert [one.reason for one in found.dead_letters] == ["not an arrow batch"]
    assert not found.records


def test_a_message_is_read_as_itself_though_others_are_built_the_same() -> None:
    """With the same sizes everywhere, so that where things lie is known from the one before."""
    events = [Event(time=NOW, service=s, release="1", route=f"/{s}") for s in ("s", "t", "s")]
    other = [msgspec.structs.replace(one, service="u", route="/v") for one in events[:1]]
    stretch = [_message(2, events), _message(2, [*other, *events[1:]]), _message(2, events)]
    assert len({len(one.value) for one in stretch}) == 1
    found = [aggregate(RecordKind.EVENTS, [one], POLICIES) for one in stretch]
    assert [[one.service for one in some.partials] for some in found] == [
        ["s", "t"],
        ["u", "t", "s"],
        ["s", "t"],
    ]


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4))
@example(238, [(0.21649092944931053, 2)])
def test_broken_bytes_never_harm_and_never_count_otherwise(
    seed: int, changes: list[tuple[float, int]]
) -> None:
    """Whatever stands in a message: it is set aside, or says what Arrow reads in it."""
    message = _message(1, _events(random.Random(seed)))
    value = bytearray(message.value)
    for place, byte in changes:
        value[min(int(place * len(value)), len(value) - 1)] = byte
    broken = message._replace(value=bytes(value))
    understood(message.value, "a", NOW)  # what a good one looks like is remembered
    with pytest.MonkeyPatch.context() as patch:
        mine, arrows = _both([broken], patch)
    if arrows.records and mine.records:
        assert _said(mine)[1] == _said(arrows)[1]
    end = int(len(value) * random.Random(seed).random())
    cut = aggregate(RecordKind.EVENTS, [message._replace(value=message.value[:end])], POLICIES)
    assert cut.records in (0, aggregate(RecordKind.EVENTS, [message], POLICIES).records)
