"""Everything that reads bytes of strangers, each as one function of bytes, with good examples.

A target lets through only the errors that its callers expect; anything else is a finding. The
property tests, the long rounds (``make test-faults``) and ``python -m tests.fuzz`` share them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from alerting.intake import decode as decode_decision
from alerting.settings import AlertingConfig
from contracts import arrow, config, dead_letters, topics
from contracts.errors import ConfigError, InvalidRecord
from contracts.policy import Policies, Policy
from contracts.records import Crash, Event, Frame, HostSample, LogLine, Record, RecordKind
from contracts.results import (
    CrashGroupSighting,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    RolloutCommand,
    RolloutCommandAction,
    Verdict,
    Window,
    encode_partial,
)
from dashboard.access.users import UsersFile
from ingest.batch import Batch, build_entry, kind_of
from ingest.dead_letters import dead_letter
from ingest.parsers.base import Labels
from ingest.parsers.factory import parser_for
from ingest.receiver.origin import Origin
from ingest.receiver.routes import route_of
from ingest.redact import redactor_of
from ingest.rows import Rows
from ingest.settings import (
    AgentConfig,
    FileSource,
    Format,
    RedactionSettings,
    SourceKind,
    TimeSource,
)
from ingest.spool import Message as SpoolMessage
from ingest.tracebacks.detect import crash_of
from streams.index.documents import TOPICS, documents_of
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.judging import _decode as decode_judged
from streams.messages import Message, aggregate
from tests.support.alerting import decision_of
from tests.support.envelopes import envelope_of
from tests.support.partials import Traffic

NOW = 1_795_428_000_000
_LABELS = Labels("shop", "1", "h", "")
_REDACTOR = redactor_of(RedactionSettings(), b"key")
_POLICIES = Policies()


@dataclass(frozen=True)
class Target:
    """One reader of bytes."""

    name: str
    take: Callable[[bytes], object]
    seeds: list[bytes]
    expected: tuple[type[Exception], ...] = (InvalidRecord,)

    def feed(self, data: bytes) -> None:
        """Give it some bytes; an error that nobody expects comes through."""
        try:
            self.take(data)
        except self.expected:
            return


def _records() -> dict[RecordKind, Record]:
    return {
        RecordKind.EVENTS: Event(
            time=NOW, service="shop", release="1", host="h", route="/cart", status=200,
            duration_ms=1.5, user="u", session="s", trace="t",
        ),
        RecordKind.LOGS: LogLine(
            time=NOW, service="shop", release="1", message="hello é", attributes={"a": "b"}
        ),
        RecordKind.CRASHES: Crash(
            time=NOW, service="shop", release="1", exception_type="E", exception_message="m",
            stacktrace="a\nb", frames=[Frame(module="m", function="f", line=1, in_app=True)],
        ),
        RecordKind.HOSTS: HostSample(time=NOW, host="h", cpu_percent=1.0, open_files=3),
    }  # fmt: skip


def _message(topic: str, value: bytes, schema: bytes | None = None) -> Message:
    headers = {} if schema is None else {"schema": schema, "agent": b"a", "seq": b"1"}
    return Message(topic, 0, 1, NOW, headers, value)


def _telemetry(kind: RecordKind, *, is_arrow: bool) -> Target:
    record = _records()[kind]
    schema = arrow.schema_name(kind).encode() if is_arrow else None
    topic = topics.TELEMETRY[kind].name

    def take(data: bytes) -> None:
        found = aggregate(kind, [_message(topic, data, schema)], _POLICIES)
        for partial in found.partials:
            msgspec.json.encode(partial)
        assert found.partials or found.dead_letters or not found.records

    encoded = arrow.encode(arrow.batch_from_records(kind, [record, record]))
    seeds = [encoded] if is_arrow else [msgspec.json.encode(record)]
    return Target(f"{kind.value} {'arrow' if is_arrow else 'json'}", take, seeds)


def _results() -> dict[str, list[bytes]]:
    """Good messages of every topic behind telemetry, as the real parts make them."""
    state, policy = ServiceState(service="checkout"), Policy(service="checkout", autodetect=True)
    traffic = Traffic()
    first = [partial for second in range(15) for partial in traffic.second(second, ["1.4.2"])]
    partials = [*first, *(p for second in range(15, 60) for p in traffic.second(second))]
    outputs = [
        output
        for partial in partials
        for output in apply_partial(state, partial, policy, processed_time=NOW)
    ]
    crash = _records()[RecordKind.CRASHES]
    assert isinstance(crash, Crash)
    letter = dead_letters.dead_letter(
        InvalidRecord("not json"), stage="s", origin="o", payload=b"x", time=NOW
    )
    attempt = Delivery(
        id="d/e/1", time=NOW, decision="d", service="shop", rollout="r", endpoint="e", url="u",
        action=DecisionAction.ROLLBACK, attempt=1, outcome=DeliveryOutcome.DELIVERED,
    )  # fmt: skip
    command = RolloutCommand(
        id="i", time=NOW, service="shop", action=RolloutCommandAction.START, canary="2"
    )
    found: dict[str, list[Any]] = {
        topics.PARTIALS.name: partials[:2],
        topics.WINDOWS.name: [next(o for o in outputs if isinstance(o, Window))],
        topics.VERDICTS.name: [next(o for o in outputs if isinstance(o, Verdict))],
        topics.DECISIONS.name: [decision_of("shop")],
        topics.DELIVERIES.name: [attempt],
        topics.CRASH_GROUPS.name: _sightings(crash),
        topics.DEADLETTERS.name: [letter],
        topics.ROLLOUTS.name: [command],
    }
    written = {name: [*map(msgspec.json.encode, results)] for name, results in found.items()}
    written[topics.PARTIALS.name] += map(encode_partial, partials[:2])
    return written


def _sightings(crash: Crash) -> list[CrashGroupSighting]:
    message = _message(topics.CRASHES.name, msgspec.json.encode(crash))
    return aggregate(RecordKind.CRASHES, [message], Policies()).sightings


def messages_by_topic() -> dict[str, list[tuple[bytes, list[tuple[str, bytes]]]]]:
    """Good messages of every topic: value and headers."""
    found: dict[str, list[tuple[bytes, list[tuple[str, bytes]]]]] = {
        topic: [(value, []) for value in values] for topic, values in _results().items()
    }
    for kind, record in _records().items():
        batch = arrow.encode(arrow.batch_from_records(kind, [record, record]))
        schema = ("schema", arrow.schema_name(kind).encode())
        foreign = (msgspec.json.encode(record), list[tuple[str, bytes]]())
        found[topics.TELEMETRY[kind].name] = [(batch, [schema]), foreign]
    return found


def _document_target(topic: str, seeds: list[bytes]) -> Target:
    def take(data: bytes) -> None:
        for document in documents_of(_message(topic, data)):
            msgspec.json.encode(document.body)

    return Target(f"document {topic}", take, seeds)


def _parser_target(source: FileSource, *seeds: str) -> Target:
    parser = parser_for(source)

    def take(data: bytes) -> None:
        lines = data.split(b"\n") if source.kind is not SourceKind.CRASHES else [data]
        parsed = parser.parse(lines, _LABELS, NOW)
        assert len(parsed.records) + len(parsed.rejected) + parsed.ignored == len(lines)
        batch = Batch()
        batch.add(parsed.rows)
        found: Counter[str] = Counter()
        build_entry(batch, "a", 1, _refuse, lambda b: _REDACTOR.batch(b, found))

    return Target(
        f"parse {source.kind.value} {source.format.value}", take, [s.encode() for s in seeds]
    )


def _refuse(record: Record, detail: str) -> SpoolMessage:
    line = repr(record).encode("utf-8", "backslashreplace")
    return dead_letter(
        agent="a", identity="i", origin="o", reason="r", time=NOW, service="",
        **_REDACTOR.rejected(detail, line, Counter()),
    )  # fmt: skip


def _config_target(name: str, as_type: type[Any], seed: str) -> Target:
    def take(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return
        config.parse(text, as_type, source="file.yaml")

    return Target(f"config {name}", take, [seed.encode()], (ConfigError,))


_TRACE = (
    'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in pay\n'
    "    charge()\nValueError: no\n"
)
_EXAMPLES = Path(__file__).parents[2] / "examples"


def _crash(data: bytes) -> None:
    crash_of(data.decode("utf-8", "backslashreplace"), NOW, _LABELS)


def _judged_target(topic: str, seeds: list[bytes]) -> Target:
    return Target(f"judged {topic}", lambda data: decode_judged(_message(topic, data)), seeds)


def targets() -> list[Target]:
    """All of them."""
    results = _results()
    logs = arrow.encode(arrow.batch_from_records(RecordKind.LOGS, [_records()[RecordKind.LOGS]]))
    goroutine = b"goroutine 1 [running]:\nmain.f()\n\t/a.go:1\n"
    return [
        *(_telemetry(kind, is_arrow=is_arrow) for kind in RecordKind for is_arrow in (True, False)),
        *(_document_target(topic, results[topic]) for topic in TOPICS if topic in results),
        Target("document logs", lambda d: documents_of(_logs(d)), [logs]),
        *(_judged_target(t.name, results[t.name]) for t in (topics.PARTIALS, topics.ROLLOUTS)),
        Target("decision", decode_decision, results[topics.DECISIONS.name]),
        *_parsers(),
        *_received(),
        Target("traceback", _crash, [_TRACE.encode(), goroutine]),
        *_configs(),
    ]


def _logs(data: bytes) -> Message:
    schema = arrow.schema_name(RecordKind.LOGS).encode()
    return _message(topics.LOGS.name, data, schema)


def _parsers() -> list[Target]:
    event = '{"time": "2026-11-23T10:00:00Z", "http": {"route": "/a"}, "status": 500, "user": "u"}'
    crash = json.dumps({"time": NOW, "exception.type": "E", "frames": [{"line": 1}]})
    access = '1.2.3.4 - - [23/Nov/2026:10:00:00 +0000] "GET /a?b HTTP/1.1" 200 12 "-" "x" 0.5'
    pattern = r"\[(?P<time>[^\]]+)\] (?P<severity>[A-Z]+) (?P<message>.*)"
    logs, crashes = SourceKind.LOGS, SourceKind.CRASHES
    sources = [
        (FileSource(paths=["x"]), [event, event.replace("500", "200.5")]),
        (FileSource(paths=["x"], kind=logs), [event.replace("user", "msg")]),
        (FileSource(paths=["x"], kind=crashes), [crash]),
        (FileSource(paths=["x"], format=Format.COMBINED, fields={"extra": "duration_s"}), [access]),
        (FileSource(paths=["x"], format=Format.LOGFMT), ['time=1795428000000 msg="a b" status=2']),
        (
            FileSource(paths=["x"], kind=logs, format=Format.REGEX, pattern=pattern),
            ["[2026-11-23T10:00:00Z] WARN hi"],
        ),
        (
            FileSource(paths=["x"], kind=logs, format=Format.PLAIN, time=TimeSource.INGEST),
            ["ERROR password=x a@example.com"],
        ),
        (FileSource(paths=["x"], kind=crashes, format=Format.PLAIN), [_TRACE]),
    ]
    return [_parser_target(source, *seeds) for source, seeds in sources]


def _received() -> list[Target]:
    """What the agent's receiver reads, as Sentry's and OpenTelemetry's SDKs send it."""
    event = {
        "event_id": "a" * 32, "timestamp": NOW / 1000, "platform": "python", "release": "a@1",
        "exception": {"values": [{"type": "E", "value": "m", "stacktrace": {"frames": [{}]}}]},
    }  # fmt: skip
    counts = {"aggregates": [{"exited": 2, "crashed": 1}], "attrs": {"release": "1"}}
    session = {"sid": "s", "init": True, "status": "ok", "timestamp": "2026-11-23T10:00:00Z"}
    items = [("event", event), ("sessions", counts), ("session", session), ("attachment", {})]
    envelope = envelope_of(*items, headers={"event_id": "a" * 32, "sent_at": NOW})
    attributes = [
        {"key": "exception.type", "value": {"stringValue": "E"}},
        {"key": "exception.stacktrace", "value": {"stringValue": _TRACE}},
        {
            "key": "m",
            "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}},
        },
    ]
    record = {"timeUnixNano": str(NOW * 1_000_000), "severityNumber": 17, "traceId": "t"}
    logs = [{"logRecords": [{**record, "attributes": attributes}, {**record, "body": {}}]}]
    spans = [{"spans": [{"events": [{"name": "exception", "attributes": attributes}]}]}]
    resource = {"attributes": attributes}
    seeds = {
        "/api/1/envelope/": envelope,
        "/api/1/store/": msgspec.json.encode(event),
        "/v1/logs": msgspec.json.encode(
            {"resourceLogs": [{"resource": resource, "scopeLogs": logs}]}
        ),
        "/v1/traces": msgspec.json.encode({"resourceSpans": [{"scopeSpans": spans}]}),
    }
    return [_received_target(path, seed) for path, seed in seeds.items()]


def _received_target(path: str, seed: bytes) -> Target:
    route = route_of(path)
    assert route is not None

    def take(data: bytes) -> None:
        received = route.read(data, Origin(_LABELS, NOW, route.project))
        batch = Batch()
        for _, records in received.groups:
            for record in records:
                assert 0 <= record.time <= NOW
                batch.add(Rows.of(kind_of(record), [record]))
        found: Counter[str] = Counter()
        build_entry(batch, "a", 1, _refuse, lambda b: _REDACTOR.batch(b, found))

    return Target(f"received {path}", take, [seed], (InvalidRecord, RecursionError))


def _configs() -> list[Target]:
    policy = (
        "service: shop\ntolerance: 0.1\nmetrics:\n"
        "- {name: errors, kind: ratio, of: request, bad: request.bad}\n"
    )
    examples = [
        ("policy", Policy, policy),
        ("agent", AgentConfig, (_EXAMPLES / "agent.yaml").read_text(encoding="utf-8")),
        ("endpoints", AlertingConfig, (_EXAMPLES / "endpoints.yaml").read_text(encoding="utf-8")),
        ("users", UsersFile, "users: {alice: 'scrypt:1$2$3'}\n"),
    ]
    return [_config_target(name, as_type, seed) for name, as_type, seed in examples]
