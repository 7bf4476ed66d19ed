"""What a look at a rollout means: stay, leave the phase, roll back, or end.

Whoever decides (the evidence, the policy's end of a phase, a person), the words are the same: one
verdict, and at most one decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from contracts.policy import AtEnd
from contracts.results import (
    Action,
    Decision,
    DecisionAction,
    Outcome,
    RolloutStatus,
    Verdict,
)
from streams.judge import phases, reasons, shares, words
from streams.judge.explain import Title
from streams.judge.rollout import keep_evidence, look, outcome_of
from streams.judge.rollout_state import Look, RolloutState

WATCH_ALONE_MS = 60_000
"""A promoted release is watched no longer once its baseline had no traffic for so long."""


class Step(NamedTuple):
    """What a look asks for."""

    action: Action
    held_because: str = ""
    """What keeps the phase although it could be left."""
    is_told: bool = True
    """Whether a hold is worth a decision."""
    reason: str = ""
    """Why, where the evidence is not the reason."""


def decide(
    rollout: RolloutState, found: Look, *, processed_time: int
) -> Iterator[Verdict | Decision]:
    """What this look means: one verdict, and the decisions that it asks for.

    Changes ``rollout`` (status, phase) where a decision is made.
    """
    if rollout.status.is_draining:
        yield from _watch_drain(rollout, found, processed_time)
        return
    outcome = outcome_of(rollout, found)
    step = _step(rollout, found, outcome)
    if step.action is Action.ROLLBACK:
        reason = step.reason or reasons.reason_of(rollout, found, outcome)
        is_guilty = outcome is Outcome.REGRESSED
        yield from roll_back(
            rollout, found, reason, is_guilty=is_guilty, processed_time=processed_time
        )
    elif step.action is Action.PROMOTE:
        yield from promote(rollout, found, processed_time=processed_time, reason=step.reason)
    else:
        yield from _stay(rollout, found, outcome, step, processed_time)


def _step(rollout: RolloutState, found: Look, outcome: Outcome) -> Step:
    """What to do: a mismatch of the shares holds, whatever the evidence says."""
    if outcome is Outcome.REGRESSED:
        return Step(Action.ROLLBACK)
    if rollout.status is RolloutStatus.WATCHING:
        return Step(Action.CONTINUE)
    worse = reasons.watched(found)
    is_waiting = outcome is Outcome.HEALTHY and worse is None
    ending = None if is_waiting else phases.at_end(rollout)
    if outcome is Outcome.NO_DATA and ending is AtEnd.PROMOTE:
        ending = AtEnd.HOLD  # no data is never health
    if step := _stopped(rollout, ending):
        return step
    if outcome is Outcome.HEALTHY or ending is AtEnd.PROMOTE:
        return _leave(rollout, f"{worse.name} got worse" if worse else "", is_waiting=is_waiting)
    if rollout.hold or rollout.is_overdue:
        return Step(Action.HOLD, phases.kept_by(rollout), is_told=False)
    return Step(Action.CONTINUE)


def _stopped(rollout: RolloutState, ending: AtEnd | None) -> Step | None:
    """What does not wait for health: the end of the phase, shares other than configured."""
    if ending is AtEnd.ROLLBACK:
        return Step(Action.ROLLBACK, reason=_lasted(rollout))
    if shares.is_mismatch(rollout.shares):
        return Step(Action.HOLD, "the arms do not get the shares that are configured")
    if ending is AtEnd.HOLD:
        rollout.is_overdue = True
        return Step(Action.HOLD, phases.kept_by(rollout))
    return None


def _leave(rollout: RolloutState, worse: str, *, is_waiting: bool) -> Step:
    """Health is shown, or the policy promotes without: is there anything that keeps the phase?"""
    if unmet := phases.unmet(rollout):
        is_held = rollout.hold or rollout.is_overdue
        return Step(Action.HOLD if is_held else Action.CONTINUE, unmet, is_told=False)
    if worse:
        return Step(Action.HOLD, worse)
    if kept := phases.kept_by(rollout):
        return Step(Action.HOLD, kept, is_told=False)
    return Step(Action.PROMOTE, reason="" if is_waiting else _lasted(rollout))


def _lasted(rollout: RolloutState) -> str:
    phase = rollout.phase_policy
    return (
        f"Phase {phase.name} of {rollout.canary} has lasted for {phase.max_duration or 0:g} s "
        f"without a decision: {phase.at_end.value}, as its policy says."
    )


def _stay(
    rollout: RolloutState, found: Look, outcome: Outcome, step: Step, processed_time: int
) -> Iterator[Verdict | Decision]:
    is_holding = step.action is Action.HOLD
    if rollout.status is not RolloutStatus.WATCHING:
        rollout.status = RolloutStatus.HOLDING if is_holding else RolloutStatus.RUNNING
    yield words.verdict(
        rollout,
        found,
        outcome,
        step.action,
        processed_time=processed_time,
        held_because=step.held_because,
    )
    if is_holding and step.is_told and not rollout.held:
        rollout.held = True
        yield words.decision(
            rollout,
            found,
            DecisionAction.HOLD,
            outcome,
            processed_time=processed_time,
            reason=reasons.said(rollout, found, outcome, step.held_because),
        )


def roll_back(
    rollout: RolloutState,
    found: Look,
    reason: str,
    *,
    is_guilty: bool,
    processed_time: int,
    requested_by: str = "",
) -> Iterator[Verdict | Decision]:
    """Decide a rollback; from now on the canary's traffic is watched.

    Args:
        rollout: open, and not draining.
        found: this look.
        reason: a person's, the policy's, or what the evidence says.
        is_guilty: whether the evidence is the reason.
        processed_time: epoch milliseconds.
        requested_by: who asked for it.
    """
    rollout.decided_outcome = outcome_of(rollout, found)
    rollout.status = RolloutStatus.ROLLING_BACK
    rollout.decided_at = rollout.judged_to or rollout.opened_at
    rollout.reason = reason
    if is_guilty:
        rollout.guilty_metric = found.guilty_metric
        rollout.guilty_group = found.guilty_group
    outcome = rollout.decided_outcome
    yield words.verdict(rollout, found, outcome, Action.ROLLBACK, processed_time=processed_time)
    yield words.decision(
        rollout,
        found,
        DecisionAction.ROLLBACK,
        outcome,
        processed_time=processed_time,
        requested_by=requested_by,
    )


def promote(
    rollout: RolloutState,
    found: Look,
    *,
    processed_time: int,
    to: int | None = None,
    reason: str = "",
    requested_by: str = "",
) -> Iterator[Verdict | Decision]:
    """Leave the phase for the next one, or for the later one ``to``; after the last one, for all.

    Args:
        rollout: running or holding.
        found: this look.
        processed_time: epoch milliseconds.
        to: index of a later phase.
        reason: a person's or the policy's, instead of the evidence's.
        requested_by: who asked for it.
    """
    outcome = outcome_of(rollout, found)
    rollout.status = RolloutStatus.RUNNING
    target = phases.next_of(rollout) if to is None else rollout.policy.phases[to]
    decision = words.decision(
        rollout,
        found,
        DecisionAction.PROMOTE,
        outcome,
        processed_time=processed_time,
        to=target,
        reason=reason,
        requested_by=requested_by,
    )
    verdict = words.verdict(rollout, found, outcome, Action.PROMOTE, processed_time=processed_time)
    verdict.reason = reason or verdict.reason
    if to is None:
        phases.leave(rollout)
    else:
        phases.enter(rollout, to)
    verdict.status = rollout.status
    verdict.phases = phases.progress(rollout)
    yield verdict
    yield decision


def send_back(
    rollout: RolloutState,
    found: Look,
    to: int,
    *,
    processed_time: int,
    reason: str,
    requested_by: str,
) -> Iterator[Verdict | Decision]:
    """Go back to an earlier phase, at a person's word: a hold that says what is true there."""
    phases.enter(rollout, to)
    rollout.held = True  # this stay's id of a hold has been used
    outcome = outcome_of(rollout, found)
    yield words.verdict(rollout, found, outcome, Action.HOLD, processed_time=processed_time)
    yield words.decision(
        rollout,
        found,
        DecisionAction.HOLD,
        outcome,
        processed_time=processed_time,
        to=rollout.phase_policy,
        reason=reason or f"Sent back to phase {rollout.phase_policy.name}.",
        requested_by=requested_by,
    )


def last_words(
    rollout: RolloutState,
    *,
    reason: str,
    processed_time: int,
    title: Title = str,
    status: RolloutStatus = RolloutStatus.ABORTED,
    requested_by: str = "",
) -> Iterator[Verdict | Decision]:
    """End a rollout from outside (abort, superseded, closed): its final verdict, and word of it.

    Without the word an alerter that still tries to deliver a decision would not know to stop. Of a
    promoted release only the watch ends: its promotion stands, and there is nothing to tell.
    """
    was_promoted = rollout.status is RolloutStatus.WATCHING
    rollout.status = RolloutStatus.PROMOTED if was_promoted else status
    rollout.reason = reason
    keep_evidence(rollout)
    found = look(rollout, title)
    outcome = outcome_of(rollout, found)
    action = Action.CONTINUE if was_promoted else Action.HOLD
    yield words.verdict(rollout, found, outcome, action, processed_time=processed_time)
    if not was_promoted:
        yield words.decision(
            rollout,
            found,
            DecisionAction.ABORTED,
            outcome,
            processed_time=processed_time,
            requested_by=requested_by,
        )


def is_over(rollout: RolloutState, now: int) -> str:
    """Why a rollout ends by itself at an event time, in words; empty while it does not."""
    policy = rollout.policy
    if rollout.status is RolloutStatus.WATCHING:
        since = rollout.promoted_at or rollout.opened_at
        if now - since >= policy.watch_after * 1000:
            return f"{rollout.canary} was promoted, and watched for {policy.watch_after:g} s."
        if now - max(since, rollout.last_baseline_end) >= WATCH_ALONE_MS:
            return f"{rollout.canary} was promoted, and {rollout.baseline} has no traffic any more."
        return ""
    heard = max(rollout.opened_at, rollout.last_exposure_end, rollout.last_baseline_end)
    if rollout.status.is_open and now - heard >= policy.close_after * 1000:
        return f"Closed: neither arm had exposures for {policy.close_after:g} s."
    return ""


def fall_silent(rollout: RolloutState, silent_ms: int) -> bool:
    """After a rollback no release is heard of for so long; whether that is worth a look.

    Nothing is verified by that: the canary is as silent as those that should have its traffic, and
    all of it may come back.
    """
    rollout.judged_to = max(rollout.judged_to, rollout.last_exposure_end + silent_ms)
    is_new = rollout.status is not RolloutStatus.TRAFFIC_STOPPED
    rollout.status = RolloutStatus.TRAFFIC_STOPPED
    return is_new or _must_escalate(rollout)


def _must_escalate(rollout: RolloutState) -> bool:
    since = rollout.decided_at or rollout.judged_to
    is_late = rollout.judged_to - since >= rollout.policy.escalate_after * 1000
    return is_late and not rollout.escalated


def _watch_drain(
    rollout: RolloutState, found: Look, processed_time: int
) -> Iterator[Verdict | Decision]:
    """After a rollback: is the canary's traffic gone, or must people be called?"""
    told: DecisionAction | None = None
    since, until = rollout.without_canary
    if until - since >= rollout.policy.drain_after * 1000:
        rollout.status = RolloutStatus.ROLLED_BACK
        rollout.drained_at = rollout.last_exposure_end
        told = DecisionAction.ROLLBACK_VERIFIED
    elif _must_escalate(rollout):
        rollout.escalated = True
        told = DecisionAction.ESCALATE
    outcome = rollout.decided_outcome
    yield words.verdict(rollout, found, outcome, Action.ROLLBACK, processed_time=processed_time)
    if told is not None:
        yield words.decision(rollout, found, told, outcome, processed_time=processed_time)
