"""A service's judge in a test: what it hears goes in as partials, what it says is kept."""

from __future__ import annotations

from collections import Counter

import msgspec

from contracts.policy import Policy
from contracts.results import (
    Answer,
    Decision,
    DecisionAction,
    Partial,
    RolloutCommand,
    RolloutCommandAction,
    Verdict,
    Window,
)
from streams.judge.commands import apply_command
from streams.judge.service import apply_partial
from streams.judge.service_state import Output, ServiceState, unknown_from
from streams.state import decode_state, encode_state
from tests.support.partials import Traffic

BASELINE, CANARY = "1.4.2", "1.5.0"
POLICY = Policy(service="checkout", autodetect=True)


def heartbeat(sent_at: int) -> Partial:
    """Nothing came for a while."""
    return Partial(service="checkout", sent_at=sent_at)


class Judge:
    """A service's judge with everything it said; state and words go through bytes at every step."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.state = ServiceState(service="checkout")
        self.outputs: list[Output] = []
        self.now = 1
        """The worker's clock when it hears a command."""
        self.skew_ms = 0
        """By how much the clock of whoever gives commands is ahead."""

    def hear(self, partial: Partial) -> list[Output]:
        """Apply one partial unless it is a duplicate."""
        if partial.source and unknown_from(self.state.fences, partial.source) is None:
            return []
        said = apply_partial(self.state, partial, self.policy, processed_time=partial.sent_at)
        self._keep(said)
        return said

    def run(self, traffic: Traffic, seconds: range, releases: list[str] | None = None) -> None:
        """Hear these seconds of traffic."""
        for number in seconds:
            for partial in traffic.second(number, releases):
                self.hear(partial)

    def order(
        self,
        action: RolloutCommandAction,
        canary: str = "",
        name: str = "1",
        **fields: str,
    ) -> Answer:
        """Apply a rollout command, and hand back its one answer."""
        command = RolloutCommand(
            id=name,
            time=self.now + self.skew_ms,
            service="checkout",
            action=action,
            canary=canary,
            **fields,
        )
        said = apply_command(self.state, command, self.policy, processed_time=self.now)
        self._keep(said)
        [answer] = [one for one in said if isinstance(one, Answer)]
        return answer

    def _keep(self, said: list[Output]) -> None:
        self.state = decode_state(encode_state(self.state))
        self.outputs += [msgspec.json.decode(msgspec.json.encode(o), type=type(o)) for o in said]

    @property
    def verdicts(self) -> list[Verdict]:
        return [o for o in self.outputs if isinstance(o, Verdict)]

    @property
    def decisions(self) -> list[Decision]:
        return [o for o in self.outputs if isinstance(o, Decision)]

    @property
    def told(self) -> list[DecisionAction]:
        """What was decided, in order."""
        return [decision.action for decision in self.decisions]

    @property
    def answers(self) -> list[Answer]:
        return [o for o in self.outputs if isinstance(o, Answer)]

    def window_totals(self) -> Counter[str]:
        """Sum of all windows' counters, the last version of each part."""
        last: dict[tuple[object, ...], Window] = {}
        for output in self.outputs:
            if isinstance(output, Window):
                last[(output.time, output.release, output.part)] = output
        totals: Counter[str] = Counter()
        for window in last.values():
            totals.update({f"{window.release} {k}": v for k, v in window.counts.items()})
        return totals
