"""Kill the agent at any moment, rotate, truncate: every line arrives once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from contracts.records import Event, RecordKind
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import AgentProcess, shipped, write_config
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

_LINES = 6_000
_KILLS = 5


class Writer(threading.Thread):
    """A service that logs numbered requests while its log is rotated under it."""

    def __init__(self, log: Path, rotate: Callable[[Path, int], None], every: int) -> None:
        super().__init__()
        self._log = log
        self._rotate = rotate
        self._every = every

    def run(self) -> None:
        """Write all lines, some in two halves."""
        file = self._log.open("ab", buffering=0)
        for number in range(_LINES):
            line = json.dumps(
                {
                    "time": 1_795_428_000_000 + number,
                    "service.name": "shop",
                    "service.version": "1",
                    "user.id": f"line-{number}",
                    "status": 200,
                }
            ).encode()
            middle = len(line) // 2 if number % 50 == 0 else len(line)
            file.write(line[:middle])
            file.write(line[middle:] + b"\n")
            if number % 20 == 0:
                time.sleep(0.06)
            if number % self._every == self._every - 1:
                self._rotate(self._log, number // self._every)
                file.close()
                file = self._log.open("ab", buffering=0)
        file.close()


def by_rename(log: Path, number: int) -> None:
    """Rotate as logrotate does by default: the name moves on, out of the glob."""
    log.rename(log.with_name(f"{log.name}.{number}"))


def not_at_all(log: Path, number: int) -> None:
    """Leave the file alone."""


def run_with_kills(
    tmp_path: Path,
    environment: Mapping[str, str],
    rotate: Callable[[Path, int], None],
    seed: int,
) -> str:
    """Write, kill and restart; give the agent's name once everything was acknowledged."""
    chosen = random.Random(seed)
    logs = tmp_path / "logs"
    logs.mkdir()
    agent_name = unique("agent")
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": agent_name,
            "state_dir": str(tmp_path / "state"),
            "batch": {"max_records": 200, "max_age": "100ms"},
            "poll_interval": "20ms",
            "files": [{"paths": [str(logs / "*.log")], "idle_flush": "60s"}],
        },
    )
    writer = Writer(logs / "access.log", rotate, every=1_000)
    for kill in range(_KILLS):
        with AgentProcess(config, environment, tmp_path / "agent.log") as agent:
            agent.wait_for("agent_started", kill + 1)
            if kill == 0:
                writer.start()
            before = _progress(tmp_path / "state")
            wait_until(lambda b=before: _progress(tmp_path / "state") != b, 60)  # type: ignore[misc]  # mypy knows no defaults in lambdas
            time.sleep(chosen.uniform(0, 0.4))
    writer.join()
    with AgentProcess(config, environment, tmp_path / "agent.log") as agent:
        wait_until(lambda: _is_all_acknowledged(tmp_path, logs), 90, "all lines acknowledged")
        assert agent.stop() == 0
    return agent_name


def _progress(state: Path) -> tuple[int, int]:
    """Changes with everything the agent spools or gets acknowledged."""
    try:
        saved_ns = (state / "checkpoint.json").stat().st_mtime_ns
    except FileNotFoundError:
        saved_ns = 0
    return saved_ns, (state / "spool").stat().st_mtime_ns


def _is_all_acknowledged(tmp_path: Path, logs: Path) -> bool:
    """Whether the checkpoint covers every byte of every file, and the spool is empty."""
    state = tmp_path / "state"
    try:
        files = json.loads((state / "checkpoint.json").read_bytes())["files"]
    except (OSError, ValueError):
        return False
    sizes = {p.stat().st_ino: p.stat().st_size for p in logs.iterdir() if p.stat().st_size}
    offsets = {f["inode"]: f["offset"] for f in files}
    is_read = all(offsets.get(inode) == size for inode, size in sizes.items())
    return is_read and not list((state / "spool").glob("*.entry"))


@pytest.mark.parametrize("rotate", [by_rename, not_at_all])
def test_every_line_arrives_once_though_the_agent_is_killed(
    tmp_path: Path,
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    rotate: Callable[[Path, int], None],
) -> None:
    """SIGKILL at random moments, with and without rotation: nothing lost, nothing twice."""
    agent_name = run_with_kills(tmp_path, stack_environment, rotate, seed=7)

    found = Counter(
        record.user
        for record in shipped(kafka_settings, RecordKind.EVENTS, agent_name)
        if isinstance(record, Event)
    )

    assert found == Counter(f"line-{number}" for number in range(_LINES))
