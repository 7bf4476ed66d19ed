"""Opening a rollout: by itself where a new release appears, and against which baseline."""

from __future__ import annotations

from collections import defaultdict

from contracts.policy import Policy
from streams.judge import rollout as rollouts
from streams.judge.counting import add_to_cohorts
from streams.judge.rollout_state import RolloutState, arm_key, rollout_id
from streams.judge.service_state import TICK_MS, ReleaseState, ServiceState
from streams.windows.labels import OTHER

KNOWN_AFTER_MS = 5_000
"""How much older a baseline must be than the release that autodetection takes for a canary."""
OPENED_REMEMBERED = 50


def detected(state: ServiceState, policy: Policy) -> tuple[str, str, int] | None:
    """A canary, its baseline and when it began: a new release beside one that is known and busy.

    One that was rolled back is taken again only by a policy with a ``cooldown``, after that.
    """
    if state.service == OTHER:
        return None
    baseline = busiest(state, policy)
    known = state.releases.get(baseline)
    if known is None or known.exposures < policy.min_exposures:
        return None
    for name, release in state.releases.items():
        if name in {baseline, OTHER}:
            continue
        if name in state.rolled_back:
            if _has_cooled_down(state, policy, name):
                return name, baseline, release.last_seen
            continue
        is_new = not release.was_judged and (
            release.first_seen >= known.first_seen + KNOWN_AFTER_MS
        )
        was_last = state.rollout is not None and state.rollout.keys[0] == name
        if is_new and not was_last:
            return name, baseline, release.first_seen
    return None


def cools_until(state: ServiceState, policy: Policy, key: str) -> int | None:
    """Event time until which a release that was rolled back is not taken; ``None`` without one."""
    known = state.rolled_back.get(key)
    return None if known is None else known.decided_at + round(policy.cooldown * 1000)


def _has_cooled_down(state: ServiceState, policy: Policy, name: str) -> bool:
    until = cools_until(state, policy, name)
    is_done = until is not None and state.releases[name].last_seen >= until
    return is_done and policy.cooldown > 0


def busiest(state: ServiceState, policy: Policy, *, besides: str = "", flag: str = "") -> str:
    """The release, or variant of a flag, with the most exposures of late.

    Of all time, where there are none of late; empty where there are none at all.
    """
    lately: dict[str, int] = defaultdict(int)
    prefix = f"{flag}:"
    for window in state.windows:
        if not flag or window.arm.startswith(prefix):
            name = window.arm.removeprefix(prefix) if flag else window.release
            lately[name] += window.tally.counts.get(policy.metrics[0].of, 0)
    start = arm_key(prefix) if flag else ""
    known = state.arms if flag else state.releases
    of_all_time = {
        key.removeprefix(start): found.exposures
        for key, found in known.items()
        if key.startswith(start)
    }
    for exposures in (lately, of_all_time):
        candidates = {
            name: count
            for name, count in exposures.items()
            if name not in {besides, OTHER} and count
        }
        if candidates:
            return max(candidates, key=lambda name: candidates[name])
    return ""


def open_rollout(
    state: ServiceState,
    policy: Policy,
    *,
    canary: str,
    baseline: str,
    opened_at: int,
    flag: str = "",
    phase: int = 0,
) -> RolloutState:
    """Put a new rollout into the state; see ``streams.judge.rollout.open_rollout``."""
    rollout = state.rollout = rollouts.open_rollout(
        policy,
        name=_new_id(state, f"{flag}-{canary}" if flag else canary, opened_at),
        service=state.service,
        canary=canary,
        baseline=baseline,
        opened_at=opened_at,
        flag=flag,
        phase=phase,
        known=list(state.groups.before(opened_at - opened_at % TICK_MS)),
    )
    for tick, arms in state.ticks.items():
        add_to_cohorts(rollout, tick, arms)
    state.rolled_back.pop(rollout.keys[0], None)
    if known := state.known(rollout.keys[0]):
        _begin(known, opened_at)
    return rollout


def _new_id(state: ServiceState, name: str, opened_at: int) -> str:
    """A few milliseconds later, where event time stands still between two of the same name."""
    while (found := rollout_id(state.service, name, opened_at)) in state.opened:
        opened_at += 1
    state.opened = [*state.opened[1 - OPENED_REMEMBERED :], found]
    return found


def _begin(known: ReleaseState, opened_at: int) -> None:
    known.was_judged = True
    if known.first_bad is not None and known.first_bad < opened_at - TICK_MS:
        known.first_bad = None  # it was bad before this rollout, not because of it
