"""The four telemetry records: what services, machines and crash files tell Coalmine.

Python names are short; the JSON names are OpenTelemetry's semantic conventions (design §3).
Times are epoch milliseconds, UTC.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

_IDENTITY = {
    "service": "service.name",
    "release": "service.version",
    "host": "host.name",
    "user": "user.id",
    "session": "session.id",
    "trace": "trace.id",
}


class RecordKind(StrEnum):
    """Name of a telemetry stream; also the last word of its topic and of its schema header."""

    EVENTS = "events"
    CRASHES = "crashes"
    LOGS = "logs"
    HOSTS = "hosts"


class Event(
    msgspec.Struct,
    kw_only=True,
    rename={
        **_IDENTITY,
        "name": "event.name",
        "route": "http.route",
        "status": "http.response.status_code",
        "size_bytes": "http.response.body.size",
    },
):
    """Something a user or machine did that had an outcome, for example one HTTP request.

    ``ok`` defaults to ``status < 500``, and to true where there is no status.
    """

    time: int
    service: str
    release: str
    host: str = ""
    name: str = "request"
    route: str = ""
    status: int | None = None
    ok: bool = True
    size_bytes: int = 0
    duration_ms: float | None = None
    user: str | None = None
    session: str | None = None
    trace: str | None = None
    arm: str = ""


class LogLine(msgspec.Struct, kw_only=True, rename=_IDENTITY):
    """One line (or joined group of lines) that a service logged."""

    time: int
    service: str
    release: str
    host: str = ""
    severity: str = "info"
    message: str = ""
    trace: str | None = None
    attributes: dict[str, str] = {}


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One call of a stack, outermost first in a list; ``in_app`` is None where it is not known."""

    module: str = ""
    function: str = ""
    file: str = ""
    line: int | None = None
    in_app: bool | None = None


class Crash(
    msgspec.Struct,
    kw_only=True,
    rename={
        **_IDENTITY,
        "runtime": "process.runtime.name",
        "exception_type": "exception.type",
        "exception_message": "exception.message",
        "stacktrace": "exception.stacktrace",
        "thread": "thread.name",
    },
):
    """An unhandled failure: from a traceback in a log, a crash file or an SDK."""

    time: int
    service: str
    release: str
    host: str = ""
    runtime: str = ""
    exception_type: str = ""
    exception_message: str = ""
    stacktrace: str = ""
    frames: list[Frame] = []
    thread: str = ""
    user: str | None = None
    session: str | None = None
    trace: str | None = None
    arm: str = ""


class HostSample(msgspec.Struct, kw_only=True, rename=_IDENTITY):
    """What a machine did at one moment, labelled with the service and release that ran on it."""

    time: int
    host: str
    service: str = ""
    release: str = ""
    cpu_percent: float | None = None
    memory_percent: float | None = None
    load1: float | None = None
    disk_percent: float | None = None
    open_files: int | None = None
    boot_time: int | None = None
    """When the machine was started, epoch milliseconds: another one means a restart."""


Record = Event | LogLine | Crash | HostSample
"""Whatever a service or its machine tells of."""

type_of_kind: dict[RecordKind, type[Record]] = {
    RecordKind.EVENTS: Event,
    RecordKind.CRASHES: Crash,
    RecordKind.LOGS: LogLine,
    RecordKind.HOSTS: HostSample,
}
