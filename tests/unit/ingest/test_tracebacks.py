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
    "sanitizer": (
        "native",
        "AddressSanitizer: heap-use-after-free",
        "on address 0x602000000010 at pc 0x4f bp 0x7f",
    ),
    "native": ("native", "SIGSEGV", "Segmentation fault"),
    "gecko": ("javascript", "TypeError", "cart is undefined"),
    "ruby_new": ("ruby", "ArgumentError", "no cart"),
    "anyhow": ("rust", "Error", "no cart"),
}
INNERMOST: dict[str, tuple[str, int | None]] = {
    "java": ("total", 10),
    "node": ("total", 3),
    "go": ("main.total", 8),
    "ruby": ("total", 2),
    "php": ("total", 7),
    "dotnet": ("Total", 7),
    "dart": ("total", 3),
    "sanitizer": ("total", 3),
    "native": ("total", 3),
    "gecko": ("total", 3),
    "ruby_new": ("Cart#total", 2),
    "anyhow": ("shop::total", 2),
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


HS_ERR = """\
#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f2a1c0d5a10, pid=77, tid=78
#
# Problematic frame:
# C  [libcart.so+0x1a10]  total+0x10
#
---------------  S U M M A R Y ------------

Command Line: -Dpassword=hunter2 Shop

---------------  T H R E A D  ---------------

Current thread (0x00007f2a14028800):  JavaThread "checkout-1" [_thread_in_native, id=78]

Native frames: (J=compiled Java code, j=interpreted, Vv=VM code, C=native code)
C  [libcart.so+0x1a10]  total+0x10
j  com.shop.Cart.total(I)I+0
j  com.shop.Main.main([Ljava/lang/String;)V+5
V  [libjvm.so+0x8a1b2c]  JavaCalls::call_helper+0x30

Registers:
RAX=0x0000000000000000

---------------  P R O C E S S  ---------------

Environment Variables:
DB_PASSWORD=hunter2
"""


def test_the_jvm_s_crash_file_without_what_is_nobody_s_business() -> None:
    """Signal, frame, thread and frames; neither environment nor command line nor registers."""
    crash = crash_of(HS_ERR, 1, Labels(service="s"))

    assert crash is not None
    assert (crash.runtime, crash.exception_type) == ("java", "SIGSEGV")
    assert crash.exception_message == "C  [libcart.so+0x1a10]  total+0x10"
    assert crash.thread == "checkout-1"
    assert [(f.function, f.in_app) for f in crash.frames][1:] == [
        ("main", True),
        ("total", True),
        ("total", True),
    ]
    assert "hunter2" not in crash.stacktrace
    assert "RAX" not in crash.stacktrace


@pytest.mark.parametrize(
    ("text", "kind", "function"),
    [
        (
            (
                "WARNING: ThreadSanitizer: data race (pid=7)\n"
                "  Write of size 4 at 0x7b by thread T1:\n"
                "    #0 total cart.c:3:9 (shop+0x4c)\n"
            ),
            "ThreadSanitizer: data race",
            "total",
        ),
        (
            (
                "==7==WARNING: MemorySanitizer: use-of-uninitialized-value\n"
                "    #0 0x4f12 in total /srv/cart.c:3:9\n"
            ),
            "MemorySanitizer: use-of-uninitialized-value",
            "total",
        ),
        (
            "cart.c:3:9: runtime error: division by zero",
            "UndefinedBehaviorSanitizer",
            "",
        ),
        (
            (
                "*** stack smashing detected ***: terminated\n./shop(total+0x1f)[0x4005d4]\n"
                "./shop(main+0x10)[0x4006d4]\n"
            ),
            "stack smashing detected",
            "total",
        ),
        ("0x4005d4: (total+0x1f)\n0x4006d4: (main+0x10)\n", "", "total"),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no",
            "std::runtime_error",
            None,
        ),
    ],
)
def test_machine_code(text: str, kind: str, function: str | None) -> None:
    """Sanitizers, glibc, libunwind and C++'s own end."""
    found = find_traceback(text)

    assert found is not None
    assert (found.runtime, found.exception_type) == ("native", kind)
    assert (found.frames[-1].function if found.frames else None) == function


def test_the_thread_that_failed_may_not_be_the_first() -> None:
    """Frames of a faulthandler dump are those of the current thread."""
    text = (
        "Fatal Python error: Aborted\n\nThread 0x7f01 (most recent call first):\n"
        '  File "/usr/lib/python3.11/threading.py", line 320 in wait\n\n'
        "Current thread 0x7f02 (most recent call first):\n"
        '  File "/srv/cart.py", line 3 in total\n\nThread 0x7f03 (most recent call first):\n'
        '  File "/srv/other.py", line 8 in idle\n'
    )
    found = find_traceback(text)

    assert found is not None
    assert [f.function for f in found.frames] == ["total"]
