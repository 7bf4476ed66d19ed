"""Coalmine's own processes, each a child that is started again when it ends by itself."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coalmine.stack.ports import LOOPBACK, is_open
from coalmine.stack.server import IsReady, ServerProcess
from contracts.clock import Clock, SystemClock

_POLL_S = 0.2
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_STEADY_AFTER_S = 60.0
"""A process that ran so long is in order again: its next fall starts from the shortest wait."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of Coalmine: ``coalmine <arguments>``, ready when its port (if any) is open."""

    name: str
    arguments: tuple[str, ...]
    port: int | None = None


class Event(StrEnum):
    """What happened to a part."""

    READY = "ready"
    ENDED = "ended"
    RESTARTED = "restarted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to which part; ``restarts`` in all, ``wait_s`` until the next one."""

    part: str
    event: Event
    exit_code: int | None = None
    restarts: int = 0
    wait_s: float = 0.0


OnChange = Callable[[Change], None]


def parts_of(
    state_dir: Path,
    *,
    policies: Path | None = None,
    endpoints: Path | None = None,
    agents: Sequence[Path] = (),
    dashboard_port: int,
) -> list[Part]:
    """The processes of one Coalmine, in the order of their start: what reads comes first.

    Args:
        state_dir: each part keeps its files in a directory of its own below it.
        policies: directory of policies; every service has the default policy without it.
        endpoints: file of endpoints; no alerter runs without it.
        agents: one agent runs for each of these files.
        dashboard_port: where the dashboard listens.
    """
    chosen = ("--policies", str(policies)) if policies else ()
    parts = [
        Part("worker", ("worker", *chosen, "--state", str(state_dir / "worker"))),
        Part("indexer", ("indexer", "--state", str(state_dir / "indexer"))),
    ]
    if endpoints is not None:
        parts.append(Part("alerter", ("alerter", "--config", str(endpoints))))
    address = ("--host", LOOPBACK, "--port", str(dashboard_port))
    parts.append(Part("dashboard", ("dashboard", *address), dashboard_port))
    for number, config in enumerate(agents, start=1):
        name = "agent" if len(agents) == 1 else f"agent-{number}"
        parts.append(Part(name, ("agent", "--config", str(config))))
    return parts


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next restart: doubling, bounded, short again after a steady run.

    >>> backoff = Backoff()
    >>> [backoff.after_run_of(1.0) for _ in range(4)], backoff.after_run_of(3600.0)
    ([0.5, 1.0, 2.0, 4.0], 0.5)
    """

    _next_s: float = _FIRST_WAIT_S

    def after_run_of(self, seconds: float) -> float:
        """The wait after a run that lasted so long."""
        if seconds >= _STEADY_AFTER_S:
            self._next_s = _FIRST_WAIT_S
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, _LONGEST_WAIT_S)
        return wait_s


@dataclass(slots=True)
class _Watched:
    part: Part
    process: ServerProcess
    backoff: Backoff
    started_s: float
    restarts: int = 0
    restart_at_s: float | None = None


class Supervisor:
    """Starts parts in order, restarts what ends by itself, stops all in reverse order.

    Args:
        parts: in the order of their start.
        state_dir: gets ``logs/<part>.log``.
        environment: variables beside those of this process, such as ``LocalStack.environment()``.
        on_change: told of every change, from the supervising thread.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        state_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        on_change: OnChange | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_change = on_change or (lambda _change: None)
        variables = os.environ | dict(environment or {})
        self._watched = [self._watch(part, state_dir, variables) for part in parts]
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start every part, wait until each is ready, and look after them from then on.

        Raises:
            Fatal: a part did not come up; those before it are stopped again.
        """
        try:
            for watched in self._watched:
                watched.process.spawn()
                watched.started_s = self._clock.monotonic_s()
            for watched in self._watched:
                watched.process.wait_ready()
                self._tell(watched, Event.READY)
        except BaseException:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop every part in reverse order; harmless where none runs."""
        self._is_ending.set()
        if self._thread is not None:
            self._thread.join()
        for watched in reversed(self._watched):
            if watched.process.pid is not None:
                watched.process.stop()
                self._tell(watched, Event.STOPPED)
            watched.process.kill()

    def processes(self) -> dict[str, ServerProcess]:
        """The processes by the names of their parts."""
        return {w.part.name: w.process for w in self._watched}

    def check(self) -> None:
        """One look: notes what has ended, and starts again what has waited long enough."""
        for watched in self._watched:
            if watched.restart_at_s is None:
                self._note_end(watched)
            elif self._clock.monotonic_s() >= watched.restart_at_s:
                self._restart(watched)

    def _look_after(self) -> None:
        while not self._is_ending.wait(_POLL_S):
            self.check()

    def _note_end(self, watched: _Watched) -> None:
        if watched.process.is_running:
            return
        now_s = self._clock.monotonic_s()
        wait_s = watched.backoff.after_run_of(now_s - watched.started_s)
        watched.restart_at_s = now_s + wait_s
        self._tell(watched, Event.ENDED, wait_s)
        watched.process.kill()  # what it may have left behind

    def _restart(self, watched: _Watched) -> None:
        watched.restarts += 1
        watched.restart_at_s = None
        watched.process.spawn()
        watched.started_s = self._clock.monotonic_s()
        self._tell(watched, Event.RESTARTED)

    def _tell(self, watched: _Watched, event: Event, wait_s: float = 0.0) -> None:
        code = watched.process.exit_code if event is Event.ENDED else None
        self._on_change(Change(watched.part.name, event, code, watched.restarts, wait_s))

    def _watch(self, part: Part, state_dir: Path, variables: Mapping[str, str]) -> _Watched:
        process = ServerProcess(
            name=part.name,
            command=[sys.executable, "-m", "coalmine", *part.arguments],
            log=state_dir / "logs" / f"{part.name}.log",
            is_ready=_readiness(part),
            environment=variables,
        )
        return _Watched(part, process, Backoff(), started_s=0.0)


def _readiness(part: Part) -> IsReady:
    port = part.port
    return (lambda: True) if port is None else (lambda: is_open(port))
