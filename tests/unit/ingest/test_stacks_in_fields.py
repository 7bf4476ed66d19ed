"""Stacks in fields of JSON lines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.records import Crash, LogLine
from ingest.settings import FileSource
from ingest.source import Source

JAVA_STACK = "java.io.IOException: no disk\n\tat com.shop.Cart.total(Cart.java:10)"
NODE_STACK = "TypeError: no cart\n    at total (/srv/app/cart.js:3:9)"
PYTHON_STACK = (
    'Traceback (most recent call last):\n  File "/srv/cart.py", line 3, in total\nKeyError: 1'
)


@pytest.mark.parametrize(
    ("fields", "kind", "function"),
    [
        ({"stack": NODE_STACK}, "TypeError", "total"),
        ({"stack": NODE_STACK.split("\n")}, "TypeError", "total"),
        ({"exception": PYTHON_STACK}, "KeyError", "total"),
        ({"exc_info": PYTHON_STACK}, "KeyError", "total"),
        ({"stack_trace": JAVA_STACK}, "java.io.IOException", "total"),
        ({"exception.stacktrace": JAVA_STACK}, "java.io.IOException", "total"),
        ({"error": {"stack_trace": JAVA_STACK}}, "java.io.IOException", "total"),
        ({"attributes": {"exception.stacktrace": JAVA_STACK}}, "java.io.IOException", "total"),
        (
            {"error": {"name": "TypeError", "message": "x", "stack": NODE_STACK[19:]}},
            "TypeError",
            "total",
        ),
        (
            {"error": {"type": "KeyError", "message": "1", "stack_trace": PYTHON_STACK[35:-12]}},
            "KeyError",
            "total",
        ),
        (
            {"exception": {"class": "java.io.IOException", "stacktrace": JAVA_STACK}},
            "java.io.IOException",
            "total",
        ),
        (
            {
                "exception": [
                    {
                        "exc_type": "KeyError",
                        "exc_value": "1",
                        "frames": [{"filename": "/srv/cart.py", "lineno": 3, "name": "total"}],
                    }
                ]
            },
            "KeyError",
            "total",
        ),
    ],
)
@pytest.mark.parametrize("source", ["logs", "crashes"])
def test_stacks_in_fields_are_crashes(
    fields: dict[str, Any], kind: str, function: str, source: str
) -> None:
    """Whatever a logger calls the field of a stack: logs keep it below the message and tell of a
    crash besides, sources of crashes become one.
    """
    config = {"kind": source, "format": "json", "paths": ["x"], "service": "s", "crashes": True}
    line = msgspec.json.encode({"time": 1_795_428_000_000, "msg": "failed", **fields})
    made = Source(msgspec.convert(config, FileSource), "h")
    parsed, beside = made.parse("x", [line], {}, 1)

    (crash,) = beside.records() if source == "logs" else parsed.records
    assert not parsed.rejected
    assert isinstance(crash, Crash)
    assert crash.exception_type == kind
    assert crash.frames[-1].function == function
    if source == "logs":
        (logged,) = parsed.records
        assert isinstance(logged, LogLine)
        assert logged.message.startswith("failed\n")


@pytest.mark.parametrize(
    "fields", [{"exc_info": True}, {"exception": "KeyError: 1"}, {"error": "timed out"}]
)
def test_fields_without_a_stack_are_no_crash(fields: dict[str, Any]) -> None:
    """A logger's flag and an exception's name alone leave the log line as it is."""
    line = msgspec.json.encode({"time": 1_795_428_000_000, "msg": "failed", **fields})
    config = {"kind": "logs", "paths": ["x"], "service": "s", "crashes": True}
    parsed, beside = Source(msgspec.convert(config, FileSource), "h").parse("x", [line], {}, 1)

    (logged,) = parsed.records
    assert isinstance(logged, LogLine)
    assert logged.message == "failed"
    assert not beside


def test_a_trace_below_a_json_line_is_its_message_s_end() -> None:
    """What was joined to a JSON line is text, not broken JSON."""
    line = b'{"time": 1795428000000, "msg": "failed"}\n' + PYTHON_STACK.encode()
    config = {"kind": "logs", "paths": ["x"], "service": "s", "crashes": True}
    parsed, beside = Source(msgspec.convert(config, FileSource), "h").parse("x", [line], {}, 1)

    assert not parsed.rejected
    assert [r.exception_type for r in beside.records() if isinstance(r, Crash)] == ["KeyError"]
