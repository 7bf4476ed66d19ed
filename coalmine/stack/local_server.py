"""What both servers of the local stack share: one process, prepared once, started and ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from coalmine.stack.cache import Cache
from coalmine.stack.ports import free_port
from coalmine.stack.report import Report, Stage, Step, silent
from coalmine.stack.runtime import ServerUser
from coalmine.stack.server import ServerProcess
from contracts.errors import Fatal


class LocalServer(ABC):
    """A server on ``port``; its data survive ``stop`` and ``kill``.

    Args:
        state_dir: parent of its data, configuration and log.
        cache: of downloads.
        user: whom it runs as.
        port: where clients connect; a free one if not given.
        report: told of every step.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        state_dir: Path,
        *,
        cache: Cache,
        user: ServerUser,
        port: int | None = None,
        report: Report = silent,
    ) -> None:
        self.port = port or free_port()
        self._inner_port = free_port()
        self._state_dir = state_dir
        self._cache = cache
        self._user = user
        self._report = report
        self._process: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        """The process; only after ``start``."""
        if self._process is None:
            raise Fatal(f"{self.title} has not been started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.is_running

    def start(self) -> None:
        """Fetch and prepare what is missing, start, wait.

        Raises:
            Fatal: a download failed, or the server did not come up.
        """
        if self._process is None:
            self._process = self._prepare()
        self._report(Step(self.name, Stage.STARTING))
        self._process.start()
        self._report(Step(self.name, Stage.READY))

    def stop(self) -> None:
        """Shut the server down."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            self._process.kill()

    @abstractmethod
    def _prepare(self) -> ServerProcess:
        """Fetch, configure, and say how to run it."""

    def _on_bytes(self, done_bytes: int, total_bytes: int) -> None:
        self._report(Step(self.name, Stage.DOWNLOADING, done_bytes, total_bytes))
