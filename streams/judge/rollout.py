"""One rollout under judgement: its evidence, its phases, and what to do about it.

Pure: tallies in, verdicts and decisions out. Everything here is part of the service's state, so
that evidence and offsets change together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from contracts.policy import Phase, Policy
from contracts.results import (
    Action,
    Contributor,
    Decision,
    DecisionAction,
    MetricKind,
    MetricVerdict,
    Outcome,
    RelativeRisk,
    RolloutStatus,
    Verdict,
    decision_id,
)
from streams.judge import combine, reasons, shares
from streams.judge.explain import Title, look_at
from streams.judge.metric import MetricState
from streams.judge.rollout_state import Look, RolloutState, rollout_id
from streams.windows.tally import Arm

_LN10 = math.log(10)
GUILTY_AT_LOG10 = 1.0
"""Evidence of a group by itself from which it is named."""


def open_rollout(
    policy: Policy,
    *,
    service: str,
    canary: str,
    baseline: str,
    opened_at: int,
    known: Collection[str] = (),
) -> RolloutState:
    """A new rollout in its first phase, with no evidence yet.

    Args:
        policy: that it is judged by, to its end.
        service: whose releases these are.
        canary: release under test.
        baseline: release beside it.
        opened_at: epoch milliseconds of event time.
        known: the crash groups and log templates that the service had before.
    """
    return RolloutState(
        id=rollout_id(service, canary, opened_at),
        service=service,
        canary=canary,
        baseline=baseline,
        policy=policy,
        opened_at=opened_at,
        phase_started_at=opened_at,
        matched_to=opened_at,
        metrics=[MetricState.new(metric, policy, known) for metric in policy.metrics],
    )


def exposures_of(policy: Policy, arm: Arm) -> int:
    """Exposures of one arm: the counter that the policy's first metric is about."""
    return arm.count(policy.metrics[0].of)


def add_tick(
    rollout: RolloutState, *, end: int, canary: Arm, baseline: Arm, elsewhere: int = 0
) -> None:
    """Add one finished tick: both arms of the same stretch of time, ``end`` its last moment.

    Args:
        rollout: changed in place.
        end: epoch milliseconds.
        canary: what it did in this tick.
        baseline: the same of the release that it is compared with.
        elsewhere: exposures of all further releases.
    """
    policy = rollout.policy
    exposures = exposures_of(policy, canary), exposures_of(policy, baseline)
    total = sum(exposures)
    rollout.judged_to = end
    rollout.share = exposures[0] / total if total else None
    if exposures[0]:
        rollout.last_exposure_end = end
        rollout.without_canary = (0, 0)
    elif total + elsewhere:
        rollout.without_canary = (rollout.without_canary[0] or end, end)
    if rollout.status.is_draining:
        if total + elsewhere:
            rollout.status = RolloutStatus.ROLLING_BACK
        _end_of_evidence(rollout)
        return
    rollout.canary_exposures += exposures[0]
    rollout.baseline_exposures += exposures[1]
    rollout.phase_exposures += exposures[0]
    _match(rollout, exposures, end)
    for metric, state in zip(policy.metrics, rollout.metrics, strict=True):
        state.add_tick(metric, policy, canary, baseline, end=end)
    if end - rollout.phase_started_at > policy.shares_settle_after * 1000:
        shares.add_tick(rollout.shares, policy, rollout.phase, canary, baseline)


def add_cohort(rollout: RolloutState, tick: int, canary: Arm, baseline: Arm) -> None:
    """Tell the metrics with late reports what just came of the time ``tick``, however late."""
    for metric, state in zip(rollout.policy.metrics, rollout.metrics, strict=True):
        if metric.reports_within:
            state.add_cohort(metric, rollout.policy, tick, canary, baseline)


def _match(rollout: RolloutState, exposures: tuple[int, int], end: int) -> None:
    canary, baseline = rollout.unmatched
    rollout.unmatched = (canary or exposures[0] > 0, baseline or exposures[1] > 0)
    if all(rollout.unmatched):
        rollout.matched_to = end
        rollout.unmatched = (False, False)


def _end_of_evidence(rollout: RolloutState) -> None:
    for state in rollout.metrics:
        state.added = []


def look(rollout: RolloutState, title: Title = str) -> Look:
    """The evidence of all metrics as it stands.

    Only critical metrics are evidence for a rollback, and needed for a promotion; groups show no
    health, which the metrics that count them all together do.
    """
    policy = rollout.policy
    lasted_s = max(1.0, (rollout.judged_to - rollout.opened_at) / 1000)
    found = [
        look_at(metric, state, policy, lasted_s=lasted_s, title=title)
        for metric, state in zip(policy.metrics, rollout.metrics, strict=True)
    ]
    critical = [f for f in found if f.is_critical]
    weights = [metric.weight for metric in policy.metrics if metric.critical]
    evidence = [f.evidence_log10 * _LN10 for f in critical]
    guilty = combine.guilty(evidence, weights)
    return Look(
        metrics=found,
        log_evidence=combine.log_average(evidence, weights),
        log_promotion=combine.log_minimum(
            [f.promotion_log10 * _LN10 for f in critical if f.kind is not MetricKind.GROUPS]
        ),
        guilty_metric=critical[guilty].name if guilty is not None else None,
        guilty_group=_guilty_group(policy, critical, guilty),
        log_sample_ratio=shares.log_evidence(rollout.shares),
    )


def _guilty_group(
    policy: Policy, critical: list[MetricVerdict], guilty: int | None
) -> Contributor | None:
    """The group with most evidence, if that is enough or the guilty metric counts it as well."""
    counts = {metric.name: metric.bad for metric in policy.metrics}
    guilty_of = counts[critical[guilty].name] if guilty is not None else None
    firsts = [
        m.contributors[0]
        for m in critical
        if m.kind is MetricKind.GROUPS and m.contributors
        if counts[m.name] == guilty_of or m.contributors[0].evidence_log10 >= GUILTY_AT_LOG10
    ]
    return max(firsts, key=lambda group: group.evidence_log10, default=None)


def decide(
    rollout: RolloutState, found: Look, *, processed_time: int
) -> Iterator[Verdict | Decision]:
    """What this look means: one verdict, and the decisions that it asks for.

    Changes ``rollout`` (status, phase) where a decision is made.
    """
    if rollout.status.is_draining:
        yield from _watch_drain(rollout, found, processed_time)
        return
    outcome = _outcome(rollout, found)
    action = _action(rollout, found, outcome)
    told = _TELLS.get(action)
    if action is Action.ROLLBACK:
        rollout.status = RolloutStatus.ROLLING_BACK
        rollout.decided_at = rollout.judged_to
        rollout.guilty_metric = found.guilty_metric
        rollout.guilty_group = found.guilty_group
        rollout.reason = reasons.reason_of(rollout, found, outcome)
    elif action is Action.HOLD:
        told = None if rollout.held else told
        rollout.held = True
        rollout.status = RolloutStatus.HOLDING
    else:
        rollout.status = RolloutStatus.RUNNING
    decision = _decision(rollout, found, told, outcome, processed_time) if told else None
    verdict = _verdict(rollout, found, outcome, action, processed_time)
    if action is Action.PROMOTE:
        _next_phase(rollout)
        verdict.status = rollout.status
    yield verdict
    if decision is not None:
        yield decision


_TELLS = {
    Action.ROLLBACK: DecisionAction.ROLLBACK,
    Action.PROMOTE: DecisionAction.PROMOTE,
    Action.HOLD: DecisionAction.HOLD,
}


def _action(rollout: RolloutState, found: Look, outcome: Outcome) -> Action:
    """What to do: a mismatch of the shares holds, whatever the evidence says."""
    if shares.is_mismatch(rollout.shares):
        return Action.HOLD
    if outcome is Outcome.REGRESSED:
        return Action.ROLLBACK
    phase = rollout.policy.phases[rollout.phase]
    if outcome is Outcome.HEALTHY and _phase_is_done(rollout, phase):
        return Action.HOLD if reasons.watched(found) else Action.PROMOTE
    return Action.CONTINUE


def last_words(
    rollout: RolloutState,
    *,
    reason: str,
    processed_time: int,
    title: Title = str,
) -> tuple[Verdict, Decision]:
    """End a rollout from outside (abort, or superseded): its final verdict, and word of it.

    Without the word an alerter that still tries to deliver a decision would not know to stop.
    """
    rollout.status = RolloutStatus.ABORTED
    rollout.reason = reason
    found = look(rollout, title)
    outcome = _outcome(rollout, found)
    return (
        _verdict(rollout, found, outcome, Action.HOLD, processed_time),
        _decision(rollout, found, DecisionAction.ABORTED, outcome, processed_time),
    )


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
    yield _verdict(rollout, found, Outcome.REGRESSED, Action.ROLLBACK, processed_time)
    if told is not None:
        yield _decision(rollout, found, told, Outcome.REGRESSED, processed_time)


def _outcome(rollout: RolloutState, found: Look) -> Outcome:
    if rollout.status.is_draining or rollout.status is RolloutStatus.ROLLED_BACK:
        return Outcome.REGRESSED
    if not rollout.canary_exposures or not rollout.baseline_exposures:
        return Outcome.NO_DATA
    if shares.is_mismatch(rollout.shares):
        return Outcome.INCONCLUSIVE
    if found.log_evidence >= math.log(1 / rollout.policy.false_rollback_rate):
        return Outcome.REGRESSED
    is_shown = found.log_promotion >= math.log(1 / rollout.policy.false_promotion_rate)
    if is_shown and rollout.canary_exposures >= rollout.policy.min_exposures:
        return Outcome.HEALTHY
    return Outcome.INCONCLUSIVE


def _phase_is_done(rollout: RolloutState, phase: Phase) -> bool:
    lasted_ms = rollout.judged_to - rollout.phase_started_at
    return lasted_ms >= phase.min_duration * 1000 and (
        rollout.phase_exposures >= phase.min_exposures
    )


def _next_phase(rollout: RolloutState) -> None:
    if rollout.phase + 1 == len(rollout.policy.phases):
        rollout.status = RolloutStatus.PROMOTED
        return
    rollout.phase += 1
    rollout.held = False
    for state in rollout.metrics:
        state.close_window()
    rollout.matched_to, rollout.unmatched = rollout.judged_to, (False, False)
    rollout.phase_started_at = rollout.judged_to
    rollout.phase_exposures = 0


def _verdict(
    rollout: RolloutState,
    found: Look,
    outcome: Outcome,
    action: Action,
    processed_time: int,
) -> Verdict:
    return Verdict(
        time=rollout.judged_to or rollout.opened_at,
        processed_time=processed_time,
        service=rollout.service,
        rollout=rollout.id,
        canary=rollout.canary,
        baseline=rollout.baseline,
        phase=rollout.policy.phases[rollout.phase].name,
        phase_started_at=rollout.phase_started_at,
        opened_at=rollout.opened_at,
        status=rollout.status,
        outcome=outcome,
        action=action,
        reason=reasons.said(rollout, found, outcome),
        evidence_log10=found.log_evidence / _LN10,
        promotion_log10=found.log_promotion / _LN10,
        rollback_at_log10=-math.log10(rollout.policy.false_rollback_rate),
        promote_at_log10=-math.log10(rollout.policy.false_promotion_rate),
        share=rollout.share,
        sample_ratio_log10=_log10(found.log_sample_ratio),
        guilty_metric=rollout.guilty_metric,
        guilty_group=rollout.guilty_group,
        metrics=found.metrics,
        needed=reasons.needed_of(found, outcome),
        first_bad_event_at=rollout.first_bad_event_at,
        policy_hash=rollout.policy.content_hash(),
        decided_at=rollout.decided_at,
        rollback_verified=rollout.status is RolloutStatus.ROLLED_BACK,
        drained_at=rollout.drained_at,
    )


def _decision(
    rollout: RolloutState,
    found: Look,
    action: DecisionAction,
    outcome: Outcome,
    processed_time: int,
) -> Decision:
    guilty = rollout.guilty_metric
    phase = rollout.policy.phases[rollout.phase].name
    return Decision(
        id=decision_id(rollout.id, phase, action),
        time=rollout.judged_to or rollout.opened_at,
        processed_time=processed_time,
        expires_at=processed_time + round(rollout.policy.decision_expires_after * 1000),
        service=rollout.service,
        rollout=rollout.id,
        canary=rollout.canary,
        baseline=rollout.baseline,
        phase=phase,
        action=action,
        outcome=outcome,
        reason=reasons.said(rollout, found, outcome),
        guilty_metric=guilty,
        guilty_group=rollout.guilty_group,
        relative_risk=next(
            (m.relative_risk for m in found.metrics if m.name == guilty), RelativeRisk()
        ),
        evidence_log10=found.log_evidence / _LN10,
        policy_hash=rollout.policy.content_hash(),
    )


def _log10(value: float | None) -> float | None:
    return None if value is None else value / _LN10
