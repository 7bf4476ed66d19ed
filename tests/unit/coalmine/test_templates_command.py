"""``coalmine templates``: any log's lines to templates, through the command itself."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

USERS = ["ann", "bob", "carl", "dora", "emil", "fritz", "gina", "hans", "ina"]


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a user runs it."""
    command = [sys.executable, "-m", "coalmine", "templates", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def objects(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """What ``--json`` printed."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def raw_log() -> str:
    """Raw lines of two threads; the place of the name proves to vary late only."""
    lines = [
        f"2026-11-25 10:00:{i % 60:02},{i:03} INFO [worker-{i % 2}] shop.Cart: cart of {user} full"
        for i, user in enumerate(USERS)
    ]
    return "\n".join([*lines, "2026-11-25 10:01:00,000 WARN [main] shop.Cart: slow: 120 ms", ""])


def test_every_line_has_its_template_in_order_also_those_before_a_late_merge(
    tmp_path: Path,
) -> None:
    """The template that the last name made general is that of the first line too."""
    log = tmp_path / "app.log"
    log.write_text(raw_log())
    found = objects(run(log, "--json"))
    assert [one["line"] for one in found] == list(range(1, len(USERS) + 2))
    assert {one["template"] for one in found[:-1]} == {"cart of <*> full"}
    assert len({one["template_id"] for one in found}) == 2
    assert all(one.keys() == {"line", "template_id", "template"} for one in found)


def test_blank_lines_and_bytes_that_are_no_text_have_objects_too() -> None:
    """Numbers stay those of an editor, whatever the bytes are."""
    given = b"\xef\xbb\xbftook 5 ms\r\n\r\n\xff\xfe\x00 took\n\n\ntook 12 ms"
    found = objects(run("-", "--json", stdin=given))
    assert [one["line"] for one in found] == [1, 2, 3, 4, 5, 6]
    assert found[0]["template"] == found[5]["template"] == "took <*>"
    assert {found[n]["template"] for n in (1, 3, 4)} == {""}
    assert "\ufffd" in found[2]["template"]
    assert objects(run("-", "--json")) == []


def test_several_files_share_their_templates_and_are_named(tmp_path: Path) -> None:
    """Compressed or not, raw or messages alone: the same words are the same template."""
    raw, messages = tmp_path / "raw.log.gz", tmp_path / "messages.log"
    raw.write_bytes(gzip.compress(raw_log().encode()))
    messages.write_text("slow: 7 ms\n")
    found = objects(run(raw, messages, "--json"))
    assert found[-1]["file"] == str(messages)
    assert found[-1]["line"] == 1
    assert found[-1]["template_id"] == found[-2]["template_id"]


def test_the_table_names_the_commonest_first(tmp_path: Path) -> None:
    """Count, share, id, template and the first line that had it."""
    log = tmp_path / "app.log"
    log.write_text(raw_log())
    done = run(log)
    header, first, second = done.stdout.decode().splitlines()
    assert header.split("\t") == ["lines", "share", "id", "template", "example"]
    assert first.split("\t")[:2] == ["9", "90.00%"]
    assert first.endswith(raw_log().splitlines()[0])
    assert second.split("\t")[3] == "slow: <*>"
    assert done.stderr == b""


def test_a_missing_or_damaged_file_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    """One sentence with the file's name, exit code 2, no traceback."""
    damaged = tmp_path / "cut.log.gz"
    damaged.write_bytes(gzip.compress(raw_log().encode() * 50)[:-30])
    for path in (tmp_path / "nix.log", tmp_path, damaged):
        done = run(path, "--json")
        assert done.returncode == 2
        assert done.stderr.decode().startswith(f"coalmine: {path}: cannot be read: ")
        assert done.stderr.count(b"\n") == 1
