"""Files and lines as they should not be: each is named, and the rest goes on."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.records import Crash, Event, LogLine, RecordKind
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import (
    AgentProcess,
    dead_letters,
    shipped,
    write_config,
)
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def _line(user: str) -> bytes:
    fields = {"time": 1_795_428_000_000, "service": "shop", "user": user, "status": 200}
    return json.dumps(fields).encode() + b"\n"


def test_bad_files_and_lines_stop_nothing(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> None:
    """A poison line and binary garbage become dead letters with bytes, reason and position; an
    empty file and a folder that matches the glob do no harm; the good lines arrive.
    """
    logs = tmp_path / "logs"
    logs.mkdir()
    garbage = b"\x00\xff\xfe\x80binary\x01"
    (logs / "a.log").write_bytes(_line("a1") + b'{"half": \n' + _line("a2"))
    (logs / "b.log").write_bytes(garbage + b"\n" + _line("b1"))
    (logs / "empty.log").write_bytes(b"")
    (logs / "folder.log").mkdir()
    name = unique("agent")
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": name,
            "state_dir": str(tmp_path / "state"),
            "batch": {"max_age": "100ms"},
            "files": [{"paths": [str(logs / "*.log")], "release": "1"}],
        },
    )
    with AgentProcess(config, stack_environment, tmp_path / "agent.log") as agent:
        wait_until(lambda: len(dead_letters(kafka_settings, str(logs))) >= 2, 60)
        wait_until(lambda: len(_users(kafka_settings, name)) >= 3, 60)
        assert agent.stop() == 0

    letters = dead_letters(kafka_settings, str(logs))
    users = set(_users(kafka_settings, name))
    found = {Path(d.origin).name: (d.reason, base64.b64decode(d.payload)) for d in letters}
    assert users == {"a1", "a2", "b1"}
    assert found == {
        f"a.log:{len(_line('a1'))}": ("not json", b'{"half": '),
        "b.log:0": ("not json", garbage.lstrip(b"\0")),
    }


def _append(log: Path, turn: int, numbers: range) -> None:
    with log.open("ab") as file:
        file.writelines(_line(f"t{turn}-{number}") for number in numbers)


def _users(settings: KafkaSettings, agent: str) -> list[str | None]:
    records = shipped(settings, RecordKind.EVENTS, agent)
    return [r.user for r in records if isinstance(r, Event)]


def test_truncation_while_writing(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> None:
    """Copytruncate loses nothing: what was not read from the file is read from its copy."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "access.log"
    name = unique("agent")
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": name,
            "state_dir": str(tmp_path / "state"),
            "batch": {"max_age": "100ms"},
            "files": [{"paths": [str(log)], "release": "1"}],
        },
    )
    expected = [f"t{turn}-{number}" for turn in range(3) for number in range(500)]
    with AgentProcess(config, stack_environment, tmp_path / "agent.log") as agent:
        agent.wait_for("agent_started")
        for turn in range(3):
            _append(log, turn, range(250))
            wait_until(lambda t=turn: len(_users(kafka_settings, name)) >= t * 500 + 250, 60)  # type: ignore[misc]  # mypy knows no defaults in lambdas
            _append(log, turn, range(250, 500))
            shutil.copy(log, f"{log}.{turn}")
            os.truncate(log, 0)
            agent.wait_for("file_truncated", turn + 1)
        wait_until(lambda: len(_users(kafka_settings, name)) >= len(expected), 60)
        assert agent.stop() == 0

    assert sorted(str(u) for u in _users(kafka_settings, name)) == sorted(expected)


def test_tracebacks_become_crashes(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> None:
    """A traceback below a log line is one log record and one crash with its frames."""
    log = tmp_path / "error.log"
    log.write_text(
        "2026-11-23T10:00:00.250Z ERROR shop: cart failed\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/shop/cart.py", line 12, in total\n'
        "    return price / count\n"
        "ZeroDivisionError: division by zero\n"
        "2026-11-23T10:00:01.000Z WARN shop: slow\n",
        encoding="utf-8",
    )
    name = unique("agent")
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": name,
            "state_dir": str(tmp_path / "state"),
            "files": [
                {
                    "paths": [str(log)],
                    "kind": "logs",
                    "format": "regex",
                    "pattern": r"(?P<time>\S+Z) (?P<severity>[A-Z]+) \S+: (?P<message>.*)",
                    "service": "shop",
                    "release": "1",
                    "crashes": True,
                }
            ],
        },
    )
    with AgentProcess(config, stack_environment, tmp_path / "agent.log") as agent:
        wait_until(lambda: len(shipped(kafka_settings, RecordKind.LOGS, name)) == 2, 60)
        assert agent.stop() == 0

    lines = shipped(kafka_settings, RecordKind.LOGS, name)
    crashes = shipped(kafka_settings, RecordKind.CRASHES, name)
    assert [r.severity for r in lines if isinstance(r, LogLine)] == ["error", "warning"]
    (crash,) = crashes
    assert isinstance(crash, Crash)
    assert (crash.runtime, crash.exception_type) == ("python", "ZeroDivisionError")
    assert [(f.function, f.line, f.in_app) for f in crash.frames] == [("total", 12, True)]
