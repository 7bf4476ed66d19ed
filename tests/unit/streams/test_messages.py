"""Stretches of telemetry messages to partials."""

from __future__ import annotations

from collections import Counter

import msgspec

from contracts import arrow
from contracts.policy import Policies
from contracts.records import Crash, Event, RecordKind
from contracts.results import Partial
from streams.messages import Message, aggregate, unfenced

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
    return found


def _mixed() -> list[Message]:
    return [
        _batch(10, "a", 1, [_event(), _event(host="g")]),
        _json(11, b'{"time": %d, "service.name": "t", "service.version": "1"}' % NOW),
        _batch(12, "b", 7, [_event(), _event(service="t")]),
        _json(13, b"{"),
        _json(14, b'{"time": %d, %s}' % (NOW, TOO_LARGE)),
        _json(15, b'{"time": %d, "service.name": "t", "service.version": "1"}' % (NOW + 10**9)),
        _batch(16, "a", 2, [_event(), _event(NOW + 10**9)]),
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
    assert len(found.sightings) == 2
    assert found.sightings[1] == again.sightings[0]
    assert found.partials[0].cells[0].counts["crash"] == 2
