"""What a test says of traffic, checked against the counters of its policy."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from coalmine.policies.cases import Change, Given, Load
from coalmine.policies.rates import per_second, share_of_one
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.results import MetricKind


class Arm(StrEnum):
    """Either side of a rollout; also the names of the releases of a test."""

    CANARY = "canary"
    BASELINE = "baseline"


class Rate(NamedTuple):
    """So many a second."""

    per_s: float


class Part(NamedTuple):
    """So many for each of another counter."""

    share: float
    of: str


class Median(NamedTuple):
    """Values around this median, as many as another counter counts."""

    value: float
    of: str


Value = Rate | Part | Median


class Layer(NamedTuple):
    """What is given, or changed for a while."""

    change: Change
    both: dict[str, Value]
    arms: dict[Arm, dict[str, Value]]

    def holds(self, phase: str, elapsed_s: float) -> bool:
        """Whether it holds in this phase, so long after the start."""
        change = self.change
        is_over = change.until is not None and elapsed_s >= change.until
        in_phase = not change.phase or change.phase == phase
        return in_phase and elapsed_s >= change.after and not is_over


class Told(NamedTuple):
    """One counter of one arm at one moment."""

    value: Value
    is_shared: bool
    """Whether the arm gets its share of it; else it is all its own."""


class Loads:
    """The traffic of one test at any moment.

    Raises:
        ConfigError: a counter that the policy does not know, a value that does not fit.
    """

    def __init__(self, policy: Policy, given: Given, *, source: str, field: str) -> None:
        self._parts = {m.bad: m.of for m in policy.metrics if m.bad}
        self._values = {m.value: m.of for m in policy.metrics if m.value}
        self._counters = {m.of for m in policy.metrics} | self._parts.keys()
        self.bad = sorted(self._parts)
        """Counters of bad outcomes."""
        self._groups = {m.bad for m in policy.metrics if m.kind is MetricKind.GROUPS}
        self._source = source
        phases = {phase.name for phase in policy.phases}
        base = Change(both=given.both, baseline=given.baseline, canary=given.canary)
        self.layers = [self._layer(base, field)]
        for number, change in enumerate(given.changes):
            where = f"{field}.changes[{number}]"
            if change.phase and change.phase not in phases:
                expected = f"expected a phase of the policy: {', '.join(sorted(phases))}"
                raise ConfigError(source, expected, field=f"{where}.phase", value=change.phase)
            self.layers.append(self._layer(change, where))

    def told(self, arm: Arm, phase: str, elapsed_s: float) -> dict[str, Told]:
        """Counter, group or histogram to its value; later layers go before earlier ones."""
        told: dict[str, Told] = {}
        for layer in self.layers:
            if layer.holds(phase, elapsed_s):
                told |= {name: Told(value, is_shared=True) for name, value in layer.both.items()}
                own = layer.arms[arm]
                told |= {name: Told(value, is_shared=False) for name, value in own.items()}
        return told

    def _layer(self, change: Change, field: str) -> Layer:
        of = {Arm.CANARY: change.canary, Arm.BASELINE: change.baseline}
        return Layer(
            change,
            dict(self._read(change.both, f"{field}.both")),
            {arm: dict(self._read(load, f"{field}.{arm}")) for arm, load in of.items()},
        )

    def _read(self, load: Load, field: str) -> Iterator[tuple[str, Value]]:
        for name, text in load.items():
            value = self._value(name, text)
            if isinstance(value, str):
                raise ConfigError(self._source, value, field=f"{field}.{name}", value=text)
            yield name, value

    def _value(self, name: str, text: str | float) -> Value | str:
        """The value, or what was expected instead."""
        if name in self._values:
            if isinstance(text, str) or text <= 0:
                return "expected a number above 0: the median"
            return Median(float(text), self._values[name])
        base = name.split("/", maxsplit=1)[0]
        if base not in (self._groups if "/" in name else self._counters):
            known = sorted({*self._counters, *self._values, *(f"{g}/…" for g in self._groups)})
            return f"expected a name that the policy counts: {', '.join(known)}"
        return _amount(text, self._parts.get(base))


def _amount(text: str | float, of: str | None) -> Value | str:
    """How much of a counter, or what was expected instead; ``of`` is what it is a share of."""
    if not isinstance(text, str):
        return Rate(float(text)) if text >= 0 else "expected 0 or more a second"
    if (rate := per_second(text)) is not None:
        return Rate(rate)
    if of is not None and (share := share_of_one(text)) is not None:
        return Part(share, of)
    return "expected a rate such as 20/s" + (" or a share such as 0.1%" if of else "")
