"""A real worker and a real indexer on the servers of the run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from contracts.settings import KafkaSettings


class WorkerProcess:
    """One of Coalmine's stream processes, to be killed and started again."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.arguments = arguments
        self.environment = environment
        self.log = log
        self._printed = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coalmine", *self.arguments],
                env=dict(self.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def new_log(self) -> str:
        """What it logged since this was last asked."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        since, self._printed = self._printed, len(text)
        return text[since:]

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@pytest.fixture(scope="session")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies of the test services: every service opens its rollouts by itself."""
    directory = tmp_path_factory.mktemp("policies")
    (directory / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def worker(
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    policies: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerProcess]:
    """The stream worker, running."""
    assert kafka_settings.bootstrap  # its topics are there
    directory = tmp_path_factory.mktemp("worker")
    process = WorkerProcess(
        ["worker", "--policies", str(policies), "--state", str(directory)],
        stack_environment,
        directory / "worker.log",
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def indexer(
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerProcess]:
    """The indexer, running."""
    assert kafka_settings.bootstrap
    directory = tmp_path_factory.mktemp("indexer")
    process = WorkerProcess(
        ["indexer", "--state", str(directory)], stack_environment, directory / "indexer.log"
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def logs_of_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails shows what the processes logged meanwhile."""
    processes = [
        (name, request.getfixturevalue(name))
        for name in ("worker", "indexer")
        if name in request.fixturenames
    ]
    yield
    for name, process in processes:
        sys.stdout.write(f"--- log of the {name}\n{process.new_log()}\n")
