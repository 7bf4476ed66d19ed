"""What Sentry's SDKs send: errors become crashes, sessions events; all else is passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord
from contracts.foreign import parse_time_ms
from contracts.records import Crash, Event
from contracts.sentry import crashes_of_event
from ingest.receiver.envelope import Item, read_envelope
from ingest.receiver.origin import Origin
from ingest.receiver.received import Group, Received, Refused, key_of

MAX_SESSIONS = 100_000
"""Of one request: a minute of one process is far below."""

_Fields = Mapping[str, Any]
_TOLD = "session", "session that went wrong"
_WELL = ("exited",)
_WRONG = ("errored", "abnormal", "unhandled", "crashed")


def read_store(body: bytes, origin: Origin) -> Received:
    """The one event that an old SDK sends.

    Raises:
        InvalidRecord: it is none.
    """
    reader = _Reader(origin, "", 0, b"")
    reader.take_event(body)
    return reader.received


def read_envelope_request(body: bytes, origin: Origin) -> Received:
    """What an envelope holds; a bad item does not keep the others from being used.

    Raises:
        InvalidRecord: it is no envelope.
    """
    headers, items = read_envelope(body)
    sent_at = headers.get("sent_at")
    # two processes may tell of the same few sessions in the same words, but not at the same moment
    whole = key_of("envelope", body) if sent_at else b""
    reader = _Reader(origin, _id(headers.get("event_id")), origin.drift_ms(sent_at), whole)
    for item in items:
        reader.take(item)
    return reader.received


class _Reader:
    """Takes the items of one envelope.

    Args:
        origin: who sent it.
        event_id: what the envelope says.
        drift_ms: by how much the sender's clock is behind.
        whole: key of the whole envelope, or nothing.
    """

    def __init__(self, origin: Origin, event_id: str, drift_ms: int, whole: bytes) -> None:
        self._origin = origin
        self._drift_ms = drift_ms
        self._whole = whole
        self._take: dict[str, Callable[[bytes], None]] = {
            "event": self.take_event,
            "session": self._take_session,
            "sessions": self._take_sessions,
        }
        self.received = Received(event_id=event_id)

    def take(self, item: Item) -> None:
        """One item; never raises for what stands in it."""
        take = self._take.get(item.type)
        if take is None:
            self.received.ignored[item.type] += 1
            return
        try:
            take(item.payload)
        except InvalidRecord as error:
            service = self._origin.labels.service
            self.received.refused.append(Refused(error, item.payload, service))

    def take_event(self, payload: bytes) -> None:
        """An error.

        Raises:
            InvalidRecord: it is none.
        """
        event = _object(payload)
        received, origin = self.received, self._origin
        received.event_id = _id(event.get("event_id")) or received.event_id
        crashes = crashes_of_event(event, now_ms=origin.now_ms - self._drift_ms)
        if not crashes:
            received.ignored["message"] += 1
            return
        for crash in crashes:
            self._label(crash)
        is_named = bool(received.event_id)
        key = key_of("event", origin.project, received.event_id) if is_named else b""
        received.groups.append(Group(key, crashes))

    def _label(self, crash: Crash) -> None:
        labels = self._origin.named(crash.service, crash.release, crash.host)
        crash.time = self._origin.time_ms(crash.time, self._drift_ms)
        crash.service, crash.release, crash.host = labels.service, labels.release, labels.host
        crash.arm = crash.arm or labels.arm

    def _take_session(self, payload: bytes) -> None:
        """One session, told of when it begins and when something changes.

        It counts once when it begins well and once when it goes wrong: whether it will is not known
        before, and what runs in a browser never says that a session ended.
        """
        fields = _object(payload)
        is_wrong = fields.get("status") in _WRONG or _count(fields, "errors") > 0
        if not (is_wrong or fields.get("init")):
            self.received.ignored["session update"] += 1
            return
        origin, drift_ms = self._origin, self._drift_ms
        session = _text(fields.get("sid"))
        event = _session_event(fields, origin, is_wrong=is_wrong)
        claimed_ms = _time_ms(fields.get("timestamp"), origin.now_ms - drift_ms)
        event.time = origin.time_ms(claimed_ms, drift_ms)
        event.user, event.session = _text(fields.get("did")) or None, session or None
        key = key_of(_TOLD[is_wrong], origin.project, session) if session else b""
        self.received.groups.append(Group(key, [event]))

    def _take_sessions(self, payload: bytes) -> None:
        """Sessions of a server, one for each request, counted by how they ended.

        They are told of within a minute of their end. Their time is that of the report: the second
        in which they began may have been judged already.
        """
        room = MAX_SESSIONS - self.received.records
        events = list(_aggregated(_object(payload), self._origin, room))
        if events:
            number = str(len(self.received.groups))
            key = key_of("sessions", self._whole, number) if self._whole else b""
            self.received.groups.append(Group(key, events))


def _aggregated(fields: _Fields, origin: Origin, limit: int) -> Iterator[Event]:
    for aggregate in _list(fields.get("aggregates")):
        for ending in (*_WELL, *_WRONG):
            count = _count(aggregate, ending)
            limit -= count
            if limit < 0:
                raise InvalidRecord("too many sessions", f"more than {MAX_SESSIONS} in a request")
            event = _session_event(fields, origin, is_wrong=ending in _WRONG)
            event.user = _text(aggregate.get("did")) or None
            for _ in range(count):
                yield event


def _session_event(fields: _Fields, origin: Origin, *, is_wrong: bool) -> Event:
    attributes = fields.get("attrs")
    release = _text(attributes.get("release")) if isinstance(attributes, Mapping) else ""
    labels = origin.named("", release)
    return Event(
        time=origin.now_ms,
        service=labels.service,
        release=labels.release,
        host=labels.host,
        arm=labels.arm,
        name="session",
        ok=not is_wrong,
    )


def _object(payload: bytes) -> _Fields:
    try:
        fields = msgspec.json.decode(payload)
    except UNREADABLE as error:
        raise InvalidRecord("not json", str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidRecord("not a json object", type(fields).__name__)
    return fields


def _list(value: object) -> list[_Fields]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(fields: _Fields, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _id(value: object) -> str:
    return _text(value).replace("-", "").lower()[:64]


def _time_ms(value: object, default_ms: int) -> int:
    """Epoch milliseconds of RFC 3339 or epoch seconds."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return parse_time_ms(value * 1_000)
        return parse_time_ms(value)
    except InvalidRecord:
        return default_ms
