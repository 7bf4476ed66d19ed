"""What is said of the releases of a service: figures that pages and commands show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


class Stretch(msgspec.Struct, frozen=True):
    """The distinct units of one release in one stretch of time that begins at ``time``."""

    release: str
    time: int
    units: Mapping[str, bytes]


class CrashFree(msgspec.Struct, frozen=True):
    """Of ``total`` distinct units, the share that met no crash; ``None`` where it is not known."""

    total: float
    crashed: float
    share: float | None


class SameAge(msgspec.Struct, frozen=True):
    """A release and the one before it, each from its first traffic to the same age.

    ``lower`` and ``upper`` are the 95 % interval of the difference of the shares of crash-free
    sessions, this release minus its predecessor; it is valid for one look.
    """

    predecessor: str
    age_s: int
    own: CrashFree
    other: CrashFree
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None


class Point(msgspec.Struct, frozen=True):
    """One release in one bucket of the adoption curve."""

    time: int
    release: str
    exposures: int
    share: float


class ReleaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One release over the days that are looked at; times are epoch milliseconds."""

    release: str
    first: int
    """First traffic, as far as windows are kept."""
    last: int
    exposures: int
    share: float
    """Of all exposures in the newest bucket of the adoption curve."""
    crashes: int
    sessions: CrashFree
    users: CrashFree
    same_age: SameAge | None = None


class SupportStep(msgspec.Struct, frozen=True):
    """What ending the support of a release and all older ones would mean."""

    release: str
    left_behind: float
    """Distinct units that used nothing newer."""
    share: float
    lower: float
    upper: float
    """95 % interval of ``left_behind``, which sketches know as well as their size allows."""


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the releases of a service in the wild, the oldest release first."""

    service: str
    days: float
    exposure: str
    """The event that is counted: ``session`` or ``request``."""
    step_s: int
    unit: str
    """Whose shares ``support`` tells of: ``user``, ``session``, or the event."""
    releases: list[ReleaseRecord]
    adoption: list[Point]
    support: list[SupportStep]
    summary: str
    is_cut: bool = False
    """Whether there was more than could be read: the oldest stretches are missing."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Counters of one release in one bucket of time."""

    release: str
    time: int
    last: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at: ``[start_ms, end_ms)``, in buckets of ``step_s`` seconds."""

    start_ms: int
    end_ms: int
    step_s: int

    @property
    def days(self) -> float:
        """Its length."""
        return (self.end_ms - self.start_ms) / 86_400_000
