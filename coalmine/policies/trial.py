"""One test of a policy through the judge, as ``coalmine replay`` judges, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from coalmine.policies.cases import Case, Given, Word
from coalmine.policies.loads import Arm
from coalmine.policies.scenario import Scenario
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.results import (
    Answer,
    Decision,
    Partial,
    RolloutCommand,
    RolloutCommandAction,
    Source,
    Verdict,
)
from streams.judge.commands import apply_command
from streams.judge.service import apply_partial
from streams.judge.service_state import Output, ServiceState
from streams.replay import replay

_SOURCE = "test"
_KNOWN_BEFORE_S = 60
"""How long the baseline had all traffic before: its groups are known, they are not new."""


class Trial(msgspec.Struct, kw_only=True):
    """What came of a test."""

    started_at: int
    """Epoch milliseconds of event time."""
    verdict: Verdict | None = None
    """The last one."""
    decisions: list[Decision] = []
    answers: list[Answer] = []


def try_case(case: Case, policy: Policy, path: Path, number: int) -> Trial:
    """Judge what a test gives.

    Args:
        case: the test.
        policy: that it is about.
        path: file of the test, for recorded files beside it and for errors.
        number: its place in the file, from 0.

    Raises:
        ConfigError: what is given does not fit the policy; a recorded file cannot be read.
    """
    if case.recorded is not None:
        return _replayed(case, policy, path)
    assert case.given is not None, "checked when it was read"
    field = f"tests[{number}].given"
    scenario = check_given(policy, case.given, source=str(path), field=field)
    return _Run(policy, case.given, scenario).trial()


def check_given(policy: Policy, given: Given, *, source: str, field: str) -> Scenario:
    """The traffic that a test gives, checked against the policy.

    Raises:
        ConfigError: a counter or a phase that the policy does not know, a value that does not fit.
    """
    phases = [phase.name for phase in policy.phases]
    for number, word in enumerate(given.commands):
        if word.phase and word.phase not in phases:
            expected = f"expected a phase of the policy: {', '.join(phases)}"
            where = f"{field}.commands[{number}].phase"
            raise ConfigError(source, expected, field=where, value=word.phase)
    return Scenario(policy, given, source=source, field=field)


def _replayed(case: Case, policy: Policy, path: Path) -> Trial:
    given = case.recorded
    assert given is not None, "asked before"
    found = replay(
        [path.parent / name for name in given.files],
        policy,
        service=given.service,
        canary=given.canary,
        baseline=given.baseline,
    )
    opened_at = found.verdict.opened_at if found.verdict else 0
    return Trial(started_at=opened_at, verdict=found.verdict, decisions=found.decisions)


class _Run:
    """A test second by second: its traffic depends on what was decided so far."""

    def __init__(self, policy: Policy, given: Given, scenario: Scenario) -> None:
        self._policy = policy
        self._given = given
        self._scenario = scenario
        self._start = round(given.starts.timestamp() * 1000)
        self._step = round(given.every * 1000)
        self._service = "service" if policy.service == "*" else policy.service
        self._state = ServiceState(service=self._service)
        self._found = Trial(started_at=self._start)

    def trial(self) -> Trial:
        """Run it to its end."""
        first = -(-_KNOWN_BEFORE_S * 1000 // self._step)
        for number in range(-first, 0):
            self._hear(number, has_canary=False)
        self._order(Word(after=self._given.every, action=RolloutCommandAction.START), 0)
        waiting = sorted(self._given.commands, key=lambda word: word.after)
        for number in range(int(self._given.lasts * 1000 // self._step)):
            while waiting and waiting[0].after * 1000 <= number * self._step:
                self._order(waiting.pop(0), number)
            if not self._is_open:
                break
            self._hear(number, has_canary=not (self._given.is_obeyed and self._is_draining))
        self._end()
        return self._found

    @property
    def _is_open(self) -> bool:
        return self._state.rollout is not None and self._state.rollout.status.is_open

    @property
    def _is_draining(self) -> bool:
        return self._state.rollout is not None and self._state.rollout.status.is_draining

    @property
    def _phase(self) -> str:
        rollout = self._state.rollout
        return self._policy.phases[rollout.phase if rollout else 0].name

    def _hear(self, number: int, *, has_canary: bool) -> None:
        tick = self._start + number * self._step
        partial = Partial(
            service=self._service,
            source=Source(topic=_SOURCE, partition=0, offset=self._state.version),
            sent_at=tick + self._step,
            cells=self._scenario.cells(
                tick, number * self._step / 1000, self._phase, has_canary=has_canary
            ),
        )
        self._note(
            apply_partial(self._state, partial, self._policy, processed_time=partial.sent_at)
        )

    def _end(self) -> None:
        end = self._state.high_watermark + 1
        heartbeat = Partial(service=self._service, sent_at=end)
        self._note(apply_partial(self._state, heartbeat, self._policy, processed_time=end))

    def _order(self, word: Word, number: int) -> None:
        at = self._start + number * self._step
        is_start = word.action is RolloutCommandAction.START
        command = RolloutCommand(
            id=f"{word.action}-{at}-{self._state.version}",
            time=at,
            service=self._service,
            action=word.action,
            canary=Arm.CANARY.value if is_start else "",
            baseline=Arm.BASELINE.value if is_start else "",
            phase=word.phase,
            reason=word.reason,
            requested_by=word.requested_by,
        )
        outputs = apply_command(self._state, command, self._policy, processed_time=at)
        self._note(o for o in outputs if not (is_start and isinstance(o, Answer)))

    def _note(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Verdict):
                self._found.verdict = output
            elif isinstance(output, Decision):
                self._found.decisions.append(output)
            elif isinstance(output, Answer):
                self._found.answers.append(output)
