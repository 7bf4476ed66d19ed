"""Feature flags: who gets which variant, and what the state of a rollout means for its flag.

A user's bucket is a number in [0, 1) made of the flag and the user alone, and the variant goes to
the buckets below the exposure. So a user who has the variant keeps it while the exposure grows,
every service and every process gives the same answer without asking anybody, and two flags divide
users independently of one another.

>>> state = FlagState(flag="new-checkout", service="shop", canary="on", exposure=0.5)
>>> [assign(state, user).variant for user in ("ann", "bob", "cid", "dan")]
['on', 'on', 'default', 'default']
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from enum import StrEnum

import msgspec

from contracts.results import PhaseProgress, RolloutStatus, Verdict

DEFAULT_VARIANT = "default"
"""Of everybody who does not get the canary, where the rollout names no other: what the code does
without the flag."""
_BUCKET_BITS = 53
"""As many as a double has, so that a bucket is exact in any language."""


class FlagState(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What holds for one flag of one service from now on."""

    flag: str
    service: str
    rollout: str = ""
    canary: str = ""
    """The variant under test."""
    baseline: str = ""
    """The variant of everybody else; where it is empty, ``DEFAULT_VARIANT``."""
    exposure: float = 0.0
    """Share of the users that get the canary, 0 to 1, besides those of ``groups``."""
    groups: tuple[str, ...] = ()
    """Groups of users that get the canary whatever their bucket."""
    status: RolloutStatus = RolloutStatus.RUNNING
    phase: str = ""
    opened_at: int = 0
    """When its rollout began, epoch milliseconds."""
    version: int = 0
    """Of two states of one flag the one with the higher version counts; services need not know."""

    @property
    def key(self) -> str:
        """Of its message: the topic keeps the last state of each flag of each service for ever."""
        return json.dumps([self.service, self.flag])

    @property
    def is_killed(self) -> bool:
        """Whether nobody gets the canary any more."""
        return self.status in _KILLED


class FlagStates(msgspec.Struct, kw_only=True, frozen=True):
    """Every flag of one service: the answer of ``GET /v1/flags/{service}``."""

    service: str
    flags: tuple[FlagState, ...] = ()


class Because(StrEnum):
    """Why somebody gets a variant."""

    TARGETED = "targeted"
    """Is in a group that gets it."""
    SPLIT = "split"
    """By bucket."""
    EVERYBODY = "everybody"
    """The rollout ended well."""
    KILLED = "killed"
    """The rollout was rolled back or ended without a decision."""
    DEFAULT = "default"
    """Not in a group that gets the canary, or not known who it is."""


class Assignment(msgspec.Struct, frozen=True):
    """One user's variant, and whether it is part of the comparison of the arms."""

    variant: str
    because: Because
    is_compared: bool
    """Whether telemetry is to name the arm: while the rollout is open. Those who were chosen are no
    random sample, so where there is a split they are left out, as are those whom nobody knows."""


_KILLED = frozenset(
    {
        RolloutStatus.ROLLING_BACK,
        RolloutStatus.TRAFFIC_STOPPED,
        RolloutStatus.ROLLED_BACK,
        RolloutStatus.ABORTED,
        RolloutStatus.CLOSED,
    }
)
_PROMOTED = frozenset({RolloutStatus.PROMOTED, RolloutStatus.WATCHING})


def bucket(flag: str, user: str) -> float:
    """Where a user stands in a flag's line, in [0, 1): uniform, and the same for ever.

    The first 53 bits of the 64-bit BLAKE2b of ``flag``, a zero byte and ``user``, as a fraction:
    any language can compute it again.

    >>> round(bucket("new-checkout", "ann"), 6)
    0.325782
    """
    text = f"{flag}\0{user}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BUCKET_BITS)) / 2.0**_BUCKET_BITS


def assign(state: FlagState, user: str, groups: Collection[str] = ()) -> Assignment:
    """Which variant one user gets.

    Args:
        state: of the flag.
        user: any stable id; empty where nobody is known.
        groups: that the user belongs to, such as ``internal``.
    """
    is_open = state.status.is_open
    baseline = state.baseline or DEFAULT_VARIANT
    if state.is_killed:
        return Assignment(baseline, Because.KILLED, is_compared=is_open)
    if state.status in _PROMOTED:
        return Assignment(state.canary, Because.EVERYBODY, is_compared=is_open)
    is_split = state.exposure > 0
    if any(group in groups for group in state.groups):
        return Assignment(state.canary, Because.TARGETED, is_compared=not is_split)
    if not is_split:
        return Assignment(baseline, Because.DEFAULT, is_compared=True)
    if not user and state.exposure < 1:
        return Assignment(baseline, Because.DEFAULT, is_compared=False)
    is_canary = bucket(state.flag, user) < state.exposure
    variant = state.canary if is_canary else baseline
    return Assignment(variant, Because.SPLIT, is_compared=True)


def flag_state(verdict: Verdict) -> FlagState:
    """What the last verdict of a flag's rollout means for the flag.

    While the rollout runs the exposure is that of its phase, or of the last one before it that
    says one; the groups are those of its phase and of all before it, so that nobody who has the
    variant loses it on the way. A phase that says neither gives it to nobody.
    """
    status = verdict.status
    phases = _phases_so_far(verdict)
    shares = [*(phase.exposure for phase in phases[:-1]), verdict.exposure]
    exposure = next((share for share in reversed(shares) if share is not None), 0.0)
    groups = tuple(dict.fromkeys(phase.users for phase in phases if phase.users))
    if status in _KILLED:
        exposure, groups = 0.0, ()
    elif status in _PROMOTED:
        exposure, groups = 1.0, ()
    return FlagState(
        flag=verdict.flag,
        service=verdict.service,
        rollout=verdict.rollout,
        canary=verdict.canary,
        baseline=verdict.baseline,
        exposure=exposure,
        groups=groups,
        status=status,
        phase=verdict.phase,
        opened_at=verdict.opened_at,
        version=verdict.version,
    )


def arm_of(flag: str, variant: str) -> str:
    """How telemetry names an arm.

    >>> arm_of("new-checkout", "on")
    'new-checkout:on'
    """
    return f"{flag}:{variant}"


def _phases_so_far(verdict: Verdict) -> list[PhaseProgress]:
    names = [phase.name for phase in verdict.phases]
    if verdict.phase not in names:
        return []
    return verdict.phases[: names.index(verdict.phase) + 1]
