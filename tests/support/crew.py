"""Several workers that are killed, wedged, joined and left, and traffic whose counts are known."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from contracts.policy import Policy
from contracts.results import Decision, DecisionAction
from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.canary import decisions
from tests.support.recount import Totals, counted, recount, undisturbed_decisions
from tests.support.stack import produce, unique
from tests.support.telemetry import EVENTS_TOPIC, Keyed, event_batches
from tests.support.waiting import wait_until

BASELINE, CANARY = "1.4.2", "1.5.0"
WEDGED_S = 13.0
"""Longer than Kafka waits before it gives a silent worker's partitions to another."""
_LASTS_MS = 40_000
"""The traffic's time: sent faster than it happens, it must not happen later than it arrives."""


class Crew:
    """Workers side by side; one that ends is started again, as ``coalmine up`` does."""

    def __init__(self, size: int, environment: Mapping[str, str], directory: Path) -> None:
        policies = directory / "policies"
        policies.mkdir()
        for number in range(size):
            (directory / f"{number}").mkdir()
        (policies / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
        self.workers = [
            WorkerProcess(
                ["worker", "--policies", str(policies), "--state", str(directory / f"{number}")],
                environment,
                directory / f"worker-{number}.log",
            )
            for number in range(size)
        ]
        self.restarts = 0

    def start(self) -> None:
        """All but the last, which joins and leaves."""
        for worker in self.workers[:-1]:
            worker.start()

    def tend(self) -> None:
        """Start again what ended by itself."""
        for worker in self.workers[:-1]:
            if worker.process is not None and worker.process.poll() is not None:
                self.restarts += 1
                worker.start()

    def kill(self, chosen: random.Random) -> None:
        """SIGKILL of one, at once started again."""
        worker = chosen.choice(self.workers[:-1])
        worker.kill()
        worker.start()

    def rebalance(self, chosen: random.Random) -> None:
        """One more joins, or the one that joined leaves."""
        guest = self.workers[-1]
        if guest.process is None or guest.process.poll() is not None:
            guest.start()
        elif chosen.random() < 0.5:
            guest.kill()
        else:
            guest.stop()

    def wedge(self, chosen: random.Random) -> None:
        """SIGSTOP until another has taken over, then SIGCONT: a zombie."""
        worker = chosen.choice(self.workers[:-1])
        assert worker.process is not None
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(WEDGED_S)
        worker.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End all."""
        for worker in self.workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.kill()

    def logs(self) -> str:
        """What all of them logged."""
        logs = [one for one in self.workers if one.log.exists()]
        return "\n".join(f"--- {one.log.name}\n{one.new_log()[-6000:]}" for one in logs)


class Traffic:
    """Services with a bad canary each, their batches sent bit by bit, some of them twice."""

    def __init__(self, kafka: KafkaSettings, chosen: random.Random, services: int) -> None:
        self._kafka = kafka
        self._chosen = chosen
        self.start_ms = time.time_ns() // 1_000_000 - _LASTS_MS
        self.services = [unique("crew") for _ in range(services)]
        self.sent: dict[str, list[Keyed]] = {service: [] for service in self.services}
        self._second = 0

    def send(self, seconds: int) -> None:
        """The next seconds of every service; every tenth batch comes twice, as after a retry."""
        due: list[Keyed] = []
        for second in range(self._second, self._second + seconds):
            for service in self.services:
                batches = list(self._batches(service, second))
                self.sent[service] += batches
                due += batches
        self._second += seconds
        again = [one for one in due if self._chosen.random() < 0.1]
        produce(self._kafka, EVENTS_TOPIC, due + again)

    def check(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Counts equal the recount, decisions equal the undisturbed ones.

        Args:
            meanwhile: done again and again while the counts are waited for.
        """
        policy = Policy(autodetect=True)
        for service in self.services:
            self._wait_for(service, recount(self.sent[service]), meanwhile)
            alone = _rollbacks(undisturbed_decisions(self.sent[service], policy))
            wait_until(
                lambda s=service, a=alone: _rollbacks(decisions(self._kafka, s)) == a,  # type: ignore[misc]
                timeout_s=20,
                what=f"{alone} decided for {service}: {decisions(self._kafka, service)}",
            )

    def _wait_for(self, service: str, expected: Totals, meanwhile: Callable[[], None]) -> None:
        seen: list[Totals] = []

        def is_exact() -> bool:
            meanwhile()
            seen[:] = [counted(self._kafka, service)]
            return seen[0] == expected

        try:
            wait_until(is_exact, timeout_s=90)
        except AssertionError as error:
            raise AssertionError(f"{service}: {expected} expected, {seen} counted") from error

    def _batches(self, service: str, second: int) -> Iterator[Keyed]:
        for release, per_second, since, errors in (
            (BASELINE, 100, 0, 0.01),
            (CANARY, 25, 10, 0.15),
        ):
            if second >= since:
                yield from event_batches(
                    service,
                    release,
                    range(second, second + 1),
                    start_ms=self.start_ms,
                    count=per_second,
                    error_rate=errors,
                )


def _rollbacks(found: list[Decision]) -> set[tuple[str, str | None]]:
    return {(d.canary, d.guilty_metric) for d in found if d.action is DecisionAction.ROLLBACK}
