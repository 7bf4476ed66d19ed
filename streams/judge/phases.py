"""Phases of a rollout: what keeps one from being left, what its end brings, how far it has come.

Only promotions wait. Everything here is in event time: while nothing at all is heard of a service,
no phase grows older.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from contracts.policy import AtEnd, BusinessHours, Freeze, Phase, Policy, Weekday
from contracts.results import DecisionAction, PhaseProgress, RolloutStatus
from streams.judge.rollout_state import PhaseVisit, RolloutState

MAX_VISITS = 200
"""Beyond so many stays in phases, the earliest of those that were repeated are forgotten."""


def enter(rollout: RolloutState, index: int) -> None:
    """Begin a stay in a phase, at the last moment that was judged."""
    now = max(rollout.judged_to, rollout.phase_started_at)
    rollout.visits[-1].ended_at = now
    number = 1 + max((v.number for v in rollout.visits if v.phase == index), default=0)
    rollout.visits.append(PhaseVisit(index, number, now))
    if len(rollout.visits) > MAX_VISITS:
        _forget_one(rollout)
    rollout.held, rollout.is_overdue, rollout.lasts_from = False, False, now
    if rollout.status is RolloutStatus.HOLDING and not rollout.hold:
        rollout.status = RolloutStatus.RUNNING
    for state in rollout.metrics:
        state.close_window()
    rollout.matched_to, rollout.unmatched = rollout.judged_to, (False, False)


def leave(rollout: RolloutState) -> None:
    """Go to the next phase; after the last one the release is promoted, and perhaps watched."""
    if rollout.phase + 1 < len(rollout.policy.phases):
        enter(rollout, rollout.phase + 1)
        return
    now = max(rollout.judged_to, rollout.phase_started_at)
    rollout.visits[-1].ended_at = now
    rollout.hold, rollout.is_overdue = "", False
    rollout.promoted_at = now
    is_watched = rollout.policy.watch_after > 0
    rollout.status = RolloutStatus.WATCHING if is_watched else RolloutStatus.PROMOTED


def _forget_one(rollout: RolloutState) -> None:
    later: set[int] = set()
    repeated = None
    for place in range(len(rollout.visits) - 1, -1, -1):
        if rollout.visits[place].phase in later:
            repeated = place
        later.add(rollout.visits[place].phase)
    if repeated is not None:
        del rollout.visits[repeated]


def index_of(policy: Policy, name: str) -> int | None:
    """Place of a phase among its policy's; ``None`` where there is none of that name."""
    names = [phase.name for phase in policy.phases]
    return names.index(name) if name in names else None


def next_of(rollout: RolloutState) -> Phase | None:
    """The phase after this one; ``None`` after the last."""
    after = rollout.policy.phases[rollout.phase + 1 :]
    return after[0] if after else None


def label_of(rollout: RolloutState) -> str:
    """The phase in ids of decisions: a second stay in it decides anew, under another id."""
    visit = rollout.visits[-1]
    name = rollout.phase_policy.name
    return name if visit.number == 1 else f"{name}~{visit.number}"


# --- what keeps a phase --------------------------------------------------------------------------


def unmet(rollout: RolloutState) -> str:
    """What this phase still asks for before it can be left; empty where nothing."""
    phase, visit = rollout.phase_policy, rollout.visits[-1]
    lasted_s = max(0, rollout.judged_to - visit.started_at) / 1000
    if lasted_s < phase.min_duration:
        return f"phase {phase.name} lasts at least {phase.min_duration:g} s"
    if visit.exposures < phase.min_exposures:
        return f"phase {phase.name} needs {phase.min_exposures:,} exposures of {rollout.canary}"
    return ""


def kept_by(rollout: RolloutState) -> str:
    """Who or what keeps a phase whose minima are met: a person, its end, a freeze, the hour."""
    if rollout.hold:
        return rollout.hold
    phase = rollout.phase_policy
    if rollout.is_overdue:
        return (
            f"phase {phase.name} has lasted for {phase.max_duration or 0:g} s without a decision; "
            f"resume it, or decide"
        )
    at = datetime.fromtimestamp(rollout.judged_to / 1000, UTC)
    return frozen(rollout.policy.freezes, at) or off_hours(rollout.policy.business_hours, at)


def frozen(freezes: list[Freeze], at: datetime) -> str:
    """The freeze that a moment falls into, in words; empty outside all of them."""
    for freeze in freezes:
        if freeze.start <= at < freeze.end:
            owner = f" ({freeze.owner})" if freeze.owner else ""
            until = f"{freeze.end:%Y-%m-%d %H:%M %Z}"
            return f"promotions are frozen until {until}: {freeze.reason}{owner}"
    return ""


def off_hours(hours: BusinessHours | None, at: datetime) -> str:
    """That a moment is outside business hours, in words; empty within them.

    Hours that end before they start go past midnight, and belong to the day they start on.
    """
    if hours is None:
        return ""
    local = at.astimezone(ZoneInfo(hours.zone))
    time, today = f"{local:%H:%M}", [*Weekday][local.weekday()]
    if hours.start <= hours.end:
        is_open = today in hours.days and hours.start <= time < hours.end
    else:
        yesterday = [*Weekday][local.weekday() - 1]
        is_open = (today in hours.days and time >= hours.start) or (
            yesterday in hours.days and time < hours.end
        )
    if is_open:
        return ""
    days = ", ".join(hours.days)
    return f"it is outside business hours ({days} {hours.start} to {hours.end} {hours.zone})"


def at_end(rollout: RolloutState) -> AtEnd | None:
    """What the policy asks for because the phase has lasted too long; ``None`` before that.

    A person who holds a phase stops its clock as well.
    """
    phase = rollout.phase_policy
    if phase.max_duration is None or rollout.is_overdue or rollout.hold:
        return None
    is_over = rollout.judged_to - rollout.lasts_from >= phase.max_duration * 1000
    return phase.at_end if is_over else None


# --- how far it has come -------------------------------------------------------------------------


def progress(rollout: RolloutState) -> list[PhaseProgress]:
    """Every phase of the policy with the last stay in it; exposures of all stays together."""
    last = {visit.phase: visit for visit in rollout.visits}
    return [
        PhaseProgress(
            name=phase.name,
            exposure=phase.exposure,
            users=phase.users,
            min_duration_s=float(phase.min_duration),
            min_exposures=phase.min_exposures,
            max_duration_s=None if phase.max_duration is None else float(phase.max_duration),
            started_at=last[index].started_at if index in last else None,
            ended_at=last[index].ended_at if index in last else None,
            exposures=sum(v.exposures for v in rollout.visits if v.phase == index),
        )
        for index, phase in enumerate(rollout.policy.phases)
    ]


def from_now_on(action: DecisionAction, to: Phase | None) -> tuple[float | None, list[str], str]:
    """Share, hosts and users of the canary after a decision; ``to`` is the phase it leads to."""
    if action is DecisionAction.ROLLBACK:
        return 0.0, [], ""
    if to is not None:
        return to.exposure, to.hosts, to.users
    if action is DecisionAction.PROMOTE:
        return 1.0, [], ""
    return None, [], ""
