"""One server process: started, waited for, stopped, killed, and started again on the same data."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from coalmine.stack.guard import Guard
from coalmine.stack.runtime import ServerUser
from contracts.errors import Fatal

_POLL_S = 0.1
_LOG_TAIL_LINES = 15
GUARD = Guard()


class IsReady(Protocol):
    """Asks the server, quickly, whether it answers."""

    def __call__(self) -> bool:
        """Whether the server answers; never raises."""
        ...


class ServerProcess:
    """A child process in its own process group, which leads to one log file.

    Args:
        name: what errors call it.
        command: program and arguments.
        log: file that gets both its output streams.
        is_ready: asked until it says yes.
        start_timeout_s: how long that may take.
        stop_timeout_s: how long it may take to end by itself before it is killed.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        log: Path,
        is_ready: IsReady,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        user: ServerUser | None = None,
        start_timeout_s: float = 180.0,
        stop_timeout_s: float = 10.0,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._is_ready = is_ready
        self._cwd = cwd
        self._environment = dict(os.environ if environment is None else environment)
        self._user = user or ServerUser()
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running process, which is also its process group."""
        return self._process.pid if self._process and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative is the number of a signal; None while it runs."""
        return self._process.poll() if self._process else None

    def spawn(self) -> None:
        """Start the process and return at once."""
        if self.is_running:
            return
        self._reap()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands built by this package
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._environment,
                start_new_session=True,
                **self._user.process_options(),
            )
        GUARD.watch(self._process.pid)

    def wait_ready(self) -> None:
        """Return when the server answers.

        Raises:
            Fatal: it ended, or did not answer in time; the message holds the end of its log.
        """
        deadline = time.monotonic() + self._start_timeout_s
        while not self._is_ready():
            if not self.is_running:
                raise Fatal(f"{self.name} ended with code {self.exit_code}.{self._log_tail()}")
            if time.monotonic() > deadline:
                waited = f"{self._start_timeout_s:g} s"
                raise Fatal(f"{self.name} did not answer within {waited}.{self._log_tail()}")
            time.sleep(_POLL_S)

    def start(self) -> None:
        """Start the process and return when it answers."""
        self.spawn()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def terminate(self) -> None:
        """Ask the process to end and return at once."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask the process to end, wait, and kill what is left of its group."""
        self.terminate()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._stop_timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the whole process group as a power cut would."""
        self._signal(signal.SIGKILL)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        # Not through is_running: a leader that has ended may have left children in its group.
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            GUARD.forget(self._process.pid)
            self._process = None

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        tail = "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:])
        return f" Its log {self.log} ends with:\n{tail}" if tail else f" Its log is {self.log}."
