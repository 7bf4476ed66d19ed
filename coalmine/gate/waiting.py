"""The loop of a gate: asks until the answer is final or the time is up. Knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from coalmine.api.conclusion import Result
from coalmine.api.states import State
from contracts.clock import Clock
from contracts.errors import Recoverable

_SIGN_OF_LIFE_S = 240.0
"""Pipelines end jobs that print nothing for ten minutes."""


class OnInconclusive(StrEnum):
    """What a gate does when its time is up and nothing was found."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - a word, no password
    HOLD = "hold"
    """Fail, and hold the rollout until a person decides."""


class Code:
    """Exit codes of a gate."""

    PASSED = 0
    REGRESSED = 1
    USAGE = 2
    INCONCLUSIVE = 4
    NO_DATA = 5


@dataclass(frozen=True, slots=True)
class Ending:
    """How the waiting ended."""

    state: State | None
    """The last one that was heard; None where the API never answered."""
    waited_s: float
    is_timeout: bool = False
    problem: str = ""
    """Why the API could not be asked in the end."""

    @property
    def result(self) -> Result:
        """What was found; inconclusive where nobody could be asked."""
        return Result.INCONCLUSIVE if self.state is None else self.state.result

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        said = self.state.reason if self.state else ""
        if self.problem:
            said = self.problem
        if self.is_timeout:
            return f"Not decided within {self.waited_s:.0f} s. {said}".strip()
        return said


def exit_code(ending: Ending, on_inconclusive: OnInconclusive) -> int:
    """What the process ends with."""
    match ending.result:
        case Result.HEALTHY:
            return Code.PASSED
        case Result.REGRESSED:
            return Code.REGRESSED
        case Result.NO_DATA:
            return Code.NO_DATA
    return Code.PASSED if on_inconclusive is OnInconclusive.PASS else Code.INCONCLUSIVE


class Waiting:
    """Asks at an interval, tells each change.

    Args:
        ask: where the rollout stands; raises ``Recoverable`` while nobody answers.
        tell: gets one line for each change.
        clock: time.
        sleep: how to wait.
    """

    def __init__(
        self,
        ask: Callable[[], State],
        tell: Callable[[str], None],
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = ask
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._last_line = ""
        self._told_s = clock.monotonic_s()

    def run(self, timeout_s: float, interval_s: float) -> Ending:
        """Wait until the result is final, or for ``timeout_s``; an API that is away is waited for.

        Raises:
            ConfigError: whatever ``ask`` raises beside ``Recoverable``.
        """
        began_s = self._clock.monotonic_s()
        state: State | None = None
        while True:
            problem = ""
            try:
                state = self._ask()
            except Recoverable as error:
                problem = str(error)
            self._show(line_of(state) if state and not problem else problem)
            waited_s = self._clock.monotonic_s() - began_s
            if state is not None and state.is_final and not problem:
                return Ending(state, waited_s)
            if waited_s >= timeout_s:
                return Ending(state, waited_s, is_timeout=True, problem=problem)
            self._sleep(min(interval_s, timeout_s - waited_s))

    def _show(self, line: str) -> None:
        now_s = self._clock.monotonic_s()
        if line != self._last_line or now_s - self._told_s >= _SIGN_OF_LIFE_S:
            self._tell(line)
            self._told_s = now_s
        self._last_line = line


def line_of(state: State) -> str:
    """A state in one line that stays the same while nothing changes that people would act upon."""
    if state.status is None:
        return f"{state.result}: {state.reason}"
    words = [f"{state.result}: {state.status} in phase {state.phase}"]
    if state.guilty_metric:
        words.append(f"guilty: {state.guilty_group or state.guilty_metric}")
    if state.held_because:
        words.append(f"held: {state.held_because}")
    if state.is_final:
        words.append(state.reason)
    return ", ".join(words)
