"""Coalmine's own processes, each a child that is replaced when it ends by itself or is stuck."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from coalmine.stack.ports import LOOPBACK, free_port, is_open
from coalmine.stack.server import IsReady, ServerProcess
from coalmine.stack.watchdog import Watchdog, ask
from contracts.clock import Clock, SystemClock

TARGETS_FILE = "prometheus-targets.json"
"""Where the health ports of all parts stand, as Prometheus reads them."""
_POLL_S = 0.2
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_STEADY_AFTER_S = 60.0
"""A process that ran so long is in order again: its next fall starts from the shortest wait."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of Coalmine: ``coalmine <arguments>``, ready when its ports (if any) answer."""

    name: str
    arguments: tuple[str, ...]
    port: int | None = None
    health_port: int | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What follows ``coalmine``."""
        if self.health_port is None:
            return self.arguments
        return (*self.arguments, "--health-port", str(self.health_port))


class Event(StrEnum):
    """What happened to a part."""

    READY = "ready"
    ENDED = "ended"
    UNWELL = "unwell"
    WELL = "well again"
    REPLACED = "replaced"
    """It ran, but was stuck, and was killed."""
    RESTARTED = "restarted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to which part, and why; ``restarts`` in all, ``wait_s`` until the next one."""

    part: str
    event: Event
    exit_code: int | None = None
    restarts: int = 0
    wait_s: float = 0.0
    reason: str = ""


OnChange = Callable[[Change], None]


def parts_of(
    state_dir: Path,
    *,
    policies: Path | None = None,
    endpoints: Path | None = None,
    agents: Sequence[Path] = (),
    dashboard_port: int,
    api: tuple[int, Path] | None = None,
) -> list[Part]:
    """The processes of one Coalmine, in the order of their start: what reads comes first.

    Args:
        state_dir: each part keeps its files in a directory of its own below it.
        policies: directory of policies; every service has the default policy without it.
        endpoints: file of endpoints; no alerter runs without it.
        agents: one agent runs for each of these files.
        dashboard_port: where the dashboard listens.
        api: port of the API and its file of tokens; no API runs without it.
    """
    chosen = ("--policies", str(policies)) if policies else ()
    parts = [
        Part("worker", ("worker", *chosen, "--state", str(state_dir / "worker"))),
        Part("indexer", ("indexer", "--state", str(state_dir / "indexer"))),
    ]
    if endpoints is not None:
        parts.append(Part("alerter", ("alerter", "--config", str(endpoints))))
    address = ("--host", LOOPBACK, "--port", str(dashboard_port))
    targets = ("--targets", str(state_dir / TARGETS_FILE))
    parts.append(Part("dashboard", ("dashboard", *address, *targets), dashboard_port))
    if api is not None:
        port, tokens = api
        where = ("--host", LOOPBACK, "--port", str(port), "--tokens", str(tokens))
        parts.append(Part("api", ("api", *where), port))
    for number, config in enumerate(agents, start=1):
        name = "agent" if len(agents) == 1 else f"agent-{number}"
        parts.append(Part(name, ("agent", "--config", str(config))))
    return [replace(part, health_port=free_port()) for part in parts]


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
    watchdog: Watchdog
    restarts: int = 0
    restart_at_s: float | None = None


class Supervisor:
    """Starts parts in order, replaces what ends or is stuck, stops all in reverse order.

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
                self._spawn(watched)
            for watched in self._watched:
                watched.process.wait_ready()
                self._tell(watched, Event.READY)
        except BaseException:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask every part to end, in reverse order, and wait; harmless where none runs."""
        self._is_ending.set()
        if self._thread is not None:
            self._thread.join()
        running = [w for w in reversed(self._watched) if w.process.is_running]
        for watched in running:
            watched.process.terminate()
        for watched in running:
            watched.process.stop()
            self._tell(watched, Event.STOPPED)
        for watched in self._watched:
            watched.process.kill()  # what one that ended by itself may have left behind

    def processes(self) -> dict[str, ServerProcess]:
        """The processes by the names of their parts."""
        return {w.part.name: w.process for w in self._watched}

    def check(self) -> None:
        """One look: notes what has ended or is stuck, starts again what has waited long enough."""
        for watched in self._watched:
            if watched.restart_at_s is None:
                if watched.process.is_running:
                    self._look_into(watched)
                else:
                    self._note_end(watched, Event.ENDED)
            elif self._clock.monotonic_s() >= watched.restart_at_s:
                self._restart(watched)

    def _look_after(self) -> None:
        while not self._is_ending.wait(_POLL_S):
            self.check()

    def _look_into(self, watched: _Watched) -> None:
        port, dog = watched.part.health_port, watched.watchdog
        if port is None or not dog.is_due(self._clock.monotonic_s()):
            return
        found, was_unwell = ask(port), dog.unwell
        reason = dog.note(found, self._clock.monotonic_s())
        if reason:
            self._note_end(watched, Event.REPLACED, reason)
        elif bool(dog.unwell) != bool(was_unwell):
            self._tell(watched, Event.UNWELL if dog.unwell else Event.WELL, reason=dog.unwell)

    def _note_end(self, watched: _Watched, event: Event, reason: str = "") -> None:
        now_s = self._clock.monotonic_s()
        wait_s = watched.backoff.after_run_of(now_s - watched.started_s)
        watched.restart_at_s = now_s + wait_s
        self._tell(watched, event, wait_s, reason)
        watched.process.kill()  # all of its group, and what it may have left behind

    def _spawn(self, watched: _Watched) -> None:
        watched.process.spawn()
        watched.started_s = self._clock.monotonic_s()
        watched.watchdog = Watchdog(watched.started_s)

    def _restart(self, watched: _Watched) -> None:
        watched.restarts += 1
        watched.restart_at_s = None
        try:
            self._spawn(watched)
        except OSError as error:  # no memory, no process ids: later there may be some
            self._note_end(watched, Event.ENDED, f"did not start: {error}")
        else:
            self._tell(watched, Event.RESTARTED)

    def _tell(self, watched: _Watched, event: Event, wait_s: float = 0.0, reason: str = "") -> None:
        code = watched.process.exit_code if event is Event.ENDED else None
        self._on_change(Change(watched.part.name, event, code, watched.restarts, wait_s, reason))

    def _watch(self, part: Part, state_dir: Path, variables: Mapping[str, str]) -> _Watched:
        process = ServerProcess(
            name=part.name,
            command=[sys.executable, "-m", "coalmine", *part.command],
            log=state_dir / "logs" / f"{part.name}.log",
            is_ready=_readiness(part),
            environment=variables,
        )
        return _Watched(part, process, Backoff(), 0.0, Watchdog(0.0))


def _readiness(part: Part) -> IsReady:
    port, health_port = part.port, part.health_port
    return lambda: (
        (port is None or is_open(port)) and (health_port is None or ask(health_port).is_heard)
    )
