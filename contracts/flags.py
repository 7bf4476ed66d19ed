"""Feature flags: who gets which variant, and what the state of a rollout means for its flag.

A user's bucket is a number in [0, 1) made of the flag and the user alone, and the variant goes to
the buckets below the exposure. So a user who has the variant keeps it while the exposure grows,
every service and every process gives the same answer without asking anybody, and two flags divide
users independently of one another.

>>> state = FlagState(flag="new-checkout", service="shop", canary="on", exposure=0.5)
>>> [assign(state, user).variant for user in ("ann", "bob", "cid", "dan")]
['on', 'on', '', '']
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.results import PhaseProgress, RolloutStatus, Verdict

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
    """The variant of everybody else; empty where it is what the code does by default."""
    exposure: float = 0.0
    """Share of the users that get the canary, 0 to 1, besides those of ``groups``."""
    groups: tuple[str, ...] = ()
    """Groups of users that get the canary whatever their bucket."""
    status: RolloutStatus = RolloutStatus.RUNNING
    phase: str = ""
    opened_at: int = 0
    """When its rollout began, epoch milliseconds."""

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


def buckets(flag: str, users: Iterable[str]) -> npt.NDArray[np.float64]:
    """The buckets of n users, (n,), for simulations and for counting who would be reached."""
    return np.fromiter((bucket(flag, user) for user in users), np.float64)


def assign(state: FlagState, user: str, groups: Collection[str] = ()) -> Assignment:
    """Which variant one user gets.

    Args:
        state: of the flag.
        user: any stable id; empty where nobody is known.
        groups: that the user belongs to, such as ``internal``.
    """
    is_open = state.status.is_open
    if state.is_killed:
        return Assignment(state.baseline, Because.KILLED, is_compared=is_open)
    if state.status in _PROMOTED:
        return Assignment(state.canary, Because.EVERYBODY, is_compared=is_open)
    is_split = state.exposure > 0
    if any(group in groups for group in state.groups):
        return Assignment(state.canary, Because.TARGETED, is_compared=not is_split)
    if not is_split:
        return Assignment(state.baseline, Because.DEFAULT, is_compared=True)
    if not user and state.exposure < 1:
        return Assignment(state.baseline, Because.DEFAULT, is_compared=False)
    is_canary = bucket(state.flag, user) < state.exposure
    variant = state.canary if is_canary else state.baseline
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
