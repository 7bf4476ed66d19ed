"""What a verdict means to a machine that waits for it: pass, fail, or wait on."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contracts.results import Action, Outcome, RolloutStatus, Verdict


class Result(StrEnum):
    """What others may build upon; more than the outcome of one look."""

    HEALTHY = "healthy"
    """Promoted, or the phase that was asked for was left for the next one."""
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """Result, and whether it stands for good."""

    result: Result
    is_final: bool
    """Nothing that comes will change it: who waits need wait no longer."""
    reason: str
    """One sentence for people."""


_ROLLED_BACK = (
    RolloutStatus.ROLLING_BACK,
    RolloutStatus.TRAFFIC_STOPPED,
    RolloutStatus.ROLLED_BACK,
)
_PROMOTED = (RolloutStatus.WATCHING, RolloutStatus.PROMOTED)
_ENDED = (RolloutStatus.ABORTED, RolloutStatus.CLOSED)
_NOTHING = "No rollout of this release is known yet."


def conclude(verdict: Verdict | None, phase: str = "") -> Conclusion:
    """What the last verdict of a rollout means.

    A regression counts as soon as it is decided, health only once the rollout (or the phase) has
    been promoted: minima, freezes and people may hold it before.

    Args:
        verdict: the last one; None where the rollout is not known.
        phase: health of this phase is enough; of the whole rollout where none is named.
    """
    if verdict is None:
        return Conclusion(result=Result.NO_DATA, is_final=False, reason=_NOTHING)
    result, is_final = _result(verdict, phase)
    reason = verdict.reason
    if verdict.held_because and result is Result.INCONCLUSIVE:
        reason = f"{reason} Held: {verdict.held_because}"
    return Conclusion(result=result, is_final=is_final, reason=reason)


def _result(verdict: Verdict, phase: str) -> tuple[Result, bool]:
    status = verdict.status
    is_ended = status in _ENDED
    if status in _ROLLED_BACK or verdict.action is Action.ROLLBACK:
        return Result.REGRESSED, True
    if status in _PROMOTED or (phase and _is_left(verdict, phase)):
        # one that is watched may still be rolled back: who asks again is then told so
        return Result.HEALTHY, True
    if status is RolloutStatus.CLOSED or verdict.outcome is Outcome.NO_DATA:
        return Result.NO_DATA, is_ended
    return Result.INCONCLUSIVE, is_ended


def _is_left(verdict: Verdict, phase: str) -> bool:
    """Whether a phase was left for a later one; going back to it begins it anew."""
    names = [progress.name for progress in verdict.phases]
    if phase not in names or verdict.phase not in names:
        return False
    return names.index(verdict.phase) > names.index(phase)
