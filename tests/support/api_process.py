"""A real API on the Kafka of the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from coalmine.api.tokens import local_tokens
from coalmine.stack.ports import LOOPBACK, free_port
from coalmine.stack.server import ServerProcess
from coalmine.stack.watchdog import ask


class ApiProcess:
    """``coalmine api`` with a token of its own, to be stopped and started again.

    Args:
        environment: names the servers.
        directory: for its tokens and its log.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self.port, self.health_port = free_port(), free_port()
        self.log = directory / "api.log"
        tokens = local_tokens(directory / "tokens.yaml", directory / "token")
        self.token = (directory / "token").read_text(encoding="utf-8")
        where = ["--port", str(self.port), "--health-port", str(self.health_port)]
        self._process = ServerProcess(
            name="api",
            command=[sys.executable, "-m", "coalmine", "api", *where, "--tokens", str(tokens)],
            log=self.log,
            is_ready=lambda: ask(self.health_port, "/readyz").is_well,
            environment=environment,
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a command is told to find it."""
        return {"COALMINE_API": self.url, "COALMINE_API_TOKEN": self.token}

    def start(self) -> None:
        """Start it, and wait until it has read everything."""
        self._process.spawn()
        self._process.wait_ready()

    def stop(self) -> None:
        """SIGTERM."""
        self._process.stop()

    def client(self) -> httpx.Client:
        """A client with its token."""
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)


@contextmanager
def running(environment: Mapping[str, str], directory: Path) -> Iterator[ApiProcess]:
    """An API that is ready, as long as the context lasts."""
    process = ApiProcess(environment, directory)
    process.start()
    try:
        yield process
    finally:
        process.stop()
