"""Sentry's event JSON to crashes."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import InvalidRecord
from contracts.records import Crash, Frame
from contracts.sentry import crashes_of_event

NOW = 1_790_000_000_000
FRAMES = [
    {"module": "django.core", "function": "call", "filename": "django/core.py", "in_app": False},
    {"module": "shop.cart", "function": "total", "filename": "shop/cart.py", "lineno": 12},
]


def exception(kind: str, message: str, **fields: Any) -> dict[str, Any]:
    """One entry of ``exception.values``."""
    return {"type": kind, "value": message, "stacktrace": {"frames": FRAMES}, **fields}


def crash_of(event: dict[str, Any]) -> Crash:
    """The one crash of an event."""
    [crash] = crashes_of_event(event, now_ms=NOW)
    return crash


def test_every_field_of_an_event_has_its_place() -> None:
    """Release, host, user, trace, runtime, time and frames are those of the event."""
    crash = crash_of(
        {
            "timestamp": "2026-11-25T10:00:00.250Z",
            "platform": "python",
            "release": "shop@1.2",
            "server_name": "web-1",
            "user": {"id": 7},
            "tags": [["service.name", "shop"], ["arm", "canary"]],
            "contexts": {"trace": {"trace_id": "abc"}},
            "exception": {"values": [exception("CartError", "empty", module="shop.errors")]},
        }
    )
    assert crash == Crash(
        time=1_795_600_800_250,
        service="shop",
        release="shop@1.2",
        host="web-1",
        runtime="python",
        exception_type="shop.errors.CartError",
        exception_message="empty",
        stacktrace=(
            "shop.errors.CartError: empty\n"
            "    in shop.cart.total (shop/cart.py:12)\n"
            "    in django.core.call (django/core.py) [library]"
        ),
        frames=[
            Frame(module="django.core", function="call", file="django/core.py", in_app=False),
            Frame(module="shop.cart", function="total", file="shop/cart.py", line=12),
        ],
        user="7",
        trace="abc",
        arm="canary",
    )


def test_a_chain_is_one_crash_of_its_outermost_exception() -> None:
    """Causes stay in the text and in the frames, the root cause's innermost call last."""
    cause = {"type": "KeyError", "value": "'a'", "stacktrace": {"frames": [{"function": "get"}]}}
    crash = crash_of({"exception": {"values": [cause, exception("CartError", "two\nlines")]}})
    assert crash.exception_type == "CartError"
    assert [frame.function for frame in crash.frames] == ["call", "total", "get"]
    assert crash.stacktrace.splitlines()[0:2] == ["CartError: two", "  lines"]
    assert crash.stacktrace.splitlines()[-2:] == ["Caused by: KeyError: 'a'", "    in get"]


@pytest.mark.parametrize("wrapped", [[exception("E", "m")], exception("E", "m")])
def test_the_shapes_of_old_clients_mean_the_same(wrapped: object) -> None:
    """A list, a single object and the interface's old name are read like ``values``."""
    expected = crash_of({"exception": {"values": [exception("E", "m")]}})
    assert crash_of({"exception": wrapped}) == expected
    assert crash_of({"sentry.interfaces.Exception": {"values": [exception("E", "m")]}}) == expected


@pytest.mark.parametrize(
    "event",
    [
        {"stacktrace": {"frames": FRAMES}},
        {"threads": {"values": [{"id": 1}, {"id": 2, "crashed": True, "name": "main"}]}},
        {"threads": [{"id": 2, "current": True}, {"id": 3}]},
        {
            "exception": [{"type": "E", "value": "m", "thread_id": 2}],
            "threads": [{"id": 1, "crashed": True}, {"id": 2}],
        },
    ],
)
def test_without_an_exception_the_crashed_threads_stack_counts(event: dict[str, Any]) -> None:
    """The exception's own thread before the crashed one, that before the current one."""
    for thread in event.get("threads", {}) and (
        event["threads"] if isinstance(event["threads"], list) else event["threads"]["values"]
    ):
        named = "total" if thread["id"] == 2 else "other"
        thread["stacktrace"] = {"frames": [{"function": named}]}
    assert crash_of(event).frames[-1].function == "total"


def test_messages_are_crashes_from_level_error_on() -> None:
    """The template names the crash; a warning is none; a missing level is an error."""
    entry = {"message": "no %s", "params": ["beef"], "formatted": "no beef"}
    assert crash_of({"logentry": entry}).exception_message == "no %s"
    assert crash_of({"message": "plain", "level": "fatal"}).exception_message == "plain"
    assert crashes_of_event({"logentry": entry, "level": "warning"}, now_ms=NOW) == []
    warned = {"exception": [exception("E", "m")], "level": "warning"}
    assert crash_of(warned).exception_type == "E"


def test_a_browsers_report_names_rule_and_host() -> None:
    """Addresses of pages do not make groups."""
    report = {"effective_directive": "img-src", "blocked_uri": "https://a.example/x.png?y=1"}
    assert crash_of({"csp": report}).exception_message == "img-src a.example"
    assert crash_of({"csp": {**report, "blocked_uri": "data:x"}}).exception_message == (
        "img-src data"
    )


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (1_795_600_800.25, 1_795_600_800_250),
        ("1795600800.25", 1_795_600_800_250),
        ("2026-11-25T10:00:00", 1_795_600_800_000),
        (None, NOW),
        ("soon", NOW),
        (True, NOW),
    ],
)
def test_times_are_read_in_every_form_of_the_clients(timestamp: object, expected: int) -> None:
    """ISO text, epoch seconds as number or text; the time of receipt for what is neither."""
    assert crash_of({"message": "m", "timestamp": timestamp}).time == expected


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, "no failure in the event"),
        ({"type": "transaction", "exception": [exception("E", "m")]}, "not an error event"),
        ({"level": "error", "tags": {"a": "b"}}, "no failure in the event"),
    ],
)
def test_what_reports_no_failure_is_invalid(event: dict[str, Any], reason: str) -> None:
    """The reason is stable, so that it can be counted."""
    with pytest.raises(InvalidRecord) as raised:
        crashes_of_event(event, now_ms=NOW)
    assert raised.value.reason == reason


def test_without_any_time_an_event_is_invalid() -> None:
    """Nobody guesses when it happened."""
    with pytest.raises(InvalidRecord, match="no time"):
        crashes_of_event({"message": "m"})


@pytest.mark.parametrize(
    "odd",
    [
        {"exception": "text"},
        {"exception": {"values": [None, 3, {"type": 5, "value": {"a": 1}, "stacktrace": "x"}]}},
        {"exception": [{"type": "E", "stacktrace": {"frames": [None, 1, {"lineno": "x"}]}}]},
        {"message": "m", "tags": [["a"], 3], "user": "ann", "contexts": [], "release": None},
        {"threads": {"values": "x"}, "message": ["m"], "exception": {"values": None}},
    ],
)
def test_values_of_wrong_types_never_break_an_event(odd: dict[str, Any]) -> None:
    """What strangers send is read as far as it makes sense, or refused with a reason."""
    try:
        crashes = crashes_of_event(odd, now_ms=NOW)
    except InvalidRecord:
        return
    assert len(crashes) == 1
