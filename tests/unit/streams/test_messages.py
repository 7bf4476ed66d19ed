"""Stretches of telemetry messages to partials."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter

import msgspec
import pyarrow as pa

from contracts import arrow
from contracts.policy import Metric, Policies, Policy, StratifyBy, Unit
from contracts.records import Crash, Event, RecordKind
from contracts.results import Partial
from streams.messages import Message, aggregate, unfenced
from streams.windows.tally import Tally

NOW = 1_700_000_000_000
TOO_LARGE = b'"service.name": "t", "service.version": "1", "http.response.status_code": 99999'


def _batch(offset: int, agent: str, seq: int, events: list[Event]) -> Message:
    headers = {
        arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode(),
        arrow.AGENT_HEADER: agent.encode(),
        arrow.SEQ_HEADER: b"%d" % seq,
    }
    value = arrow.encode(arrow.batch_from_records(RecordKind.EVENTS, events))
    return Message("coalmine.events", 2, offset, NOW + 500, headers, value)


def _json(offset: int, value: bytes) -> Message:
    return Message("coalmine.events", 2, offset, NOW + 500, {}, value)


def _event(time: int = NOW, **fields: object) -> Event:
    return Event(**{"time": time, "service": "s", "release": "1", "host": "h", **fields})  # type: ignore[arg-type]


def _requests(partials: list[Partial]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for partial in partials:
        for cell in partial.cells:
            found[partial.service, cell.agent] += cell.counts.get("request", 0)
    return +found


def _mixed() -> list[Message]:
    return [
        _batch(10, "a", 1, [_event(), _event(host="g")]),
        _json(11, b'{"time": %d, "service.name": "t", "service.version": "1"}' % NOW),
        _batch(12, "b", 7, [_event(), _event(service="t")]),
        _json(13, b"{"),
        _json(14, b'{"time": %d, %s}' % (NOW, TOO_LARGE)),
        _json(15, b'{"time": %d, "service.name": "t", "service.version": "1"}' % (NOW + 10**9)),
        _batch(16, "a", 2, [_event(user="u"), _event(NOW + 10**9, user="v")]),
    ]


def test_a_stretch_gives_one_partial_per_service_with_all_its_records() -> None:
    """Arrow and JSON, whoever sent it: one partial each, that knows where it begins and ends."""
    found = aggregate(RecordKind.EVENTS, _mixed(), Policies())
    assert _requests(found.partials) == {
        ("s", "a"): 3,
        ("s", "b"): 1,
        ("t", "b"): 1,
        ("t", "coalmine.events/2"): 1,
    }
    assert found.records == 6
    assert {(p.source.start, p.source.offset) for p in found.partials if p.source} == {(10, 16)}


def test_each_bad_message_or_record_is_a_dead_letter_with_its_own_origin() -> None:
    """Good ones around it are counted all the same."""
    found = aggregate(RecordKind.EVENTS, _mixed(), Policies())
    assert {(letter.origin, letter.reason) for letter in found.dead_letters} == {
        ("coalmine.events/2/13", "not json"),
        ("coalmine.events/2/14", "value does not fit its column"),
        ("coalmine.events/2/15", "time in the future"),
        ("coalmine.events/2/16/1", "time in the future"),
    }


def test_nothing_happened_later_than_it_arrived() -> None:
    """A clock that is minutes fast would end the ticks of everybody else."""
    fast = [NOW, NOW + 499, NOW + 501, NOW + 600_500]
    one_object = b'{"time": %d, "service.name": "s", "service.version": "1"}'
    forms = {
        "a": [_batch(10, "a", 1, [_event(time) for time in fast])],
        "b": [_batch(10, "b", 1, [_event(time, user="Jürgen") for time in fast])],
        "coalmine.events/2": [_json(10 + n, one_object % time) for n, time in enumerate(fast)],
    }
    for agent, messages in forms.items():
        found = aggregate(RecordKind.EVENTS, messages, Policies())
        assert _requests(found.partials) == {("s", agent): 4}
        [partial] = found.partials
        told = [(cell.tick, cell.last) for cell in partial.cells if not cell.is_of_all_hosts]
        assert told == [(NOW, NOW + 500)]


def test_crashes_too_happened_when_they_arrived_at_the_latest() -> None:
    """Whoever sent them; those from the future are set aside, and only those."""
    crashes = [
        Crash(time=time, service="s", release="1", exception_type=name, runtime="python")
        for name, time in (("A", NOW - 1_000), ("B", NOW + 10_000), ("C", NOW + 700_000))
    ]
    schema = {arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.CRASHES).encode()}
    value = arrow.encode(arrow.batch_from_records(RecordKind.CRASHES, crashes))
    ours = Message("coalmine.crashes", 0, 1, NOW, schema, value)
    foreign = [
        Message("coalmine.crashes", 0, offset, NOW, {}, msgspec.json.encode(crash))
        for offset, crash in enumerate(crashes)
    ]
    for messages in ([ours], foreign):
        found = aggregate(RecordKind.CRASHES, messages, Policies())
        assert sorted(seen.time for seen in found.sightings) == [NOW - 1_000, NOW]
        assert [letter.reason for letter in found.dead_letters] == ["time in the future"]


def test_bad_messages_among_thousands_are_found_where_they_are() -> None:
    """Thousands are decoded in parts; of no part but the bad ones' own is anything lost."""
    bad = [0, 998, 999, 1000, 2400]
    good = b'{"time": %d, "service.name": "t", "service.version": "1"}' % NOW
    messages = [_json(10 + n, b"{" if n in bad else good) for n in range(2500)]
    messages[1700:2700] = [one._replace(value=b"[]") for one in messages[1700:2700]]
    found = aggregate(RecordKind.EVENTS, messages, Policies())
    places = [*bad[:-1], *range(1700, 2500)]
    assert [d.origin for d in found.dead_letters] == [f"coalmine.events/2/{n + 10}" for n in places]
    assert found.records == sum(_requests(found.partials).values()) == 2500 - len(places)


def test_one_by_one_or_at_once_is_the_same() -> None:
    """However a stretch is cut, counts, dead letters and sightings are the same in all."""
    messages = _mixed()
    whole = aggregate(RecordKind.EVENTS, messages, Policies())
    single = [aggregate(RecordKind.EVENTS, [message], Policies()) for message in messages]
    assert _requests(whole.partials) == _requests([p for one in single for p in one.partials])
    assert sorted(d.id for d in whole.dead_letters) == sorted(
        d.id for one in single for d in one.dead_letters
    )


def test_a_batch_that_was_sent_twice_is_fenced() -> None:
    """Within a stretch too; the last number of each agent is remembered."""
    messages = [
        _batch(10, "a", 4, [_event()]),
        _batch(11, "a", 5, [_event()]),
        _batch(12, "a", 5, [_event()]),
        _batch(13, "b", 1, [_event()]),
        _json(14, b"{}"),
    ]
    found = unfenced(messages, lambda agent: {"a": 4}.get(agent, -1))
    assert [message.offset for message in found.messages] == [11, 13, 14]
    assert (found.fenced, found.last_seq) == ((10, 12), {"a": 5, "b": 1})


def test_sightings_of_crashes_keep_the_message_they_came_in() -> None:
    """So that the same message read again gives the same ids."""
    crash = Crash(time=NOW, service="s", release="1", exception_type="E", runtime="python")
    messages = [
        Message("coalmine.crashes", 0, offset, NOW, {}, msgspec.json.encode(crash))
        for offset in (3, 4)
    ]
    found = aggregate(RecordKind.CRASHES, messages, Policies())
    again = aggregate(RecordKind.CRASHES, messages[1:], Policies())
    assert [s.id.split("/s/")[0] for s in found.sightings] == [m.origin for m in messages]
    assert (found.sightings[1].id, found.sightings[1].count) == (again.sightings[0].id, 1)
    assert found.partials[0].cells[0].counts["crash"] == 2


def _any_events(chosen: random.Random, count: int) -> list[Event]:
    """Events with everything that a batch may hold: no ids, strange statuses, several names."""
    return [
        _event(
            NOW + chosen.randrange(-3000, 3000),
            service=chosen.choice(["s", "t", ""]),
            release=chosen.choice(["1", "2", ""]),
            host=chosen.choice(["h", "g", ""]),
            arm=chosen.choice(["", "canary"]),
            name=chosen.choice(["request", "click", "unknown", ""]),
            route=chosen.choice(["/a", "/b", ""]),
            status=chosen.choice([None, 0, 1, 99, 200, 503, 599, 600, -3]),
            ok=chosen.random() < 0.8,
            size_bytes=chosen.choice([0, 10**9]),
            duration_ms=chosen.choice([None, math.nan, math.inf, 0.0, chosen.expovariate(0.01)]),
            user=chosen.choice([None, "", "u", "a user whose name is longer than two words"]),
            session=chosen.choice([None, f"session-{chosen.randrange(40)}"]),
        )
        for _ in range(count)
    ]


def _sums(partials: list[Partial]) -> dict[tuple[str, ...], list[object]]:
    """Everything that partials say, added up, whatever their cells and the order of these."""
    tallies: dict[tuple[str, ...], Tally] = {}
    times: dict[tuple[str, ...], list[int]] = {}
    for partial in partials:
        for cell in partial.cells:
            labels = cell.release, cell.host, cell.agent, cell.arm, cell.stratum, str(cell.tick)
            key = (partial.service, *labels)
            tallies.setdefault(key, Tally()).add_cell(cell)
            last, first_bad = times.get(key, [0, sys.maxsize])
            times[key] = [max(last, cell.last), min(first_bad, cell.first_bad or sys.maxsize)]
    return {key: [msgspec.to_builtins(tally), *times[key]] for key, tally in tallies.items()}


def test_a_stretch_says_the_sum_of_what_its_messages_say() -> None:
    """Counters, histograms, sketches and times, of batches with everything that one may hold."""
    policies = Policies(
        {
            "s": Policy(service="s", stratify_by=StratifyBy.ROUTE),
            "t": Policy(service="t", metrics=[Metric(name="a", unit=Unit.USER)]),
        }
    )
    for seed in range(10):
        chosen = random.Random(seed)
        messages = [
            _batch(number, chosen.choice("ab"), number, _any_events(chosen, chosen.randrange(60)))
            for number in range(1, 12)
        ]
        whole = aggregate(RecordKind.EVENTS, messages, policies).partials
        single = [aggregate(RecordKind.EVENTS, [one], policies).partials for one in messages]
        assert _sums(whole) == _sums([p for one in single for p in one]), f"seed {seed}"
        assert sum(len(p.cells) for p in whole) == len(_sums(whole)), "one cell of each kind"


def test_a_batch_of_records_without_a_time_is_set_aside() -> None:
    """Alone: those around it are counted."""
    good = _batch(10, "a", 1, [_event()])
    batch = arrow.decode(RecordKind.EVENTS, good.value)
    times = pa.nulls(1, batch.schema.field("time").type)
    timeless = pa.RecordBatch.from_arrays([times, *batch.columns[1:]], schema=batch.schema)
    bad = good._replace(offset=11, value=arrow.encode(timeless))
    found = aggregate(RecordKind.EVENTS, [good, bad], Policies())
    assert (found.records, [letter.reason for letter in found.dead_letters]) == (1, ["no time"])


def test_batches_are_aggregated_without_pandas() -> None:
    """Loading it would hold up a worker's first message for a second."""
    code = (
        "import sys; from contracts.policy import Policies; from contracts.records import *;"
        "from streams.messages import Message, aggregate;"
        "headers = {'schema': b'coalmine.events.v1', 'agent': b'a', 'seq': b'1'};"
        f"message = Message('coalmine.events', 0, 0, {NOW}, headers, sys.stdin.buffer.read());"
        "print(aggregate(RecordKind.EVENTS, [message] * 2, Policies()).records, *sys.modules)"
    )
    value = _batch(0, "a", 1, _any_events(random.Random(1), 100)).value
    done = subprocess.run([sys.executable, "-c", code], input=value, stdout=-1, check=True)
    records, *modules = done.stdout.decode().split()
    assert records == "200"
    assert "pandas" not in modules
