"""The judge of one service: partials in, windows, verdicts and decisions out.

All state of a service is one value (``ServiceState``), so that what was counted and up to which
offset it was counted change together: a partial that arrives twice counts once. The functions are
a pure step of (state, message) and know neither Kafka nor the clock. What people ask for:
``streams.judge.commands``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from contracts.policy import Policy
from contracts.results import Decision, Partial, RolloutStatus, Verdict
from streams.judge import catching_up, deciding, returns
from streams.judge import rollout as rollouts
from streams.judge.counting import (
    add_cell,
    add_units,
    are_wide,
    fold_release,
    forget_silent,
    is_crowded,
    window_of,
    written_windows,
)
from streams.judge.opening import busiest, detected, open_rollout
from streams.judge.rollout_state import RolloutState, is_arm
from streams.judge.service_state import TICK_MS, Output, ServiceState
from streams.windows.labels import event_of
from streams.windows.tally import Arm

WATERMARK_SLACK_MS = 250
"""How far out of order the records of one agent and release may be: its files are read in turn,
each some 150 ms after the last time. What is later still counts in the next look."""
QUIET_SLACK_MS = 750
"""How much longer a release's tick waits where only the agent's other releases have gone on: it may
have nothing to tell, or its file is read last."""


def apply_partial(
    state: ServiceState, partial: Partial, policy: Policy, *, processed_time: int
) -> list[Output]:
    """Add one partial (or heartbeat) and look wherever a tick is finished by it.

    Args:
        state: changed in place.
        partial: not applied before (see ``unknown_from``).
        policy: of this service.
        processed_time: epoch milliseconds, stamped on verdicts and decisions.

    Returns:
        Windows, verdicts and decisions to publish, in order.
    """
    state.version += 1
    exposure = policy.metrics[0].of
    state.catching_up = catching_up.heard(state.catching_up, partial, exposure=exposure)
    if partial.source is None:
        return versioned(state, _apply_heartbeat(state, partial, policy, processed_time))
    state.fences[partial.source.place] = partial.source.offset
    state.heard_at = processed_time
    wanted = {event_of(name) for metric in policy.metrics for name in (metric.of, metric.bad)}
    windows = {(w.start, w.release, w.arm): w for w in state.windows}
    state.groups.name_templates(partial.cells)
    arms = state.rollout.arms if state.rollout else ()
    is_wide = are_wide(state, partial)
    for cell in partial.cells:
        fold_release(state, cell)
        state.labels.fold(cell, wanted, arms)
        state.groups.note(cell, state.labels)
        add_cell(state, cell, policy, is_wide=is_wide)
        window_of(state, windows, cell, partial).tally.add_counts(cell)
    add_units(state, partial, wanted)
    forget_silent(state)
    outputs: list[Output] = [
        *returns.noted(state, partial.cells, policy, processed_time=processed_time)
    ]
    if policy.autodetect:
        outputs.extend(_autodetect(state, policy, processed_time))
    if (rollout := state.rollout) and not rollout.baseline:
        rollout.baseline = busiest(state, policy, besides=rollout.canary, flag=rollout.flag)
    judged_before = state.judged_to
    outputs.extend(_judge(state, _closed_to(state, policy), processed_time))
    if state.judged_to > judged_before or is_crowded(state, policy):
        outputs.extend(written_windows(state, policy))
    return versioned(state, outputs)


def _autodetect(state: ServiceState, policy: Policy, processed_time: int) -> Iterator[Output]:
    """Open a rollout where a new release appears; the watch of one that was promoted ends."""
    open_one = state.open_rollout
    if open_one is not None and open_one.status is not RolloutStatus.WATCHING:
        return
    if (found := detected(state, policy)) is None:
        return
    canary, baseline, opened_at = found
    if open_one is not None:
        yield from deciding.last_words(
            open_one,
            reason=f"{open_one.canary} was promoted; {canary} has come.",
            processed_time=processed_time,
            title=state.groups.title,
        )
    open_rollout(state, policy, canary=canary, baseline=baseline, opened_at=opened_at)


def versioned(state: ServiceState, outputs: list[Output]) -> list[Output]:
    """The outputs, stamped in place with the version of the state that gave them."""
    for output in outputs:
        if not isinstance(output, Decision):
            output.version = state.version
        if isinstance(output, Verdict):
            output.folded = dict(state.labels.folded)
    return outputs


def _apply_heartbeat(
    state: ServiceState, partial: Partial, policy: Policy, processed_time: int
) -> list[Output]:
    """Nothing came for a while: every tick that is judged is finished, every window is written.

    Without a rollout ticks wait: what comes next may open one that begins with them. Where
    something was heard since it was sent, nothing is over: the judge is behind, and has more of it.
    """
    if partial.sent_at < state.heard_at:
        return []
    if state.present() < state.high_watermark:  # something is: partitions that are behind have more
        return list(_judge(state, _closed_to(state, policy), processed_time))
    end = 0
    if state.open_rollout:
        if state.late:  # no tick will come that it could join
            state.ticks.setdefault(state.judged_to - TICK_MS, {})
        end = max(map(state.end_of, state.ticks), default=0)
    silent_ms = partial.sent_at - state.heard_at
    outputs = list(_judge(state, end, processed_time))
    rollout = state.rollout
    is_silent = silent_ms >= policy.drain_after * 1000
    is_draining = rollout is not None and rollout.status.is_draining
    if rollout and is_draining and is_silent and deciding.fall_silent(rollout, silent_ms):
        outputs.extend(look_now(state, processed_time))
    now = state.event_now(partial.sent_at, partial.listening_since)
    outputs.extend(_end_by_time(state, now, processed_time))
    outputs.extend(written_windows(state, policy, flush=True))
    return outputs


# --- looking -----------------------------------------------------------------------------------


def _closed_to(state: ServiceState, policy: Policy) -> int:
    """End of the last tick that both arms have passed, or whose lateness has run out."""
    present = state.present()
    by_lateness = present - round(policy.lateness * 1000)
    rollout = state.rollout
    if rollout is None or not rollout.status.is_open:
        return by_lateness
    passed = [_watermark(state, key, policy, present) for key in rollout.keys]
    return min(present, max(by_lateness, min(passed) - WATERMARK_SLACK_MS))


def _watermark(state: ServiceState, key: str, policy: Policy, present: int) -> int:
    """Event time up to which every agent that lately reported this arm has reported it.

    Where an agent goes on with others, this one counts as silent a little behind them.
    """
    known = state.known(key)
    if known is None:
        return 0
    since = present - policy.lateness * 1000
    live = [
        max(seen, state.watermarks[agent] - QUIET_SLACK_MS)
        for agent, seen in known.agents.items()
        if seen >= since
    ]
    return min(live, default=0)


def _judge(state: ServiceState, closed_to: int, processed_time: int) -> Iterator[Output]:
    """Take the ticks that are finished out of the state, in order, and look after each."""
    for tick in sorted(t for t in state.ticks if state.end_of(t) <= closed_to):
        arms = defaultdict(Arm, state.ticks.pop(tick))
        end = state.end_of(tick)
        state.wide.discard(tick)
        state.judged_to = max(state.judged_to, end)
        rollout = state.open_rollout
        if rollout is None or end <= rollout.opened_at:
            state.late.clear()
            continue
        for key in rollout.keys:
            if late := state.late.pop(key, None):
                arms[key].add(late)
        state.late.clear()
        if any(key in arms for key in rollout.keys) or rollout.status.is_draining:
            canary, baseline = (arms[key] for key in rollout.keys)
            elsewhere = _elsewhere(rollout, arms)
            rollouts.add_tick(
                rollout, end=end, canary=canary, baseline=baseline, elsewhere=elsewhere
            )
            _note_first_bad(state, rollout)
            yield from look_now(state, processed_time)
        yield from _end_by_time(state, end, processed_time)


def _elsewhere(rollout: RolloutState, arms: dict[str, Arm]) -> int:
    """Exposures of the service beside those of the two arms."""
    seen = {key: rollouts.exposures_of(rollout.policy, arm) for key, arm in arms.items()}
    total = sum(count for key, count in seen.items() if not is_arm(key))
    return max(0, total - sum(seen.get(key, 0) for key in rollout.keys))


def look_now(state: ServiceState, processed_time: int) -> Iterator[Output]:
    """Look at the rollout and do what that asks for."""
    rollout = state.rollout
    if rollout is None:
        return
    found = rollouts.look(rollout, state.groups.title)
    yield from deciding.decide(rollout, found, processed_time=processed_time)
    returns.remember(state)


def _end_by_time(state: ServiceState, now: int, processed_time: int) -> Iterator[Output]:
    """End a rollout whose time is over, at an event time: watched for long enough, or silent."""
    rollout = state.open_rollout
    if rollout is None or not (reason := deciding.is_over(rollout, now)):
        return
    yield from deciding.last_words(
        rollout,
        reason=reason,
        processed_time=processed_time,
        title=state.groups.title,
        status=RolloutStatus.CLOSED,
    )


def is_due(state: ServiceState, now: int, listening_since: int) -> bool:
    """Whether a heartbeat would bring anything: a tick, a window, or the end of a rollout.

    Args:
        state: of the service.
        now: processing time, epoch milliseconds.
        listening_since: since when the worker would have heard anything.
    """
    rollout = state.open_rollout
    return state.is_pending or (
        rollout is not None
        and bool(deciding.is_over(rollout, state.event_now(now, listening_since)))
    )


def _note_first_bad(state: ServiceState, rollout: RolloutState) -> None:
    known = state.known(rollout.keys[0])
    if known and known.first_bad is not None and known.first_bad < rollout.judged_to:
        rollout.first_bad_event_at = known.first_bad
