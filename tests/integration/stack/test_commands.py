"""The command on real servers: up, down, doctor, rollout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from coalmine.cli.state import Running, find_running
from coalmine.stack.local import LocalStack
from coalmine.stack.ports import free_port, is_open
from coalmine.stack.probe import is_ready
from contracts.settings import KafkaSettings
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A directory that the servers' user can enter."""
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _coalmine(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coalmine", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=600,
    )


def _own_environment() -> dict[str, str]:
    names = ("COALMINE_KAFKA", "COALMINE_ELASTICSEARCH", "COALMINE_STATE")
    return {k: v for k, v in os.environ.items() if k not in names}


def test_doctor_finds_the_running_stack_well(
    stack_environment: Mapping[str, str], kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Broker, topics, Java, cache and Elasticsearch are ok; templates may still be missing."""
    assert kafka_settings.bootstrap
    done = _coalmine("doctor", "--json", "--state", str(tmp_path), environment=stack_environment)
    levels = {finding["part"]: finding["level"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    parts = ("python", "java", "cache", "kafka", "topics", "elasticsearch")
    assert [levels[part] for part in parts] == ["ok"] * len(parts)


def test_doctor_says_what_to_do_about_a_broker_that_is_away(
    stack: LocalStack, tmp_path: Path
) -> None:
    """A broker that was named and does not answer fails, with its address and the way out."""
    environment = {
        **os.environ,
        "COALMINE_KAFKA": f"127.0.0.1:{free_port()}",
        "COALMINE_ELASTICSEARCH": stack.elasticsearch,
    }
    done = _coalmine("doctor", "--json", "--state", str(tmp_path), environment=environment)
    kafka = next(f for f in json.loads(done.stdout) if f["part"] == "kafka")
    assert done.returncode == 1
    assert kafka["level"] == "fail"
    assert environment["COALMINE_KAFKA"] in kafka["found"]
    assert "coalmine up" in kafka["fix"]


def test_up_uses_the_servers_it_is_given(
    stack: LocalStack, stack_environment: Mapping[str, str], state_dir: Path
) -> None:
    """With both servers named, up starts none, and Ctrl-C ends only its own processes."""
    log = (state_dir / "up.log").open("wb")
    arguments = ["up", "--state", str(state_dir), "--port", str(free_port())]
    command = [sys.executable, "-m", "coalmine", *arguments]
    with (
        log,
        subprocess.Popen(
            command, env=stack_environment, stdout=log, stderr=log, start_new_session=True
        ) as up,
    ):
        running = wait_until(lambda: _running_or_ended(state_dir, up), 120, "up")
        assert isinstance(running, Running), (state_dir / "up.log").read_text(encoding="utf-8")
        assert (running.kafka, running.elasticsearch) == (stack.kafka, stack.elasticsearch)
        family = psutil.Process(up.pid).children(recursive=True)
        assert not any(p.name() == "java" for p in family)
        up.send_signal(signal.SIGINT)
        code = up.wait(60)
    assert code == 130
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not (state_dir / "kafka").exists()
    assert is_open(stack.kafka_server.port)


def test_up_rollout_down(state_dir: Path) -> None:
    """The stack of its own comes up detached; a rollout is started, listed, and ended with it; a
    killed worker comes back; down leaves no process and no port.
    """
    environment = _own_environment() | {"COALMINE_STATE": str(state_dir)}
    up = _coalmine("up", "--detach", "--json", "--port", str(free_port()), environment=environment)
    assert up.returncode == 0, up.stderr
    running = find_running(state_dir)
    assert running is not None
    assert json.loads(up.stdout)["kafka"] == running.kafka
    family = psutil.Process(running.pid).children(recursive=True)
    try:
        _kill_worker_and_wait(family, state_dir)
        _follow_a_rollout(environment, running)
    finally:
        down = _coalmine("down", environment=environment)
    assert down.returncode == 0, down.stderr
    assert psutil.wait_procs(family, timeout=10)[1] == []
    addresses = [running.kafka, running.elasticsearch, running.dashboard, running.api]
    assert not any(is_open(int(address.rsplit(":", 1)[1])) for address in addresses)


def _follow_a_rollout(environment: Mapping[str, str], running: Running) -> None:
    ports = {part: str(port) for part, port in running.health.items()}
    wait_until(lambda: all(map(is_ready, ports.values())), 90, "all parts are ready")
    assert not is_ready(str(free_port()))
    assert list(ports) == ["worker", "indexer", "dashboard", "api"]
    findings = json.loads(_coalmine("doctor", "--json", environment=environment).stdout)
    levels = {finding["part"]: finding["level"] for finding in findings}
    assert [levels[part] for part in ports] == ["ok"] * len(ports)
    canary = ("1.5.0", "--baseline", "1.4.2")
    asked = _coalmine("rollout", "start", "checkout", *canary, environment=environment)
    assert asked.returncode == 0, asked.stderr
    found = _wait_for_status(environment, "running")
    assert (found["canary"], found["baseline"], found["outcome"]) == ("1.5.0", "1.4.2", "no_data")
    listed = _coalmine("rollout", "list", "--open", "--json", environment=environment)
    assert [r["service.name"] for r in json.loads(listed.stdout)] == ["checkout"]
    reason = ("--reason", "wrong build")
    aborted = _coalmine("rollout", "abort", "checkout", *reason, environment=environment)
    assert aborted.returncode == 0, aborted.stderr
    assert "wrong build" in _wait_for_status(environment, "aborted")["reason"]
    nothing = _coalmine("rollout", "status", "nobody", environment=environment)
    assert (nothing.returncode, nothing.stderr) == (
        1,
        "coalmine: no rollout of nobody is known\n",
    )


def _wait_for_status(environment: Mapping[str, str], status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while True:
        done = _coalmine("rollout", "status", "checkout", "--json", environment=environment)
        if done.returncode == 0 and json.loads(done.stdout)["status"] == status:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        assert time.monotonic() < deadline, done


def _kill_worker_and_wait(family: list[psutil.Process], state_dir: Path) -> None:
    worker = next(p for p in family if p.is_running() and "worker" in p.cmdline())
    worker.kill()
    log = state_dir / "logs" / "up.log"
    wait_until(lambda: "worker: restarted" in log.read_text(encoding="utf-8"), 20, "restart")


def _running_or_ended(state_dir: Path, up: subprocess.Popen[bytes]) -> Running | str | None:
    return "ended" if up.poll() is not None else find_running(state_dir)
