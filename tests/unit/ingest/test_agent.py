"""Files to spool entries, on real files with a clock turned by hand."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest

from contracts.records import Crash, Event, LogLine, RecordKind
from tests.support.agent_rig import NOW, Rig, append, line


def test_lines_become_entries(tmp_path: Path) -> None:
    """What stands in a file arrives in order, once."""
    append(tmp_path / "a.log", "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    append(tmp_path / "a.log", "3")
    rig.run()

    assert rig.users() == ["1", "2", "3"]


def test_a_batch_has_its_limit(tmp_path: Path) -> None:
    """No message holds more records than configured."""
    append(tmp_path / "a.log", *map(str, range(25)))
    rig = Rig(tmp_path, {}, batch={"max_records": 10})
    rig.run()

    assert [e.records for e in rig.entries] == [10, 10, 5]
    assert rig.users() == [str(n) for n in range(25)]


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_crash_loses_and_repeats_nothing(tmp_path: Path, acknowledged: bool) -> None:  # noqa: FBT001 - a case
    """After a crash reading goes on where the spool ended, acknowledged or not."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {})
    rig.clock.advance(1)
    rig.agent.step()
    rig.clock.advance(1)
    rig.agent.step()
    if acknowledged:
        rig.acknowledge()
    append(log, "3")
    rig.crash()
    append(log, "4")
    rig.run()

    assert rig.users() == ["1", "2", "3", "4"]


def test_rotation_chain(tmp_path: Path) -> None:
    """Renamed files are read to their end, though their names move on and leave the glob."""
    log = tmp_path / "a.log"
    rig = Rig(tmp_path, {})
    for turn in range(4):
        append(log, f"{turn}a")
        rig.run()
        append(log, f"{turn}b")
        for number in range(turn, 0, -1):
            (tmp_path / f"a.log.{number}").rename(tmp_path / f"a.log.{number + 1}")
        log.rename(tmp_path / "a.log.1")
        append(tmp_path / "a.log.1", f"{turn}c")
    rig.run()

    assert rig.users() == [f"{turn}{part}" for turn in range(4) for part in "abc"]


def test_rotation_while_stopped(tmp_path: Path) -> None:
    """Files that were rotated away while the agent was down are found by inode and by name."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    append(log, "2")
    log.rename(tmp_path / "a.log.2")
    append(log, "3")
    log.rename(tmp_path / "a.log.1")
    append(log, "4")
    os.utime(tmp_path / "a.log.1", (NOW / 1000 + 5, NOW / 1000 + 5))
    rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3", "4"]


def test_rotation_before_anything_was_acknowledged(tmp_path: Path) -> None:
    """Files that came and were rotated away between two kills are read, though no line of them
    was ever acknowledged.
    """
    log = tmp_path / "a.log"
    rig = Rig(tmp_path, {})
    rig.agent.step()
    append(log, "1")
    rig.clock.advance(1)
    rig.agent.step()
    for turn in range(2):
        log.rename(tmp_path / f"a.log.{turn}")
        append(log, str(turn + 2))
        rig.crash()
        rig.agent._look()
        rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3"]


def test_old_rotated_files_are_left_alone(tmp_path: Path) -> None:
    """History that was there before the agent's first start is not read by accident."""
    append(tmp_path / "a.log.1", "old")
    os.utime(tmp_path / "a.log.1", (1_000_000_000, 1_000_000_000))
    append(tmp_path / "a.log", "1")
    rig = Rig(tmp_path, {})
    rig.run()
    (tmp_path / "a.log").rename(tmp_path / "a.log.2")
    append(tmp_path / "a.log", "2")
    rig.run()

    assert rig.users() == ["1", "2"]


def test_copytruncate(tmp_path: Path) -> None:
    """What was written but not read before a truncation is read from the copy."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    append(log, "3")
    shutil.copy(log, tmp_path / "a.log.1")
    os.truncate(log, 0)
    append(log, "4")
    rig.run()
    append(log, "5")
    rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3", "4", "5"]


def test_truncation_without_a_copy(tmp_path: Path) -> None:
    """A file that is shorter than before is read from its start."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    log.write_text(line("3"), encoding="utf-8")
    rig.run()
    log.write_text(line("4") + line("5"), encoding="utf-8")
    rig.crash()
    rig.run()

    assert rig.users() == ["1", "2", "3", "4", "5"]


def test_deleted_while_open(tmp_path: Path) -> None:
    """A deleted file is read to its end while its writer still has it."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    with log.open("a", encoding="utf-8") as writer:
        log.unlink()
        rig.run()
        writer.write(line("2"))
    rig.run()

    assert rig.users() == ["1", "2"]


def test_files_with_the_same_first_lines(tmp_path: Path) -> None:
    """Equal content in two files is two files."""
    append(tmp_path / "a.log", "1")
    append(tmp_path / "b.log", "1")
    rig = Rig(tmp_path, {})
    rig.run()

    assert rig.users() == ["1", "1"]


def test_a_reused_inode_is_a_new_file(tmp_path: Path) -> None:
    """A position belongs to a file that begins as remembered; another is read from its start."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    rig.agent._watcher.close()
    log.write_text(line("3") + line("4") + line("5"), encoding="utf-8")
    rig.start()
    rig.run()

    assert rig.users() == ["1", "2", "3", "4", "5"]


def test_last_line_without_newline(tmp_path: Path) -> None:
    """It is taken after a rest, once, and what follows is a line of its own."""
    log = tmp_path / "a.log"
    log.write_text(line("1") + line("2").rstrip("\n"), encoding="utf-8")
    rig = Rig(tmp_path, {})
    rig.run(3)
    early = rig.users()
    rig.run(4)
    with log.open("a", encoding="utf-8") as file:
        file.write("\n" + line("3"))
    rig.crash()
    rig.run()

    assert early == ["1"]
    assert rig.users() == ["1", "2", "3"]


def test_start_at_end_is_decided_once(tmp_path: Path) -> None:
    """Old lines are passed over; a crash before the first acknowledgement passes over no more."""
    log = tmp_path / "a.log"
    append(log, "old")
    rig = Rig(tmp_path, {"start_at": "end"})
    rig.agent.step()
    append(log, "1")
    rig.crash()
    append(tmp_path / "b.log", "2")
    rig.run()

    assert sorted(rig.users()) == ["1", "2"]


def test_poison_lines(tmp_path: Path) -> None:
    """Bad lines become dead letters with bytes, reason and position; the same id every time."""
    log = tmp_path / "a.log"
    log.write_bytes(line("1").encode() + b"\xff\x00garbage\n" + line("2").encode())
    rig = Rig(tmp_path, {})
    rig.run()

    (letter,) = rig.letters()
    assert rig.users() == ["1", "2"]
    assert base64.b64decode(letter.payload) == b"\xff\x00garbage"
    assert (letter.reason, letter.stage, letter.service) == ("not json", "ingest.parse", "shop")
    assert letter.origin == f"{log}:{len(line('1'))}"


def test_a_value_that_fits_no_column(tmp_path: Path) -> None:
    """A record that Arrow refuses is set aside alone; its batch goes on."""
    append(tmp_path / "a.log", "1")
    with (tmp_path / "a.log").open("a", encoding="utf-8") as file:
        file.write(f'{{"time": {NOW}, "user": "\\ud800"}}\n')
    append(tmp_path / "a.log", "2")
    rig = Rig(tmp_path, {})
    rig.run()

    assert rig.users() == ["1", "2"]
    assert len(rig.letters()) == 1


def test_long_lines(tmp_path: Path) -> None:
    """A line above the limit is a marked log line, or a dead letter where it cannot be parsed."""
    text = "E " + "some words " * 50
    (tmp_path / "a.log").write_text(f"{text}\nshort\n", encoding="utf-8")
    plain = Rig(tmp_path, {"kind": "logs", "format": "plain", "max_line_bytes": 100})
    plain.run()
    logs = [r for r in plain.records(RecordKind.LOGS) if isinstance(r, LogLine)]

    assert [r.message for r in logs] == [text[:100].rsplit(" ", 1)[0], "short"]
    assert [r.attributes for r in logs] == [{"log.truncated_bytes": "552"}, {}]


def test_long_json_lines(tmp_path: Path) -> None:
    """A JSON line that was cut is named too long, not merely broken."""
    log = tmp_path / "a.log"
    log.write_text(line("1") + line("2", 900) + line("3"), encoding="utf-8")
    rig = Rig(tmp_path, {"max_line_bytes": 200})
    rig.run()

    assert rig.users() == ["1", "3"]
    assert [(x.reason, x.truncated) for x in rig.letters()] == [("line too long", True)]


def test_labels_from_the_path(tmp_path: Path) -> None:
    """Release and host come from named groups over the path."""
    folder = tmp_path / "1.5.0" / "web-3"
    folder.mkdir(parents=True)
    append(folder / "access.log", "1")
    source = {
        "paths": [str(tmp_path / "*/*/access.log")],
        "from_path": r"(?P<release>[^/]+)/(?P<host>[^/]+)/access\.log$",
    }
    rig = Rig(tmp_path, source)
    rig.run()

    (event,) = rig.records()
    assert isinstance(event, Event)
    assert (event.release, event.host, event.service) == ("1.5.0", "web-3", "shop")


def test_labels_outlive_rotation(tmp_path: Path) -> None:
    """A file that was renamed keeps the labels of the path by which it was found."""
    log = tmp_path / "1.5.0.log"
    append(log, "1")
    rig = Rig(tmp_path, {"from_path": r"(?P<release>[^/]+)\.log$"})
    rig.run()
    append(log, "2")
    log.rename(tmp_path / "1.5.0.log.1")
    rig.run()
    append(tmp_path / "1.5.0.log.1", "3")
    rig.crash()
    rig.run()

    assert [(r.release, r.user) for r in rig.records() if isinstance(r, Event)] == [
        ("1.5.0", "1"),
        ("1.5.0", "2"),
        ("1.5.0", "3"),
    ]


def test_crash_files(tmp_path: Path) -> None:
    """Tracebacks in a service's stderr are crashes; its chatter is passed over and counted."""
    (tmp_path / "a.log").write_text(
        "starting\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/cart.py", line 3, in total\n'
        "ValueError: no cart\n"
        "stopping\n",
        encoding="utf-8",
    )
    rig = Rig(tmp_path, {"kind": "crashes", "format": "plain"})
    rig.run()

    (crash,) = rig.records(RecordKind.CRASHES)
    assert isinstance(crash, Crash)
    assert (crash.exception_type, crash.exception_message) == ("ValueError", "no cart")
    assert [(f.function, f.line) for f in crash.frames] == [("total", 3)]
    assert rig.agent.counters.ignored == 2


def test_a_full_spool_pauses_reading(tmp_path: Path) -> None:
    """Nothing is dropped: reading waits, then goes on when there is room."""
    append(tmp_path / "a.log", *map(str, range(20_000)))
    rig = Rig(tmp_path, {}, spool={"max_bytes": 300_000})
    for _ in range(50):
        rig.clock.advance(1)
        rig.agent.step()
    size, lines = rig.spool.size_bytes, rig.agent.counters.lines
    for _ in range(100):
        rig.acknowledge()
        rig.run(1)

    assert size <= 300_000
    assert lines < 20_000
    assert rig.agent.counters.pauses > 0
    assert rig.users() == [str(n) for n in range(20_000)]


def test_secrets_do_not_reach_the_spool(tmp_path: Path) -> None:
    """Neither records nor dead letters hold a secret; how many there were is counted."""
    secret = "hunter2horse"
    key = ["-----BEGIN PRIVATE KEY-----", "aB3/" * 16, secret, "-----END PRIVATE KEY-----"]
    halved = "x " * 10 + f"password={secret}"
    texts = [f"login password={secret}", halved, *key, "end"]
    (tmp_path / "a.log").write_text("\n".join([*texts, ""]), encoding="utf-8")
    bad = [f'{{"time": "token={secret}", "mail": "{secret}@example.com"}}', f"no {secret}@a.com"]
    (tmp_path / "b.log").write_text("\n".join([*bad, ""]), encoding="utf-8")
    plain = {"paths": [str(tmp_path / "a.log")], "kind": "logs", "format": "plain"}
    logs = Rig(tmp_path, plain | {"max_line_bytes": 40, "multiline": {"mode": "none"}})
    logs.run()
    events = Rig(tmp_path, {"paths": [str(tmp_path / "b.log")]})
    events.run()
    told = [r.message for r in logs.records(RecordKind.LOGS) if isinstance(r, LogLine)]
    letters = events.letters()

    assert len(told) == 7
    assert not any("hunter" in message for message in told)
    assert len(letters) == 2
    assert not any("hunter" in le.detail or b"hunter" in b64(le.payload) for le in letters)
    assert logs.agent.counters.redacted == {"password": 1, "private_key": 1}
    assert events.agent.counters.redacted == {"password": 1, "email": 2}


def b64(payload: str) -> bytes:
    """The bytes of a dead letter."""
    return base64.b64decode(payload)


def test_a_source_that_is_hardly_ever_right_stops_and_the_others_go_on(tmp_path: Path) -> None:
    """Its files wait, so that nothing more is set aside; a mended configuration reads them on."""
    (tmp_path / "wrong.log").write_text("no json\n" * 30)
    (tmp_path / "right").mkdir()
    other = {"paths": [str(tmp_path / "right" / "*")], "service": "shop", "release": "1"}
    wrong = {"paths": [str(tmp_path / "wrong.log")], "service": "shop", "release": "1"}
    limit = {"consecutive": 30}
    rig = Rig(tmp_path, {}, files=[wrong, other], dead_letters=limit)
    rig.run()
    assert rig.agent.stopped_sources == 1
    append(tmp_path / "wrong.log", "late")
    append(tmp_path / "right" / "a.log", "1")
    rig.run()
    assert (len(rig.letters()), rig.users()) == (30, ["1"])
    rig.crash()
    rig.run()
    assert (len(rig.letters()), rig.users()) == (30, ["1", "late"])


def test_a_few_wrong_lines_among_right_ones_stop_nothing(tmp_path: Path) -> None:
    """Each of them is a dead letter."""
    log = tmp_path / "a.log"
    for number in range(20):
        append(log, str(number))
        with log.open("a") as file:
            file.write("no json\n")
    rig = Rig(tmp_path, {}, dead_letters={"consecutive": 3, "share": 0.5, "of_last": 10})
    rig.run()
    assert (len(rig.letters()), len(rig.users())) == (20, 20)
    assert not rig.agent.stopped_sources
