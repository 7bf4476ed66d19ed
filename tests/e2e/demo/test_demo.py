"""``coalmine demo`` as a user runs it: every process real, judged by what it prints and leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DEMO = (sys.executable, "-m", "coalmine", "demo", "--headless")
FIELDS = {
    "canary",
    "baseline",
    "outcome",
    "action",
    "guilty_metric",
    "relative_risk",
    "evidence_log10",
    "canary_started_at",
    "first_bad_event_at",
    "verdict_at",
    "webhook_at",
    "drained_at",
    "rollback_verified",
    "events_written",
    "events_counted",
}


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for temporary files that the servers' user may enter too."""
    with tempfile.TemporaryDirectory(prefix="coalmine-e2e-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run_demo(scratch: Path, *options: str, env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The timeline of one run that must end as it should."""
    done = subprocess.run(
        [*DEMO, "--once", "--json", *options],
        env={**env, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    timeline: dict[str, Any] = json.loads(done.stdout)
    assert set(timeline) == FIELDS
    assert timeline["events_counted"] == timeline["events_written"] > 1_000
    return timeline


def moment(text: str) -> float:
    """Seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def listening(connections: Iterable[Any]) -> set[int]:
    """Ports that someone listens on."""
    return {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}


def test_bad_canary_is_rolled_back_within_two_minutes(scratch: Path) -> None:
    """1.5.0 is found worse with an interval above 1, stopped by the webhook, seen to be gone; every
    request that the shop logged is counted once; nothing is left in the temporary directory.
    """
    timeline = run_demo(scratch)
    assert (timeline["canary"], timeline["baseline"]) == ("1.5.0", "1.4.2")
    assert (timeline["outcome"], timeline["action"]) == ("regressed", "rollback")
    assert timeline["rollback_verified"] is True
    assert timeline["guilty_metric"] in {"error_rate", "crash_rate", "latency", "crash_groups"}
    assert timeline["evidence_log10"] >= 2
    assert timeline["relative_risk"]["lower"] > 1
    times = ["canary_started_at", "first_bad_event_at", "verdict_at", "webhook_at"]
    moments = [moment(timeline[name]) for name in times]
    assert moments == sorted(moments)
    assert moment(timeline["drained_at"]) - moments[0] < 120
    assert list(scratch.iterdir()) == []


def test_good_canary_is_left_alone_on_servers_that_are_there(
    scratch: Path, stack_environment: Mapping[str, str]
) -> None:
    """The same release without its bugs gets no rollback; Kafka and Elasticsearch are those that
    the environment names.
    """
    timeline = run_demo(scratch, "--release", "good", "--watch", "25", env=stack_environment)
    assert timeline["action"] in {"continue", "hold", "promote"}
    assert timeline["outcome"] in {"healthy", "inconclusive"}
    assert timeline["verdict_at"] is timeline["webhook_at"] is timeline["drained_at"] is None
    assert timeline["rollback_verified"] is False


def test_ctrl_c_leaves_no_process_and_no_port(
    scratch: Path, stack_environment: Mapping[str, str]
) -> None:
    """Ctrl-C in the middle of a rollout ends every process, frees every port, removes all files."""
    with subprocess.Popen(
        [*DEMO],
        env={**stack_environment, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stderr is not None
        said = []
        for line in demo.stderr:
            said.append(line)
            if "Coalmine compares the releases" in line:
                break
        parts = psutil.Process(demo.pid).children(recursive=True)
        ports = {port for part in parts for port in listening(part.net_connections())}
        assert len(parts) >= 12, "".join(said)
        assert len(ports) >= 8
        demo.send_signal(signal.SIGINT)
        demo.stderr.read()
        assert demo.wait(60) == 130
    _, alive = psutil.wait_procs(parts, timeout=3)
    assert alive == []
    assert not ports & listening(psutil.net_connections("tcp"))
    assert list(scratch.iterdir()) == []


def test_part_that_fails_is_named_with_the_end_of_its_log(
    scratch: Path, stack_environment: Mapping[str, str]
) -> None:
    """A dashboard whose port is taken ends the demo with one message that says so, and code 1."""
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*DEMO, "--once", "--port", str(port)],
            env={**stack_environment, "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 1
    assert "coalmine dashboard ended with code" in done.stderr
    assert "address" in done.stderr.lower()
    assert time.monotonic() - started < 180
