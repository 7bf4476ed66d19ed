"""Kafka is killed while lines are written: they wait on disk, then arrive once."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import psutil
import pytest

from coalmine.stack.local import LocalStack
from coalmine.stack.ports import LOOPBACK, free_port
from coalmine.stack.topics import ensure_topics
from contracts.records import Event, RecordKind
from contracts.settings import kafka_settings
from tests.integration.ingest.agent_process import AgentProcess, shipped, write_config
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def _append(log: Path, numbers: range) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"time": 1_795_428_000_000, "service": "shop", "user": f"u{n}"}) + "\n"
            for n in numbers
        )


def test_lines_written_during_an_outage_arrive_once(tmp_path: Path) -> None:
    """Reading goes on into the spool while the broker is dead; afterwards everything is sent."""
    log = tmp_path / "a.log"
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": "outage",
            "state_dir": str(tmp_path / "state"),
            "batch": {"max_records": 100, "max_age": "100ms"},
            "files": [{"paths": [str(log)], "release": "1"}],
        },
    )
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        stack = LocalStack(Path(name))
        try:
            stack.start(elasticsearch=False)
            settings = kafka_settings({"COALMINE_KAFKA": stack.kafka})
            ensure_topics(settings)
            environment = {"COALMINE_KAFKA": stack.kafka}
            with AgentProcess(config, environment, tmp_path / "agent.log") as agent:
                _append(log, range(500))
                wait_until(lambda: len(shipped(settings, RecordKind.EVENTS, "outage")) == 500, 90)
                stack.kafka_server.kill()
                _append(log, range(500, 1_500))
                spool = tmp_path / "state" / "spool"
                wait_until(lambda: len(list(spool.glob("*.entry"))) >= 10, 60)
                stack.kafka_server.start()
                wait_until(lambda: len(shipped(settings, RecordKind.EVENTS, "outage")) >= 1_500, 90)
                assert agent.stop() == 0
            records = shipped(settings, RecordKind.EVENTS, "outage")
        finally:
            stack.stop()

    users = [r.user for r in records if isinstance(r, Event)]
    assert users == [f"u{n}" for n in range(1_500)]


def test_the_agent_runs_without_pandas(tmp_path: Path) -> None:
    """Arrow looks for it when it makes an array of texts, and when it gives one of numbers back:
    a quarter of the agent's memory. No broker is needed to see that.
    """
    lines = [{"time": f"2026-11-28T12:00:00.{n:09d}Z", "service": "shop"} for n in range(9)]
    (tmp_path / "a.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    state = tmp_path / "state"
    files = [{"paths": [str(tmp_path / "a.log")], "release": "1"}]
    config = write_config(
        tmp_path / "agent.yaml", {"agent": "lean", "state_dir": str(state), "files": files}
    )
    environment = {"COALMINE_KAFKA": f"{LOOPBACK}:{free_port()}"}
    with AgentProcess(config, environment, tmp_path / "agent.log") as agent:
        wait_until(lambda: list((state / "spool").glob("*.entry")), 60)
        loaded = {Path(one.path).parts for one in psutil.Process(agent.pid).memory_maps()}

    assert any("pyarrow" in parts for parts in loaded)
    assert not any("pandas" in parts for parts in loaded)
