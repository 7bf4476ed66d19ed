"""The guard: a tiny process that ends what we started when we ourselves are killed.

A parent that gets SIGKILL cannot clean up, and Linux's parent-death signal follows the *thread*
that started the child, which may end long before the process does. So one child reads a pipe: each
line names a process group to look after or to forget; end of file means that we are gone.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

_GRACE_S = 5.0


class Guard:
    """Looks after process groups on behalf of this process; started with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def watch(self, group: int) -> None:
        """From now on ``group`` ends, at the latest, when this process does."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """``group`` has ended; its number may come to mean something else."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End what is still being looked after, and the guard itself."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
                self._process.wait()
                self._process = None

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = _start()
                atexit.register(self.close)
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def _start() -> subprocess.Popen[bytes]:
    # Its own session: a Ctrl-C or a signal to our whole group must not take the guard along.
    return subprocess.Popen(  # noqa: S603 - this file, run by this interpreter
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _signal_groups(groups: Iterable[int], number: int) -> set[int]:
    """Signal ``groups``; those that are still there."""
    alive = set()
    for group in groups:
        try:
            os.killpg(group, number)
            alive.add(group)
        except (ProcessLookupError, PermissionError):
            continue
    return alive


def _run() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    groups = _signal_groups(groups, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = _signal_groups(groups, 0)
    _signal_groups(groups, signal.SIGKILL)


if __name__ == "__main__":
    _run()
