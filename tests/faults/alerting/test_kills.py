"""Two alerters, killed at any moment: one effect per decision, none lost, none late."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol

import psutil
import pytest

from contracts.results import Decision, DecisionAction, Delivery, decision_id
from contracts.settings import KafkaSettings
from tests.faults.alerting.honest_tool import HonestTool
from tests.faults.conftest import FaultTable
from tests.support.alerting import Alerting, Hit, Process, Receiver
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1_200),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_BEFORE, _AFTER, _ANY, _STARTING, _BOTH = (
    "between send and answer",
    "between answer and record",
    "any moment",
    "while it starts",
    "both at once",
)
_MOMENTS = (*(_BEFORE, _AFTER) * 3, _ANY, _STARTING, _BOTH)
"""Most kills go where one could lose or repeat something."""
_LASTS_MS = 1_800_000


@dataclass
class Chaos:
    """Decisions and kills, both from one seed."""

    house: Alerting
    tools: list[HonestTool]
    random: Random
    lasting: list[Decision] = field(default_factory=list)
    brief: list[Decision] = field(default_factory=list)
    ended: list[Decision] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    _to_abort: list[Decision] = field(default_factory=list)
    _struck: threading.Event = field(default_factory=threading.Event)

    def round(self, moment: str = "") -> None:
        """One kill, with decisions before, during and after it."""
        moment = moment or self.random.choice(_MOMENTS)
        self._decide()
        if moment == _BEFORE:
            self._strike_at("on_effect", moment)
        elif moment == _AFTER:
            self._strike_at("on_sent", moment)
        else:
            time.sleep(self.random.uniform(0, 1.5))
            self._decide()
            chosen = [self.random.choice(self.house.alerters)]
            for one in self.house.alerters if moment == _BOTH else chosen:
                self._kill(one, moment)
        for one in self.house.alerters:
            if not one.is_running:
                one.restart()
                if moment == _STARTING:
                    time.sleep(self.random.uniform(0, 3))
                    self._kill(one, moment)
                    one.restart()
        self._decide()

    @property
    def decisions(self) -> list[Decision]:
        """All that were made, whatever was meant to become of them."""
        return [*self.lasting, *self.brief, *self.ended]

    def _decide(self) -> None:
        for _ in range(self.random.randint(0, 2)):
            self.lasting.append(self.house.decide(expires_at=_now_ms() + _LASTS_MS))
        if self.random.random() < 0.5:
            lives_ms = round(self.random.uniform(200, 6_000))
            self.brief.append(self.house.decide(expires_at=_now_ms() + lives_ms))
        for one in self._to_abort:
            aborted = DecisionAction.ABORTED
            self.house.decide(
                id=decision_id(one.rollout, "canary", aborted), rollout=one.rollout, action=aborted
            )
        self._to_abort.clear()
        if self.random.random() < 0.5:
            self.ended.append(self.house.decide(expires_at=_now_ms() + _LASTS_MS))
            self._to_abort.append(self.ended[-1])

    def _strike_at(self, moment: str, name: str) -> None:
        """Kill the alerter that sends the next webhook, in the middle of its request."""
        self._struck.clear()
        tool = self.random.choice(self.tools)
        delay_s = self.random.choice((0.0, self.random.uniform(0, 0.02)))

        def strike(hit: Hit) -> None:
            if not self._struck.is_set():
                sender = self._sender(hit)
                time.sleep(delay_s)
                if sender and not self._struck.is_set():
                    self._struck.set()
                    self._kill(sender, name)

        setattr(tool, moment, strike)
        self.lasting.append(self.house.decide(expires_at=_now_ms() + _LASTS_MS))
        if not self._struck.wait(30):
            self._kill(self.random.choice(self.house.alerters), _ANY)
        setattr(tool, moment, None)

    def _sender(self, hit: Hit) -> Process | None:
        for one in self.house.alerters:
            with contextlib.suppress(psutil.Error):
                connections = psutil.Process(one.pid).net_connections("tcp")
                if any(c.laddr.port == hit.port for c in connections):
                    return one
        return None

    def _kill(self, one: Process, moment: str) -> None:
        if one.is_running:
            one.kill()
            self.kills[moment] += 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _last_records(house: Alerting, decisions: list[Decision]) -> dict[tuple[str, str], Delivery]:
    """The final record of each decision and endpoint."""
    mine = {decision.id for decision in decisions}
    return {
        (record.decision, record.endpoint): record
        for record in house.wire.deliveries()
        if record.decision in mine and record.outcome != "retrying"
    }


class RunChaos(Protocol):
    """Kills alerters so many times, at these moments first, then checks every promise."""

    def __call__(self, rounds: int, seed: int, moments: Sequence[str] = ()) -> None:
        """See the class."""
        ...


@pytest.fixture
def run_chaos(
    alerting: Callable[..., Alerting],
    listen: Callable[[Receiver], None],
    kafka_settings: KafkaSettings,
    fault_table: FaultTable,
) -> RunChaos:
    """See ``RunChaos``."""
    assert kafka_settings.bootstrap

    def run(rounds: int, seed: int, moments: Sequence[str] = ()) -> None:
        random = Random(seed)
        print(f"alerter kills: seed {seed}")
        well, moody = (
            HonestTool(lambda _: (200, {})),
            HonestTool(lambda _: (200, {}), moods=Random(seed + 1)),
        )
        for tool in (well, moody):
            listen(tool)
        retry = {"timeout": "1s", "retry": {"delays": ["200ms", "500ms", "1s"]}}
        house = alerting(
            {"name": f"well-{seed}", "url": well.url, **retry},
            {"name": f"moody-{seed}", "url": moody.url, **retry},
            alerters=2,
        )
        chaos = Chaos(house, [well, moody], random)
        for moment in moments:
            chaos.round(moment)
        while chaos.kills.total() < rounds:
            chaos.round()
        moody.set_mood("well")
        for one in house.alerters:
            if not one.is_running:
                one.restart()
        _check(chaos, {f"well-{seed}": well, f"moody-{seed}": moody}, fault_table)

    return run


def _check(chaos: Chaos, tools: dict[str, HonestTool], fault_table: FaultTable) -> None:
    records = _settled(chaos, set(tools))
    for name, tool in tools.items():
        delivered = {d for (d, e), r in records.items() if e == name and r.outcome == "delivered"}
        assert set(tool.effects.values()) <= {1}
        assert tool.late == []
        assert delivered <= tool.effects.keys(), "recorded as delivered, and no effect"
        assert {d.id for d in chaos.lasting} <= delivered
    outcomes = _outcomes(chaos, records)
    assert outcomes["ended"].keys() <= {"delivered", "obsolete"}
    _expect_escalations(records, tools)
    fresh = chaos.house.decide()
    wait_until(lambda: all(fresh.id in t.effects for t in tools.values()), 30, "a fresh decision")
    sends = sum(len(t.hits) for t in tools.values())
    effects = sum(t.effects.total() for t in tools.values())
    again = sum(t.acknowledged.total() - t.effects.total() for t in tools.values())
    figures = (
        f"{len(chaos.decisions)} decisions to {len(tools)} endpoints: 0 lost, 0 late, "
        f"{effects} effects; raw: {sends} requests, {again} sent again after an effect"
    )
    print(figures, dict(chaos.kills), {kind: dict(found) for kind, found in outcomes.items()})
    fault_table("SIGKILL of one or both of two alerters", chaos.kills.total(), figures)


def _settled(chaos: Chaos, names: set[str]) -> dict[tuple[str, str], Delivery]:
    """The final record of each decision at each endpoint, once all are there."""
    expected = {(d.id, name) for d in chaos.decisions for name in names}

    def missing() -> set[tuple[str, str]]:
        return expected - _last_records(chaos.house, chaos.decisions).keys()

    try:
        wait_until(lambda: not missing(), 90, "the last record of every decision")
    except AssertionError as error:
        stacks = [one.stacks() for one in chaos.house.alerters]
        raise AssertionError(f"{error}: {sorted(missing())}", *stacks) from error
    return _last_records(chaos.house, chaos.decisions)


def _outcomes(chaos: Chaos, records: dict[tuple[str, str], Delivery]) -> dict[str, Counter[str]]:
    """How often what was meant to become so became what."""
    meant = {d.id: kind for kind in ("lasting", "brief", "ended") for d in getattr(chaos, kind)}
    found: dict[str, Counter[str]] = {"lasting": Counter(), "brief": Counter(), "ended": Counter()}
    for (decision, _), record in records.items():
        found[meant[decision]][record.outcome.value] += 1
    return found


def _expect_escalations(
    records: dict[tuple[str, str], Delivery], tools: dict[str, HonestTool]
) -> None:
    """What did not reach one endpoint is told to the other, once."""
    failed = [key for key, r in records.items() if r.outcome in ("expired", "exhausted", "refused")]
    for decision, endpoint in failed:
        (other,) = (tool for name, tool in tools.items() if name != endpoint)
        call = f"{decision}/{endpoint}/escalate"
        wait_until(partial(other.effects.__getitem__, call), 30, call)


def test_a_few_kills_lose_nothing(run_chaos: RunChaos, fault_seed: int) -> None:
    """Every decision has one effect at each endpoint, or a record that says why not."""
    run_chaos(0, fault_seed, (_BEFORE, _AFTER, _BOTH))


@pytest.mark.faults
@pytest.mark.parametrize("number", range(5))
def test_two_hundred_kills_lose_nothing(
    run_chaos: RunChaos,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    number: int,
) -> None:
    """The same, forty times for each of five seeds."""
    run_chaos(fault_rounds(40), fault_seed + number)
