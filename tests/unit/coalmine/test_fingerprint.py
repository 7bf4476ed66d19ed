"""``coalmine fingerprint``: any file of crashes to groups, through the command itself."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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


SANITIZER = """==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010
READ of size 4 at 0x602000000010 thread T0
    #0 0x55d0c1 in shop::total(int) /build/1.5.0/cart.cc:31:9
    #1 0x55d0c2 in main /build/1.5.0/main.cc:12:3

"""


def test_a_log_that_begins_with_a_native_crash_is_read_as_a_log() -> None:
    """Each of its crashes is told with its own line; alone, the same report is a crash file."""
    log = SANITIZER + "2026-11-25 10:00:00 INFO started again\n" + TRACE.format(line=7, item=1)
    found = crashes(run("-", "--json", stdin=log.encode()))
    assert [(f["runtime"], f["source"]["line"]) for f in found] == [("native", 1), ("python", 7)]
    alone = crashes(run("-", "--json", stdin=SANITIZER.encode()))
    assert [f["group"] for f in alone] == [found[0]["group"]]
