"""Sentry's event JSON → crashes, so that a service with a Sentry SDK needs no change.

An event is read as SDKs write it today (``exception.values[]``, ``threads``, ``logentry``) and as
old ones did (``sentry.interfaces.Exception`` and the like).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contracts.errors import InvalidRecord
from contracts.foreign import parse_time_ms
from contracts.records import Crash, Frame

Fields = Mapping[str, Any]

CAUSED_BY = "Caused by: "
"""Begins the line of every exception of a chain but the outermost one."""

_OLD_NAMES = {
    "exception": "sentry.interfaces.Exception",
    "stacktrace": "sentry.interfaces.Stacktrace",
    "logentry": "sentry.interfaces.Message",
    "template": "sentry.interfaces.Template",
    "user": "sentry.interfaces.User",
    "csp": "sentry.interfaces.Csp",
}
_REPORTS = ("csp", "expectct", "expectstaple", "hpkp")
"""What browsers report of a page that broke its own security rules."""

_FAILURES = ("exception", "stacktrace", "threads", "template", *_REPORTS)
_HARMLESS = ("debug", "log", "info", "warning")
_NO_NAMESPACE = ("builtins", "__builtin__", "exceptions", "__main__")
_NAMESPACE = re.compile(r"[\w$]+(?:[./\\][\w$-]+)*")
_ORIGIN = re.compile(r"(?P<scheme>[\w.+-]+)(?:://(?P<host>[^/?#]*))?")
_LINE = re.compile(r"\d{1,9}")
_CHAIN_LIMIT = 32
_FRAMES_LIMIT = 256
_TYPE_LIMIT = 1_024
_MESSAGE_LIMIT = 8_192


def crashes_of_event(event: Fields, *, now_ms: int | None = None) -> list[Crash]:
    """The crash that an event reports; none where it reports no failure.

    A chain of exceptions is one crash: the outermost exception is its type, ``frames`` holds the
    calls of the whole chain (outermost exception first, the root cause's innermost call last), and
    ``stacktrace`` shows the chain, causes below ``Caused by:``. A message without an exception is
    a crash if its level is ``error`` or worse, which is also what a missing level means, and
    nothing otherwise; its ``exception_message`` is the template, so that parameters do not make
    groups. Without an exception the stack of the crashed thread counts. ``service`` is what
    the tags or the resource say and often empty: who received the event knows it.

    Args:
        event: one event, decoded from JSON.
        now_ms: time of an event that says none which can be read, epoch milliseconds.

    Raises:
        InvalidRecord: no event of a failure at all, for example a transaction, or no time.
    """
    if event.get("type") in ("transaction", "profile", "check_in", "replay_event", "feedback"):
        raise InvalidRecord("not an error event", str(event["type"]))
    chain = list(_chain(event))
    logged = _logged(event)
    if not chain and not logged and not any(_part(event, name) for name in _FAILURES):
        raise InvalidRecord("no failure in the event", f"has {', '.join(sorted(event)[:20])}")
    if not any(_part(event, name) for name in _FAILURES) and event.get("level") in _HARMLESS:
        return []
    time = _time_ms(event.get("timestamp"), now_ms)
    thread = _crashed_thread(event, chain[0] if chain else {})
    stacks = [_frames(_mapping(part.get("stacktrace"))) for part in chain]
    if not any(stacks):
        stacks = [_stack_without_exception(event, thread), *stacks[1:]]
    names = [(_type(part), _text(part.get("value"))) for part in chain] or [_headline(event)]
    kind, message = names[0]
    return [
        Crash(
            time=time,
            frames=[frame for stack in stacks for frame in stack],
            exception_type=kind[:_TYPE_LIMIT],
            exception_message=(message or (logged if not kind else ""))[:_MESSAGE_LIMIT],
            stacktrace=_rendered(names, stacks),
            thread=_text(thread.get("name")),
            **_labels(event),
        )
    ]


def _labels(event: Fields) -> dict[str, Any]:
    tags = _tags(event.get("tags"))
    contexts = _mapping(event.get("contexts"))
    resource = _mapping(_mapping(contexts.get("otel")).get("resource"))
    platform = _text(event.get("platform"))
    if platform in ("", "other"):
        platform = _text(_mapping(contexts.get("runtime")).get("name"))
    return {
        "service": tags.get("service.name") or _text(resource.get("service.name")),
        "release": _text(event.get("release")) or tags.get("release", ""),
        "host": _text(event.get("server_name")) or tags.get("server_name", ""),
        "runtime": platform,
        "user": _text(_mapping(_part(event, "user")).get("id")) or None,
        "trace": _text(_mapping(contexts.get("trace")).get("trace_id")) or None,
        "arm": tags.get("arm", ""),
    }


def _part(event: Fields, name: str) -> Any:  # noqa: ANN401 - any JSON value
    return event.get(name) or event.get(_OLD_NAMES.get(name, name))


def _chain(event: Fields) -> Iterator[Fields]:
    """Exceptions, outermost first: an event has the root cause first."""
    values = [value for value in _values(_part(event, "exception")) if value]
    if len(values) > _CHAIN_LIMIT:
        values = values[: _CHAIN_LIMIT // 2] + values[-_CHAIN_LIMIT // 2 :]
    return reversed(values)


def _values(part: object) -> list[Fields]:
    """The list that ``{"values": […]}``, a bare list or a single object holds."""
    if isinstance(part, Mapping):
        part = part.get("values", [part])
    return [_mapping(item) for item in part] if isinstance(part, Sequence) else []


def _mapping(value: object) -> Fields:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    """What a field says; numbers as text, anything else as nothing."""
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else ""


def _tags(tags: object) -> dict[str, str]:
    if isinstance(tags, Mapping):
        return {str(name): _text(value) for name, value in tags.items()}
    pairs = tags if isinstance(tags, list) else []
    return {_text(p[0]): _text(p[1]) for p in pairs if isinstance(p, list) and len(p) == 2}


def _type(exception: Fields) -> str:
    """The type with its namespace, as a traceback in a log would name it."""
    kind, namespace = _text(exception.get("type")), _text(exception.get("module"))
    is_plain = bool(kind) and not re.search(r"[.:\\\s]", kind)
    if is_plain and namespace not in _NO_NAMESPACE and _NAMESPACE.fullmatch(namespace):
        return f"{namespace}.{kind}"
    return kind


def _logged(event: Fields) -> str:
    """The message of a log call; its template where the event says it."""
    entry = _part(event, "logentry") or event.get("message")
    fields = _mapping(entry)
    return _text(fields.get("message")) or _text(fields.get("formatted")) or _text(entry)


def _headline(event: Fields) -> tuple[str, str]:
    """Type and message of an event without an exception."""
    for name in _REPORTS:
        if report := _mapping(_part(event, name)):
            return name, _violation(report)
    if template := _mapping(_part(event, "template")):
        return "TemplateError", _text(template.get("context_line")).strip()
    return "", _logged(event)


def _violation(report: Fields) -> str:
    """The rule and the host that broke it: whole addresses differ from page to page."""
    rule = _text(report.get("effective_directive")) or _text(report.get("violated_directive"))
    blocked = _ORIGIN.match(_text(report.get("blocked_uri")))
    origin = (blocked["host"] or blocked["scheme"]) if blocked else ""
    words = (*rule.split()[:1], origin, _text(report.get("hostname")))
    return " ".join(word for word in words if word)


def _crashed_thread(event: Fields, exception: Fields) -> Fields:
    threads = _values(event.get("threads"))
    ids = [t for t in threads if "thread_id" in exception and t.get("id") == exception["thread_id"]]
    for chosen in (ids, [t for t in threads if t.get("crashed")], threads):
        current = [thread for thread in chosen if thread.get("current")]
        for alone in (chosen, current):
            if len(alone) == 1:
                return alone[0]
    return {}


def _stack_without_exception(event: Fields, thread: Fields) -> list[Frame]:
    template = _mapping(_part(event, "template"))
    if file := _text(template.get("filename")) or _text(template.get("abs_path")):
        return [Frame(file=file, line=_line(template.get("lineno")))]
    return _frames(_mapping(_part(event, "stacktrace"))) or _frames(
        _mapping(thread.get("stacktrace"))
    )


def _frames(stacktrace: Fields) -> list[Frame]:
    found = stacktrace.get("frames")
    frames = [_frame(_mapping(f)) for f in found if f] if isinstance(found, list) else []
    if len(frames) > _FRAMES_LIMIT:
        frames = frames[: _FRAMES_LIMIT // 2] + frames[-_FRAMES_LIMIT // 2 :]
    return frames


def _frame(fields: Fields) -> Frame:
    in_app = fields.get("in_app")
    image = _text(fields.get("package"))
    address = _text(fields.get("abs_path"))
    name = _text(fields.get("filename"))
    return Frame(
        # native frames have no module but the image that they were loaded from
        module=_text(fields.get("module")) or re.split(r"[/\\]", image)[-1],
        function=_text(fields.get("function")) or _text(fields.get("symbol")),
        # an address says whether the file is a script's or a page's
        file=address if "://" in address or not name else name,
        line=_line(fields.get("lineno")),
        in_app=in_app if isinstance(in_app, bool) else None,
    )


def _line(value: object) -> int | None:
    text = _text(value)
    return int(text) if _LINE.fullmatch(text) else None


def _time_ms(value: object, now_ms: int | None) -> int:
    """Epoch milliseconds of RFC 3339 or epoch seconds."""
    try:
        if isinstance(value, str) and not re.fullmatch(r"\d+(?:\.\d+)?", value):
            return parse_time_ms(value)
        return parse_time_ms(float(_text(value) or "nan") * 1_000)
    except InvalidRecord:
        if now_ms is None:
            raise
        return now_ms


def _rendered(names: Sequence[tuple[str, str]], stacks: Sequence[Sequence[Frame]]) -> str:
    """The chain for people to read, innermost calls on top; no runtime writes it like this."""
    lines: list[str] = []
    for index, (kind, message) in enumerate(names):
        said = ": ".join(word for word in (kind, message[:_MESSAGE_LIMIT]) if word)
        head = (CAUSED_BY if index else "") + said.replace("\n", "\n  ")
        calls = stacks[index] if index < len(stacks) else ()
        lines += [head, *(_rendered_frame(frame) for frame in reversed(calls))]
    return "\n".join(lines).strip("\n")


def _rendered_frame(frame: Frame) -> str:
    name = ".".join(word for word in (frame.module, frame.function) if word) or "?"
    place = frame.file if frame.line is None else f"{frame.file}:{frame.line}"
    where = f" ({place})" if frame.file else ""
    return f"    in {name}{where}" + (" [library]" if frame.in_app is False else "")
