from __future__ import annotations

import pytest

from ingest.parsers.base import Labels
from ingest.tracebacks.detect import crash_of, find_traceback
from tests.unit.ingest.test_multiline import PYTHON_PROGRAMS, TRACES, python_stderr

Frames = list[tuple[str, int | None, bool | None]]

SAID = {
    "java": ("java", "java.lang.IllegalStateException", "cart is gone"),
    "node": ("nodejs", "TypeError", "no cart"),
    "go": ("go", "runtime error", "index out of range [3] with length 2"),
    "rust": ("rust", "panic", "no cart"),
    "ruby": ("ruby", "ArgumentError", "no cart"),
    "php": ("php", "RuntimeException", "no cart"),
    "dotnet": ("dotnet", "System.InvalidOperationException", "no cart"),
    "dart": ("dart", "Error", "Bad state: no cart"),
}
INNERMOST: dict[str, tuple[str, int | None]] = {
    "java": ("total", 10),
    "node": ("total", 3),
    "go": ("main.total", 8),
    "ruby": ("total", 2),
    "php": ("total", 7),
    "dotnet": ("Total", 7),
    "dart": ("total", 3),
}


@pytest.mark.parametrize("runtime", SAID)
def test_exception_of_each_runtime(runtime: str) -> None:
    """Runtime, type and message of what failed."""
    found = find_traceback(TRACES[runtime])

    assert found is not None
    assert (found.runtime, found.exception_type, found.exception_message) == SAID[runtime]


@pytest.mark.parametrize("runtime", INNERMOST)
def test_the_failing_frame_comes_last(runtime: str) -> None:
    """Frames are outermost first, whichever way the runtime prints them."""
    found = find_traceback(TRACES[runtime])

    assert found is not None
    assert (found.frames[-1].function, found.frames[-1].line) == INNERMOST[runtime]


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        ("plain", "ZeroDivisionError", "division by zero"),
        ("chained", "ValueError", "invalid literal for int() with base 10: 'x'"),
        ("cause", "ValueError", "b"),
        ("no_message", "KeyboardInterrupt", ""),
        ("group", "ExceptionGroup", "many (2 sub-exceptions)"),
        ("fatal", "Segmentation fault", ""),
    ],
)
def test_what_a_real_python_says(program: str, kind: str, message: str) -> None:
    """The exception that was not handled: the last of a chain, the outermost of a group."""
    found = find_traceback(python_stderr(PYTHON_PROGRAMS[program]).decode())

    assert found is not None
    assert (found.runtime, found.exception_type) == ("python", kind)
    assert found.exception_message.endswith(message)
    assert found.frames


def test_library_frames_are_told_apart() -> None:
    """Frames of installed packages and of the standard library are not the application's."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/main.py", line 4, in run\n'
        '  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads\n'
        '  File "/srv/.venv/lib/python3.11/site-packages/x/y.py", line 2, in z\n'
        "ValueError: no\n"
    )

    found = find_traceback(text)

    assert found is not None
    assert [f.in_app for f in found.frames] == [True, False, False]


@pytest.mark.parametrize("text", ["", "one line", "two\nlines", "  at nowhere\n  at all"])
def test_text_without_a_trace_is_no_crash(text: str) -> None:
    """Ordinary text never becomes a crash."""
    assert crash_of(text, 1, Labels(service="s")) is None
