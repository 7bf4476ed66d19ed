"""Whether a process moves (alive) and whether it can do its work (ready).

A process that answers is not yet alive: a thread of its own answers for it. So each loop of it has
a pulse, and the process counts as alive only while every loop that should move does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType

from prometheus_client.core import GaugeMetricFamily, Metric

from contracts.clock import Clock, SystemClock


class Pulse:
    """When one loop last moved. A loop is at rest until its first beat.

    Args:
        limit_s: a loop that is due to move and stands still for longer than this is stuck.
        clock: only its monotonic reading is used.

    >>> from contracts.clock import ManualClock
    >>> clock = ManualClock()
    >>> pulse = Pulse(10, clock)
    >>> with pulse:  # something is in hand
    ...     clock.advance(11)
    ...     pulse.is_stuck
    True
    >>> pulse.is_stuck  # nothing is
    False
    """

    def __init__(self, limit_s: float, clock: Clock) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._moved_s: float | None = None

    def beat(self) -> None:
        """The loop moves, and is to move again within the limit."""
        self._moved_s = self._clock.monotonic_s()

    def rest(self) -> None:
        """The loop has nothing to do, or has ended: until its next beat it may stand still."""
        self._moved_s = None

    def excuse(self) -> None:
        """What the loop waits for is away: its time begins anew."""
        if self._moved_s is not None:
            self.beat()

    @property
    def still_s(self) -> float:
        """Seconds since the loop last moved; 0 while it is at rest."""
        moved_s = self._moved_s
        return 0.0 if moved_s is None else self._clock.monotonic_s() - moved_s

    @property
    def is_stuck(self) -> bool:
        """Whether the loop ought to have moved by now."""
        return self.still_s > self.limit_s

    def __enter__(self) -> None:
        self.beat()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.rest()


class Vitals:
    """The pulses of one process, and what it needs to do its work."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._pulses: dict[str, Pulse] = {}
        self._needs: dict[str, Callable[[], bool]] = {}
        self._warnings: dict[str, Callable[[], str]] = {}

    def pulse(self, loop: str, limit_s: float) -> Pulse:
        """The pulse of a loop of this name, see ``Pulse``."""
        return self._pulses.setdefault(loop, Pulse(limit_s, self._clock))

    def need(self, what: str, is_met: Callable[[], bool]) -> None:
        """The process is ready only while ``is_met``, which is asked from another thread, quickly.

        Args:
            what: tells people what is waited for, for example ``kafka answers``.
            is_met: never raises.
        """
        self._needs[what] = is_met

    def warn(self, what: str, why: Callable[[], str]) -> None:
        """People are told of this while ``why`` gives a text; the process is ready all the same.

        Args:
            what: is wrong, for example ``policies are refused``.
            why: asked from another thread, quickly; never raises; empty while all is well.
        """
        self._warnings[what] = why

    def warnings(self) -> list[str]:
        """What people should see to, although the work goes on."""
        found = [(what, why()) for what, why in list(self._warnings.items())]
        return [f"{what}: {why}" for what, why in found if why]

    def excuse(self) -> None:
        """What all loops wait for is away, see ``Pulse.excuse``."""
        for pulse in list(self._pulses.values()):
            pulse.excuse()

    def still_s(self) -> dict[str, float]:
        """Seconds for which each loop has stood still though it should move."""
        return {loop: pulse.still_s for loop, pulse in list(self._pulses.items())}

    def stuck(self) -> list[str]:
        """The loops that ought to have moved by now."""
        return [loop for loop, pulse in list(self._pulses.items()) if pulse.is_stuck]

    def missing(self) -> list[str]:
        """What is needed and not there; the process is ready when nothing is."""
        return [what for what, is_met in list(self._needs.items()) if not is_met()]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is stuck and nothing is missing."""
        return not (self.stuck() or self.missing())

    def collect(self) -> Iterator[Metric]:
        """As metrics: the interface of a collector of prometheus_client."""
        still = GaugeMetricFamily(
            "coalmine_health_still_seconds",
            "For how long a loop of this process has stood still though it should move.",
            labels=["loop"],
        )
        for loop, seconds in self.still_s().items():
            still.add_metric([loop], seconds)
        yield still
        ready = GaugeMetricFamily(
            "coalmine_health_ready", "1 while this process can do its work, else 0."
        )
        ready.add_metric([], self.is_ready)
        yield ready
