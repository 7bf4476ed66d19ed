"""What people and deploy tools ask of a rollout: every command gets exactly one answer.

The judge alone knows the state, so it alone answers. A command that comes again (Kafka may repeat
it, and people do) is answered as it was, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from contracts.policy import Policy
from contracts.results import (
    Answer,
    AnswerCode,
    RolloutCommand,
    RolloutCommandAction,
    RolloutStatus,
)
from streams.judge import deciding, opening, phases, returns
from streams.judge import rollout as rollouts
from streams.judge.rollout_state import Look, RolloutState, key_of
from streams.judge.service import look_now, versioned
from streams.judge.service_state import Output, ServiceState

MAX_SKEW_MS = 600_000
"""So far may the clocks of whoever commands and of the worker be apart."""
ANSWERS_REMEMBERED = 100
RUNNING_WITHIN_MS = 3_600_000
"""A release that was seen so lately counts as having traffic."""
MAX_TEXT = 1_000
"""Longest reason, in characters, that is kept."""

_Code = AnswerCode


class _Said(NamedTuple):
    """An answer to be, and what else the command makes the judge say."""

    code: AnswerCode
    message: str
    outputs: Sequence[Output] = ()


class _Asked(NamedTuple):
    """A command with all that it is about."""

    state: ServiceState
    command: RolloutCommand
    policy: Policy
    processed_time: int


def apply_command(
    state: ServiceState, command: RolloutCommand, policy: Policy, *, processed_time: int
) -> list[Output]:
    """Open, steer or end a rollout, and answer.

    Args:
        state: changed in place.
        command: as often as it comes.
        policy: of this service; an open rollout keeps the one it was opened with.
        processed_time: epoch milliseconds.

    Returns:
        Exactly one answer, and the verdicts and decisions that the command brings.
    """
    if known := state.answers.get(command.id):
        return [known]
    state.version += 1
    state.heard_at = max(state.heard_at, processed_time)
    command.reason = command.reason[:MAX_TEXT]
    asked = _Asked(state, command, policy, processed_time)
    said = _handle(asked)
    returns.remember(state)
    answer = _answer(asked, said)
    while len(state.answers) >= ANSWERS_REMEMBERED:
        del state.answers[next(iter(state.answers))]
    state.answers[command.id] = answer
    return versioned(state, [*said.outputs, answer])


def _answer(asked: _Asked, said: _Said) -> Answer:
    """With the rollout that the command was about, or opened, as it is now."""
    command, rollout = asked.command, asked.state.rollout
    is_about_it = rollout is not None and said.code not in (
        _Code.NO_OPEN_ROLLOUT,
        _Code.CLOCK_SKEW,
    )
    if command.action is RolloutCommandAction.START and not said.code.is_accepted:
        is_about_it = False
    about = rollout if is_about_it else None
    return Answer(
        id=command.id,
        time=asked.processed_time,
        service=asked.state.service,
        action=command.action,
        code=said.code,
        message=said.message,
        rollout=about.id if about else "",
        canary=about.canary if about else command.canary,
        baseline=about.baseline if about else command.baseline,
        flag=about.flag if about else command.flag,
        phase=about.phase_policy.name if about else command.phase,
        reason=command.reason,
        requested_by=command.requested_by,
    )


def _handle(asked: _Asked) -> _Said:
    command = asked.command
    if abs(command.time - asked.processed_time) > MAX_SKEW_MS:
        skew_s = (command.time - asked.processed_time) / 1000
        return _Said(
            _Code.CLOCK_SKEW,
            f"The command's time is {abs(skew_s):,.0f} s {'after' if skew_s > 0 else 'before'} "
            f"the worker's, more than the ten minutes that are allowed.",
        )
    if command.action is RolloutCommandAction.START:
        return _start(asked)
    rollout = asked.state.open_rollout
    if rollout is None or not _is_meant(command, rollout):
        about = f" of {command.canary}" if command.canary else ""
        other = f"; the open one is of {_name(rollout)}" if rollout else ""
        return _Said(
            _Code.NO_OPEN_ROLLOUT, f"{asked.state.service} has no open rollout{about}{other}."
        )
    if command.action is not RolloutCommandAction.ABORT and rollout.status.is_draining:
        return _Said(
            _Code.NOT_NOW, f"{_name(rollout)} is being rolled back; only an abort is possible."
        )
    return _HANDLERS[command.action](asked, rollout)


def _is_meant(command: RolloutCommand, rollout: RolloutState) -> bool:
    return command.canary in {"", rollout.canary} and command.flag in {"", rollout.flag}


def _name(rollout: RolloutState) -> str:
    return f"{rollout.flag}:{rollout.canary}" if rollout.flag else rollout.canary


def _who(command: RolloutCommand) -> str:
    return command.requested_by or "somebody"


# --- starting ------------------------------------------------------------------------------------


def _start(asked: _Asked) -> _Said:
    state, command, policy, _ = asked
    if not command.canary:
        return _Said(_Code.RELEASE_MISSING, "A rollout needs the release that is the canary.")
    rollout = state.open_rollout
    if rollout and (rollout.canary, rollout.flag) == (command.canary, command.flag):
        if rollout.status.is_draining:
            return _Said(_Code.NOT_NOW, f"{_name(rollout)} is being rolled back.")
        return _Said(_Code.ALREADY_OPEN, f"A rollout of {_name(rollout)} is under way already.")
    baseline = command.baseline or opening.busiest(
        state, policy, besides=command.canary, flag=command.flag
    )
    phase = phases.index_of(policy, command.phase) if command.phase else 0
    refused = (
        _running(asked, baseline)
        or (_unknown_phase(policy, command.phase) if phase is None else None)
        or _cooling(asked)
    )
    if refused:
        return refused
    outputs: list[Output] = []
    said = _Said(_Code.ACCEPTED, f"A rollout of {command.canary} was opened.", outputs)
    if rollout is not None:
        if rollout.status is not RolloutStatus.WATCHING:
            message = f"A rollout of {command.canary} was opened; that of {_name(rollout)} ended."
            said = _Said(_Code.REPLACED, message, outputs)
        reason = command.reason or f"Replaced by {command.canary}."
        outputs.extend(_end(asked, rollout, reason))
        returns.remember(state)
    opening.open_rollout(
        state,
        policy,
        canary=command.canary,
        baseline=baseline,
        opened_at=max(state.high_watermark, state.judged_to) or command.time,
        flag=command.flag,
        phase=phase or 0,
    )
    outputs.extend(look_now(state, asked.processed_time))
    return said


def _running(asked: _Asked, baseline: str) -> _Said | None:
    """A release that all users have is no canary: there would be nothing to compare it with."""
    state, command = asked.state, asked.command
    if baseline == command.canary:
        return _Said(_Code.RUNNING_RELEASE, f"{command.canary} cannot be its own baseline.")
    if command.baseline:
        return None
    key, last = key_of(command.canary, command.flag), state.rollout
    if last and last.keys[0] == key and last.status is RolloutStatus.PROMOTED:
        said = f"{command.canary} was promoted; to compare it again, name a baseline."
        return _Said(_Code.RUNNING_RELEASE, said)
    seen = state.releases.get(command.canary)
    if command.flag or seen is None or not seen.exposures:
        return None
    since = state.high_watermark - RUNNING_WITHIN_MS
    others = (release for name, release in state.releases.items() if name != command.canary)
    if any(other.exposures and other.last_seen >= since for other in others):
        return None
    return _Said(
        _Code.RUNNING_RELEASE,
        f"{command.canary} is the only release of {state.service} with traffic; name a baseline.",
    )


def _unknown_phase(policy: Policy, name: str) -> _Said:
    known = ", ".join(phase.name for phase in policy.phases)
    return _Said(_Code.UNKNOWN_PHASE, f"The policy has no phase {name}; it has {known}.")


def _cooling(asked: _Asked) -> _Said | None:
    """A release that was rolled back lately is taken only with a reason."""
    state, command, policy, _ = asked
    key = key_of(command.canary, command.flag)
    until = opening.cools_until(state, policy, key)
    now = max(state.high_watermark, state.judged_to, command.time)
    if until is None or now >= until or command.reason:
        return None
    return _Said(
        _Code.COOLDOWN,
        f"{command.canary} was rolled back less than {policy.cooldown:g} s ago: "
        f"{state.rolled_back[key].reason} Give a reason to start it all the same.",
    )


# --- steering ------------------------------------------------------------------------------------


def _end(asked: _Asked, rollout: RolloutState, reason: str) -> Iterator[Output]:
    return deciding.last_words(
        rollout,
        reason=reason,
        processed_time=asked.processed_time,
        title=asked.state.groups.title,
        requested_by=asked.command.requested_by,
    )


def _abort(asked: _Asked, rollout: RolloutState) -> _Said:
    outputs = [*_end(asked, rollout, asked.command.reason or "Aborted.")]
    asked.state.rolled_back.pop(rollout.keys[0], None)  # a rollback that was under way is void
    return _Said(_Code.ACCEPTED, f"The rollout of {_name(rollout)} was ended.", outputs)


def _hold(asked: _Asked, rollout: RolloutState) -> _Said:
    if rollout.status is RolloutStatus.WATCHING:
        return _promoted(rollout)
    command = asked.command
    why = f": {command.reason}" if command.reason else ""
    rollout.hold = f"{_who(command)} holds it{why}"
    phase = rollout.phase_policy.name
    return _Said(
        _Code.ACCEPTED, f"{_name(rollout)} is held in phase {phase}.", [*_looked(asked, rollout)]
    )


def _resume(asked: _Asked, rollout: RolloutState) -> _Said:
    if rollout.status is RolloutStatus.WATCHING:
        return _promoted(rollout)
    if not rollout.hold and not rollout.is_overdue:
        return _Said(_Code.ACCEPTED, f"{_name(rollout)} was not held.")
    rollout.hold, rollout.is_overdue = "", False
    rollout.lasts_from = max(rollout.lasts_from, rollout.judged_to)
    return _Said(_Code.ACCEPTED, f"{_name(rollout)} goes on.", [*_looked(asked, rollout)])


def _go_to_phase(asked: _Asked, rollout: RolloutState) -> _Said:
    if rollout.status is RolloutStatus.WATCHING:
        return _promoted(rollout)
    command = asked.command
    to = phases.index_of(rollout.policy, command.phase)
    if to is None:
        return _unknown_phase(rollout.policy, command.phase)
    if to == rollout.phase:
        return _Said(_Code.ACCEPTED, f"{_name(rollout)} is in phase {command.phase} already.")
    found = _found(asked, rollout)
    reason = command.reason or f"Sent to phase {command.phase} by {_who(command)}."
    move = deciding.promote if to > rollout.phase else deciding.send_back
    outputs = move(
        rollout,
        found,
        to=to,
        processed_time=asked.processed_time,
        reason=reason,
        requested_by=_who(command),
    )
    return _Said(_Code.ACCEPTED, f"{_name(rollout)} is in phase {command.phase}.", [*outputs])


def _promote(asked: _Asked, rollout: RolloutState) -> _Said:
    if rollout.status is RolloutStatus.WATCHING:
        return _promoted(rollout)
    command, phase = asked.command, rollout.phase_policy.name
    if not command.reason:
        return _reason_missing("A promotion")
    outputs = [
        *deciding.promote(
            rollout,
            _found(asked, rollout),
            processed_time=asked.processed_time,
            reason=command.reason,
            requested_by=_who(command),
        )
    ]
    where = "for all" if rollout.promoted_at else f"to phase {rollout.phase_policy.name}"
    message = f"{_name(rollout)} was promoted from phase {phase} {where}."
    return _Said(_Code.ACCEPTED, message, outputs)


def _roll_back(asked: _Asked, rollout: RolloutState) -> _Said:
    command = asked.command
    if not command.reason:
        return _reason_missing("A rollback")
    outputs = deciding.roll_back(
        rollout,
        _found(asked, rollout),
        command.reason,
        is_guilty=False,
        processed_time=asked.processed_time,
        requested_by=_who(command),
    )
    return _Said(_Code.ACCEPTED, f"{_name(rollout)} is rolled back.", [*outputs])


def _promoted(rollout: RolloutState) -> _Said:
    return _Said(_Code.NOT_NOW, f"{_name(rollout)} was promoted, and is only watched.")


def _reason_missing(what: str) -> _Said:
    return _Said(_Code.REASON_MISSING, f"{what} against the evidence needs a reason.")


def _found(asked: _Asked, rollout: RolloutState) -> Look:
    """The evidence as it stands; what the last tick added to it has been told."""
    rollouts.keep_evidence(rollout)
    return rollouts.look(rollout, asked.state.groups.title)


def _looked(asked: _Asked, rollout: RolloutState) -> Iterator[Output]:
    rollouts.keep_evidence(rollout)
    return look_now(asked.state, asked.processed_time)


_Handler = Callable[[_Asked, RolloutState], _Said]
_HANDLERS: dict[RolloutCommandAction, _Handler] = {
    RolloutCommandAction.ABORT: _abort,
    RolloutCommandAction.HOLD: _hold,
    RolloutCommandAction.RESUME: _resume,
    RolloutCommandAction.PHASE: _go_to_phase,
    RolloutCommandAction.PROMOTE: _promote,
    RolloutCommandAction.ROLLBACK: _roll_back,
}
