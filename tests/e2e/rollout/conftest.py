"""A real worker with policies of these tests, and a real API, both on the servers of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.alerting import listen, process
from tests.support.api_process import ApiProcess, running

ONE_PHASE, GOOD, BAD = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("one", "good", "bad"))
_METRICS = [{"name": "error_rate", "bad": "request.bad", "unit": "event"}]
_QUICK = {
    "harm": 2.0,
    "min_exposures": 100,
    "lateness": "2s",
    "shares_settle_after": "10m",  # of event time, which runs ten times as fast as a deploy tool
    "metrics": _METRICS,
}
PHASES = {"checks": 0.05, "employees": 0.1, "machines": 0.2, "cluster": 0.5, "everywhere": 0.8}
_LEAST = [200, 800, 2_000, 8_000, 6_000]
"""Exposures that a phase needs: more than come in while the deploy tool is on its way."""
_FIVE_PHASES = {
    "phases": [
        {"name": name, "exposure": share, "min_exposures": least}
        for (name, share), least in zip(PHASES.items(), _LEAST, strict=True)
    ]
}
POLICIES: dict[str, dict[str, Any]] = {
    ONE_PHASE: {"phases": [{"name": "canary", "exposure": 0.5}]},
    GOOD: _FIVE_PHASES,
    BAD: _FIVE_PHASES,
}


@pytest.fixture(scope="module")
def worker(
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerProcess]:
    """The stream worker, running."""
    assert kafka_settings.bootstrap  # its topics are there
    directory = tmp_path_factory.mktemp("worker")
    policies = directory / "policies"
    policies.mkdir()
    for service, policy in POLICIES.items():
        text = yaml.safe_dump({"service": service, **_QUICK, **policy})
        (policies / f"{service}.yaml").write_text(text, encoding="utf-8")
    process = WorkerProcess(
        ["worker", "--policies", str(policies), "--state", str(directory / "state")],
        stack_environment,
        directory / "worker.log",
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def api(
    stack_environment: Mapping[str, str],
    worker: WorkerProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiProcess]:
    """The API, running, and a worker that answers."""
    assert worker.process is not None
    with running(stack_environment, tmp_path_factory.mktemp("api")) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Gated:
    """How a gate ended."""

    code: int
    found: dict[str, Any]
    lines: list[str]


class Gate:
    """``coalmine gate`` as a process of its own.

    Args:
        api: whom it asks.
        arguments: what it is told.
        variables: of a CI system.
    """

    def __init__(
        self, api: ApiProcess, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> None:
        own = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "coalmine", "gate", *arguments, "--interval", "0.2s", "--json"],
            env={**own, **api.variables, **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, timeout_s: float = 90.0) -> Gated:
        """Wait for it."""
        printed, said = self._process.communicate(timeout=timeout_s)
        found = json.loads(printed) if printed else {}
        return Gated(self._process.returncode, found, said.splitlines())


@pytest.fixture(autouse=True)
def logs_of_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails shows what the worker logged meanwhile."""
    process: WorkerProcess | None = None
    if "worker" in request.fixturenames or "api" in request.fixturenames:
        process = request.getfixturevalue("worker")
    yield
    if process is not None:
        sys.stdout.write(f"--- log of the worker\n{process.new_log()[-5000:]}\n")


__all__ = ["listen", "process"]
