"""``coalmine fingerprint``: any file of crashes to groups, through the command itself."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRACE = """Traceback (most recent call last):
  File "/srv/shop/1.4/cart.py", line {line}, in total
    return prices[item]
KeyError: {item}
"""
EVENT = {
    "event_id": "1",
    "platform": "python",
    "exception": {
        "values": [
            {
                "type": "KeyError",
                "value": "'a'",
                "stacktrace": {"frames": [{"function": "total", "filename": "cart.py"}]},
            }
        ]
    },
}


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "coalmine", "fingerprint", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def crashes(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """What ``--json`` printed."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_log_a_report_and_an_event_of_one_crash_are_one_group(tmp_path: Path) -> None:
    """Whatever brought a crash in, its group is the same, and its source is told."""
    log = tmp_path / "app.log"
    log.write_text("started\n" + TRACE.format(line=7, item="'a'") + "ready\n")
    reports = tmp_path / "crashes.jsonl.gz"
    report = {
        "exception.type": "KeyError",
        "exception.stacktrace": TRACE.format(line=8, item="'b'"),
    }
    reports.write_bytes(gzip.compress(json.dumps(report).encode()))
    events = tmp_path / "events.json"
    events.write_text(json.dumps([EVENT, EVENT], indent=1))
    found = crashes(run("--json", log, reports, events))
    assert [(Path(f["source"]["file"]).name, f["source"]["line"]) for f in found] == [
        ("app.log", 2),
        ("crashes.jsonl.gz", 1),
        ("events.json", 1),
        ("events.json", 2),
    ]
    assert len({f["group"] for f in found}) == 1
    assert found[0]["exception_type"] == "KeyError"
    assert found[0]["runtime"] == "python"
    assert found[0]["frames"] == [
        {
            "module": "",
            "function": "total",
            "in_app": True,
            "file": "/srv/shop/1.4/cart.py",
            "line": 7,
        }
    ]


def test_an_unreadable_record_is_told_with_its_place_and_the_rest_goes_on() -> None:
    """Two broken lines among three crashes: three groups' worth, two complaints."""
    good = json.dumps(EVENT).encode()
    done = run("-", "--json", stdin=b"\n".join([good, b"{", good, b"[]", good]))
    assert len(crashes(done)) == 3
    assert b"-:2: not json" in done.stderr
    assert b"-:4: not a json object" in done.stderr
    assert b"2 records could not be read" in done.stderr


def test_an_envelope_is_read_by_its_items() -> None:
    """Headers are no crashes; transactions are refused with their reason."""
    items = [
        {"event_id": "1", "sent_at": "2026-11-25T10:00:00Z"},
        {"type": "event", "length": 3},
        EVENT,
        {"type": "transaction"},
        {"type": "transaction", "spans": []},
    ]
    done = run("-", "--json", stdin="\n".join(map(json.dumps, items)).encode())
    assert len(crashes(done)) == 1
    assert b"not an error event" in done.stderr


def test_without_json_the_groups_are_printed_with_their_counts() -> None:
    """The most frequent group first."""
    text = "".join(TRACE.format(line=n, item=n) + "-- next\n" for n in range(3))
    done = run("-", stdin=text.encode())
    header, row = done.stdout.decode().splitlines()
    assert header.split("\t") == ["crashes", "group", "title", "culprit", "runtime"]
    assert row.split("\t")[0] == "3"
    assert row.split("\t")[3] == "cart.total"


def test_a_missing_or_damaged_file_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    """Usage errors end the command with code 2 and no traceback."""
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"x\n" * 10_000)[:30])
    for path in (tmp_path / "absent", cut):
        done = run(path)
        assert done.returncode == 2
        assert str(path).encode() in done.stderr
        assert b"Traceback" not in done.stderr


RUST = """[2026-01-01T00:00:00Z INFO  app] start
thread 'main' panicked at src/main.rs:4:5:
index out of bounds: the len is 3 but the index is 99
stack backtrace:
   0: rust_begin_unwind
   1: app::cart::total
             at ./src/cart.rs:12:9
   2: app::main
             at ./src/main.rs:4:5
[2026-01-01T00:00:01Z INFO  app] again
"""
FIREFOX = """loaded
TypeError: cart is undefined
total@https://shop.example/static/app.3f2a1b.js:10:15
pay/<@https://shop.example/static/app.3f2a1b.js:20:3
"""
STRUCTURED = json.dumps({"level": "error", "msg": "no", "exception": TRACE.format(line=7, item=1)})
FAULTHANDLER = """Fatal Python error: Segmentation fault

Current thread 0x00007f1 (most recent call first):
  File "/srv/app/cart.py", line 7 in total
  File "/srv/app/main.py", line 3 in <module>
"""
FATAL = """#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f5d1c0a1b2c, pid=7, tid=8
#
---------------  T H R E A D  ---------------
Native frames: (J=compiled Java code, j=interpreted, Vv=VM code, C=native code)
C  [libshop.so+0x1b2c]  cart_total+0x1c
j  shop.Cart.total()I+5
"""
SANITIZER = """=================================================================
==12345==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x000000401
    #0 0x401233 in cart_total /src/cart.c:12:5
    #1 0x401300 in main /src/main.c:5:3
"""


@pytest.mark.parametrize(
    ("text", "line", "runtime", "kind", "innermost"),
    [
        (RUST, 2, "rust", "panic", "rust_begin_unwind"),
        (FIREFOX, 2, "javascript", "TypeError", "total"),
        (STRUCTURED, 1, "python", "KeyError", "total"),
        (FAULTHANDLER, 1, "python", "Segmentation fault", "total"),
        (FATAL, 1, "java", "SIGSEGV", "cart_total"),
        (SANITIZER, 1, "native", "AddressSanitizer: heap-use-after-free", "cart_total"),
    ],
    ids=["rust in a log with brackets", "firefox", "json", "faulthandler", "hs_err", "asan"],
)
def test_one_crash_is_found_whatever_file_it_stands_in(
    tmp_path: Path, text: str, line: int, runtime: str, kind: str, innermost: str
) -> None:
    """Logs that begin like JSON, texts within JSON, crash files: one crash, where it begins."""
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    [found] = crashes(run("--json", path))
    assert (found["source"]["line"], found["runtime"]) == (line, runtime)
    assert (found["exception_type"], found["frames"][-1]["function"]) == (kind, innermost)
    assert any(frame["in_app"] for frame in found["frames"])


NATIVE_REPORT = """==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010
READ of size 4 at 0x602000000010 thread T0
    #0 0x55d0c1 in shop::total(int) /build/1.5.0/cart.cc:31:9
    #1 0x55d0c2 in main /build/1.5.0/main.cc:12:3

"""


def test_a_log_that_begins_with_a_native_crash_is_read_as_a_log() -> None:
    """Each of its crashes is told with its own line; alone, the same report is a crash file."""
    log = NATIVE_REPORT + "2026-11-25 10:00:00 INFO started again\n" + TRACE.format(line=7, item=1)
    found = crashes(run("-", "--json", stdin=log.encode()))
    assert [(f["runtime"], f["source"]["line"]) for f in found] == [("native", 1), ("python", 7)]
    alone = crashes(run("-", "--json", stdin=NATIVE_REPORT.encode()))
    assert [f["group"] for f in alone] == [found[0]["group"]]
