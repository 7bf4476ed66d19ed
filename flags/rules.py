"""What a service knows of its flags: one immutable snapshot, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.flags import FlagState, FlagStates


@dataclass(frozen=True, slots=True)
class Rules:
    """The flags as they were last heard of.

    ``stale_since_s`` is the monotonic time since which nobody can tell whether they still hold;
    ``None`` while they do.
    """

    flags: Mapping[str, FlagState] = field(default_factory=dict)
    is_heard: bool = False
    """Whether the API ever told anything."""
    stale_since_s: float | None = None

    @classmethod
    def of(cls, states: FlagStates) -> Rules:
        """What the API just told."""
        return cls({state.flag: state for state in states.flags}, is_heard=True)

    def fresh(self) -> Rules:
        """The same, confirmed."""
        return replace(self, stale_since_s=None)

    def stale(self, since_s: float) -> Rules:
        """The same, no longer certain; since when is kept where it was known."""
        return self if self.stale_since_s is not None else replace(self, stale_since_s=since_s)

    def changed(self, before: Rules) -> list[str]:
        """Names of the flags that differ."""
        names = self.flags.keys() | before.flags.keys()
        return sorted(name for name in names if self.flags.get(name) != before.flags.get(name))
