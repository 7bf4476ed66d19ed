"""Do the arms get the shares that the policy's phases configure? If not, no verdict can be trusted.

Exposures are routed session by session, so new sessions are counted where ids are there (up to
some thousands, while they can be counted exactly), and single events otherwise.
"""

from __future__ import annotations

import math

import msgspec

from contracts.policy import Policy
from streams.judge import sample_ratio
from streams.windows import units
from streams.windows.tally import Arm

ALPHA = 0.001
"""Chance that a router which keeps its shares is ever said not to."""


class PhaseShares(msgspec.Struct, kw_only=True, array_like=True):
    """Exposures of both arms in one phase with a configured share."""

    share: float
    canary: float = 0.0
    baseline: float = 0.0


class SharesState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of the shares of all phases so far."""

    phases: dict[int, PhaseShares] = {}
    seen: tuple[bytes, bytes] = (units.NOTHING, units.NOTHING)
    """Sessions of the canary and of the baseline that were counted."""


def add_tick(state: SharesState, policy: Policy, phase: int, canary: Arm, baseline: Arm) -> None:
    """Count one tick of a phase, in place, where its policy configures a share."""
    share = policy.phases[phase].exposure
    if share is None or share >= 1:
        return
    counted = [
        _new_exposures(policy, arm, seen)
        for arm, seen in zip((canary, baseline), state.seen, strict=True)
    ]
    if not all(units.is_exact(seen) for _, seen in counted):
        return
    state.seen = (counted[0][1], counted[1][1])
    of_phase = state.phases.setdefault(phase, PhaseShares(share=share))
    of_phase.canary += counted[0][0]
    of_phase.baseline += counted[1][0]


def log_evidence(state: SharesState) -> float | None:
    """Evidence, as a natural logarithm, that the shares are not as configured; phases multiply."""
    if not state.phases:
        return None
    return sum(
        float(sample_ratio.log_evidence([p.canary, p.baseline], [p.share, 1 - p.share]))
        for p in state.phases.values()
    )


def is_mismatch(state: SharesState) -> bool:
    """Whether the evidence has reached 1/α, α = 0.001."""
    found = log_evidence(state)
    return found is not None and found >= -math.log(ALPHA)


def _new_exposures(policy: Policy, arm: Arm, seen: bytes) -> tuple[float, bytes]:
    of = policy.metrics[0].of
    with_id = f"{of}@{policy.metrics[0].unit}"
    tally = arm.total()
    now = tally.units.get(with_id, units.NOTHING)
    alone = tally.counts.get(of, 0) - tally.counts.get(with_id, 0)
    return alone + units.count(units.minus(now, seen)), units.union(seen, now)
