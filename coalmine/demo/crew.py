"""Several processes as one: started, watched and ended together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coalmine.stack.server import ServerProcess
from contracts.errors import Fatal

_TAIL_LINES = 15


def start_together(parts: Sequence[ServerProcess]) -> None:
    """Start all of them side by side and return when each answers.

    Raises:
        Fatal: one of them ended or did not answer; the message holds the end of its log.
    """
    for part in parts:
        part.spawn()
    for part in parts:
        part.wait_ready()


def stop_together(parts: Sequence[ServerProcess]) -> None:
    """Ask all of them to end, then wait for each."""
    for part in parts:
        part.terminate()
    for part in parts:
        part.stop()


def check_alive(parts: Sequence[ServerProcess]) -> None:
    """Nothing, while all of them run.

    Raises:
        Fatal: one has ended; the message holds the end of its log.
    """
    for part in parts:
        if not part.is_running:
            raise Fatal(f"{part.name} ended with code {part.exit_code}.{_tail_of(part.log)}")


def _tail_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        lines = []
    return f" Its log {log} ends with:\n" + "\n".join(f"  {line}" for line in lines)
