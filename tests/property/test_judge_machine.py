"""Whatever people, traffic, repeats and crashes do in whatever order, a rollout stays in bounds."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from contracts.config import Seconds
from contracts.policy import AtEnd, Metric, Phase, Policy
from contracts.results import (
    Answer,
    AnswerCode,
    Decision,
    DecisionAction,
    Partial,
    RolloutCommand,
    RolloutCommandAction,
    RolloutStatus,
    Verdict,
    decode_partial,
    encode_partial,
)
from streams.judge.commands import apply_command
from streams.judge.service import apply_partial
from streams.judge.service_state import Output, ServiceState, unknown_from
from streams.state import decode_state, encode_state
from tests.support.partials import Traffic

BASELINE, CANARY, NEXT = "1.4.2", "1.5.0", "1.6.0"
S, A = RolloutStatus, DecisionAction
_OPEN = {S.RUNNING, S.HOLDING}
_ENDS = {S.ABORTED, S.CLOSED}
ALLOWED: dict[RolloutStatus, set[RolloutStatus]] = {
    S.RUNNING: {*_OPEN, *_ENDS, S.ROLLING_BACK, S.WATCHING, S.PROMOTED},
    S.HOLDING: {*_OPEN, *_ENDS, S.ROLLING_BACK, S.WATCHING, S.PROMOTED},
    S.ROLLING_BACK: {S.ROLLING_BACK, S.TRAFFIC_STOPPED, S.ROLLED_BACK, *_ENDS},
    S.TRAFFIC_STOPPED: {S.ROLLING_BACK, S.TRAFFIC_STOPPED, S.ROLLED_BACK, *_ENDS},
    S.WATCHING: {S.WATCHING, S.PROMOTED, S.ROLLING_BACK},
    **{final: set() for final in (S.PROMOTED, S.ROLLED_BACK, *_ENDS)},
}

policies = st.builds(
    Policy,
    service=st.just("checkout"),
    harm=st.just(2.0),
    metrics=st.sampled_from(
        [
            [Metric(name="errors", bad="request.bad")],
            [
                Metric(name="errors", bad="request.bad"),
                Metric(name="crashes", bad="crash", phases=["all"]),
            ],
        ]
    ),
    phases=st.sampled_from(
        [
            [Phase(name="few"), Phase(name="all")],
            [
                Phase(name="few", max_duration=Seconds(12), at_end=AtEnd.ROLLBACK),
                Phase(name="cluster", min_duration=Seconds(5)),
                Phase(name="all", max_duration=Seconds(12), at_end=AtEnd.PROMOTE),
            ],
            [Phase(name="few", max_duration=Seconds(8)), Phase(name="all", min_exposures=500)],
        ]
    ),
    autodetect=st.booleans(),
    watch_after=st.sampled_from([Seconds(0), Seconds(15)]),
    close_after=st.sampled_from([Seconds(25), Seconds(7 * 86_400)]),
    cooldown=st.sampled_from([Seconds(0), Seconds(30)]),
    escalate_after=st.just(Seconds(10)),
)
actions = st.sampled_from([*RolloutCommandAction])
names = st.sampled_from([CANARY, CANARY, CANARY, CANARY, NEXT, BASELINE, ""])
phases = st.sampled_from(["all", "few", "moon"])


class JudgeMachine(RuleBasedStateMachine):
    """One service, its traffic, its people, and a worker that may be killed at any moment."""

    commands = Bundle("commands")

    @initialize(policy=policies)
    def begin(self, policy: Policy) -> None:
        """A service with a release that everybody has."""
        self.policy = policy
        self.state = ServiceState(service="checkout")
        self.traffic = Traffic(requests_per_s={BASELINE: 200, CANARY: 100, NEXT: 100})
        self.second, self.silent_ms = 0, 0
        self.heard: list[Partial] = []
        self.waiting: list[Partial] = []
        self.verdicts: list[Verdict] = []
        self.decisions: list[Decision] = []
        self.answers: dict[str, Answer] = {}
        self.hear_traffic(bad=0.2, releases=[BASELINE], seconds=2)

    @property
    def now(self) -> int:
        """Processing time: a second after the traffic, and what was silent since."""
        return self.traffic.start + self.second * 1000 + 1_200 + self.silent_ms

    def apply(self, message: Partial | RolloutCommand) -> list[Output]:
        """One message, twice from the same bytes: what a crash lost is said again, word by word."""
        encoded, body = encode_state(self.state), msgspec.json.encode(message)
        said: list[list[Output]] = []
        for _ in range(2):
            state = decode_state(encoded)
            again = msgspec.json.decode(body, type=type(message))
            if isinstance(again, Partial):
                said.append(apply_partial(state, again, self.policy, processed_time=self.now))
            else:
                said.append(apply_command(state, again, self.policy, processed_time=self.now))
        assert said[0] == said[1]
        self.state = state
        self.note(said[0])
        return said[0]

    def note(self, said: list[Output]) -> None:
        """Each word against all that was said before."""
        for one in said:
            if isinstance(one, Verdict):
                self.note_verdict(one)
            elif isinstance(one, Decision):
                self.note_decision(one)

    def note_verdict(self, verdict: Verdict) -> None:
        """A rollout goes only where it may, and is the only one that is open."""
        before = [v for v in self.verdicts if v.rollout == verdict.rollout]
        if before:
            assert verdict.status in ALLOWED[before[-1].status]
        last = {v.rollout: v.status for v in [*self.verdicts, verdict]}
        assert sum(status.is_open for status in last.values()) <= 1
        self.verdicts.append(verdict)

    def note_decision(self, decision: Decision) -> None:
        """An id says one thing, and no decision contradicts an earlier one of its rollout."""
        assert decision.id not in {one.id for one in self.decisions}
        before = [one for one in self.decisions if one.rollout == decision.rollout]
        said = [one.action for one in before]
        is_promoted = any(one.action is A.PROMOTE and not one.next_phase for one in before)
        if decision.action in {A.PROMOTE, A.HOLD}:
            assert A.ROLLBACK not in said
            assert A.ABORTED not in said
            assert not is_promoted
        elif decision.action is A.ROLLBACK:
            assert A.ROLLBACK not in said
            assert A.ABORTED not in said
            assert not is_promoted or self.policy.watch_after > 0
            statuses = [v.status for v in self.verdicts if v.rollout == decision.rollout]
            assert not is_promoted or S.WATCHING in statuses[-2:-1]
        elif decision.action is A.ABORTED:
            assert not is_promoted or A.ROLLBACK in said
            assert not {A.ABORTED, A.ROLLBACK_VERIFIED} & {*said}
        elif decision.action is A.RETURNED:
            assert A.ROLLBACK_VERIFIED in said
        else:
            assert A.ROLLBACK in said
            assert decision.action not in said
        self.decisions.append(decision)

    @rule(
        bad=st.sampled_from([0.2, 0.2, 0.9]),
        releases=st.sampled_from(
            [
                [BASELINE, CANARY],
                [BASELINE, CANARY],
                [BASELINE],
                [CANARY],
                [BASELINE, CANARY, NEXT],
                [NEXT],
            ]
        ),
        seconds=st.integers(1, 6),
    )
    def hear_traffic(self, bad: float, releases: list[str], seconds: int) -> None:
        """Some seconds of it; the canary fails more often in some of them."""
        self.traffic.error_rate = {BASELINE: 0.2, CANARY: bad, NEXT: 0.2}
        self.traffic.crash_rate = {BASELINE: 0.2, CANARY: bad, NEXT: 0.2}
        self.silent_ms = 0
        for _ in range(seconds):
            self.second += 1
            for partial in self.traffic.second(self.second, releases):
                self.hear(partial)

    @rule(releases=st.sampled_from([[BASELINE], [CANARY]]))
    def keep_back(self, releases: list[str]) -> None:
        """A second of traffic stays behind in another partition."""
        self.second += 1
        for partial in self.traffic.second(self.second, releases):
            assert partial.source is not None
            source = msgspec.structs.replace(partial.source, partition=1)
            self.waiting.append(msgspec.structs.replace(partial, source=source))

    @precondition(lambda self: self.waiting)
    @rule()
    def hear_what_was_kept_back(self) -> None:
        """It comes late."""
        for partial in self.waiting:
            self.hear(partial)
        self.waiting = []

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def hear_again(self, data: st.DataObject) -> None:
        """A message that comes twice changes nothing."""
        partial = data.draw(st.sampled_from(self.heard))
        assert partial.source is not None
        assert unknown_from(self.state.fences, partial.source) is None

    def hear(self, partial: Partial) -> None:
        """Unless it is fenced."""
        assert partial.source is not None
        if unknown_from(self.state.fences, partial.source) is not None:
            self.heard.append(decode_partial(encode_partial(partial)))
            self.apply(partial)

    @rule(seconds=st.integers(1, 40))
    def beat(self, seconds: int) -> None:
        """Nothing is heard for a while."""
        self.silent_ms += seconds * 1000
        self.apply(Partial(service="checkout", sent_at=self.now))

    @rule(
        target=commands,
        action=actions,
        canary=names,
        phase=phases,
        reason=st.sampled_from(["because", ""]),
        skew_s=st.sampled_from([*[0] * 9, 700]),
    )
    def steer(
        self, action: RolloutCommandAction, canary: str, phase: str, reason: str, skew_s: int
    ) -> RolloutCommand:
        """A person, or a tool, says something new."""
        if action is RolloutCommandAction.START and phase == "all":
            phase = ""
        return self.command(action, canary, phase, reason, skew_s)

    @rule(target=commands)
    def start(self) -> RolloutCommand:
        """The deploy tool opens the rollout of the canary."""
        return self.command(RolloutCommandAction.START, CANARY, "", "", 0)

    def command(
        self, action: RolloutCommandAction, canary: str, phase: str, reason: str, skew_s: int
    ) -> RolloutCommand:
        """A new one has one answer."""
        command = RolloutCommand(
            id=f"command-{len(self.answers)}",
            time=self.now + skew_s * 1000,
            service="checkout",
            action=action,
            canary=canary,
            phase=phase,
            reason=reason,
            requested_by="ann",
        )
        before = self.state.open_rollout
        said = self.apply(command)
        [answer] = [one for one in said if isinstance(one, Answer)]
        self.answers[command.id] = answer
        if not answer.code.is_accepted:
            assert len(said) == 1
        if skew_s:
            assert answer.code is AnswerCode.CLOCK_SKEW
        elif action is not RolloutCommandAction.START and before is None:
            assert answer.code is AnswerCode.NO_OPEN_ROLLOUT
        return command

    @rule(command=commands)
    def command_again(self, command: RolloutCommand) -> None:
        """The same one has the same answer, whatever happened since."""
        before = encode_state(self.state)
        assert self.apply(command) == [self.answers[command.id]]
        assert encode_state(self.state) == before

    @invariant()
    def the_state_says_what_was_said(self) -> None:
        """The rollout of the state is that of the last verdict, in its status."""
        rollout = getattr(self, "state", ServiceState(service="")).rollout
        if rollout is not None and self.verdicts and self.verdicts[-1].rollout == rollout.id:
            assert self.verdicts[-1].status is rollout.status


TestJudgeMachine = JudgeMachine.TestCase
TestJudgeMachine.settings = settings(max_examples=25, stateful_step_count=30)
