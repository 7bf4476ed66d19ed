"""Whether a process that still runs is to be replaced: asks its health port, and has patience.

A process that says it is stuck is believed. One that says nothing may only be slow, or the machine
may be: it has half a minute, and its first start three.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field

from coalmine.stack.ports import LOOPBACK

EVERY_S = 2.0
_ANSWER_WITHIN_S = 3.0
_SILENT_S = 30.0
_START_S = 180.0
_LEAST_SILENT = 3
"""Looks in a row: a supervisor that was itself held up must not take its own gap for silence."""
_LEAST_STUCK = 2
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a health port gave."""

    is_heard: bool
    stuck: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What people should see to although it does its work."""

    @property
    def is_well(self) -> bool:
        """Whether it answered, and nothing is wrong."""
        return self.is_heard and not self.stuck and not self.missing


def ask(port: int, path: str = "/healthz") -> Finding:
    """Ask a health port of this machine; never raises, and takes 3 s at most."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_WITHIN_S)
    try:
        connection.request("GET", path)
        body = json.loads(connection.getresponse().read(_MOST_BYTES))
        rest = (tuple(body.get(name, ())) for name in ("missing", "warnings"))
        return Finding(True, tuple(body["stuck"]), *rest)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return Finding(is_heard=False)
    finally:
        connection.close()


@dataclass(slots=True)
class Watchdog:
    """Judges one process by what its health port said since it was started.

    >>> dog = Watchdog(started_s=0.0)
    >>> well, silent = Finding(is_heard=True), Finding(is_heard=False)
    >>> dog.note(well, now_s=10), dog.note(silent, now_s=15)
    ('', '')
    >>> [dog.note(silent, now_s=s) for s in (20, 41)]
    ['', 'has not answered for 31 s']
    """

    started_s: float
    unwell: str = ""
    """What is wrong now, in words; a process that has not answered yet is starting, not unwell."""
    _heard_s: float | None = None
    _silent: int = 0
    _stuck: int = 0
    _next_s: float = field(default=0.0)

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for the next look."""
        return now_s >= self._next_s

    def note(self, found: Finding, now_s: float) -> str:
        """Take a look into account.

        Args:
            found: what the health port said.
            now_s: monotonic seconds.

        Returns:
            Why the process is to be replaced; empty while it is not.
        """
        self._next_s = now_s + EVERY_S
        if not found.is_heard:
            return self._note_silence(now_s)
        self._heard_s, self._silent = now_s, 0
        self._stuck = self._stuck + 1 if found.stuck else 0
        self.unwell = f"stands still: {', '.join(found.stuck)}" if found.stuck else ""
        return self.unwell if self._stuck >= _LEAST_STUCK else ""

    def _note_silence(self, now_s: float) -> str:
        self._silent += 1
        is_starting = self._heard_s is None
        since_s = self.started_s if self._heard_s is None else self._heard_s
        limit_s = _START_S if is_starting else _SILENT_S
        reason = f"has not answered for {now_s - since_s:.0f} s"
        if self._silent > 1 and not is_starting:
            self.unwell = reason
        is_over = now_s - since_s > limit_s and self._silent >= _LEAST_SILENT
        return reason if is_over else ""
