"""One demo run: starts everything, watches, counts, ends everything."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.markup import escape

from coalmine.demo.configs import write_configs
from coalmine.demo.crew import check_alive
from coalmine.demo.reading import (
    ResultsReader,
    abort_rollout,
    events_counted,
    lines_written,
    start_rollout,
)
from coalmine.demo.screen import Screen, Step
from coalmine.demo.servers import servers_of
from coalmine.demo.shopfront import BASELINE, CANARY, SERVICE, Shop
from coalmine.demo.staff import Staff
from coalmine.demo.timeline import Results, Timeline, assemble, ended_as_it_should
from contracts.errors import Fatal

_POLL_S = 0.25
_FIRST_COUNT_S = 90.0
_SETTLE_S = 5.0
_QUIESCE_S = 30.0
_WINDOW_MS = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """How one run differs from the usual one.

    Args:
        bad_release: whether the canary has the bugs.
        rate: requests a second, all releases together.
        patience_s: how long a bad canary may take until it is rolled back and gone.
        watch_s: how long a good canary is watched.
        state: where each run's directory stays; a temporary one if not given.
        keep: whether a temporary directory stays.
        dashboard_port: a free one if not given.
        seed: of the customers.
    """

    bad_release: bool = True
    rate: float = 250.0
    patience_s: float = 120.0
    watch_s: float = 60.0
    state: Path | None = None
    keep: bool = False
    dashboard_port: int | None = None
    seed: int = 0

    @property
    def canary_build(self) -> str:
        """See ``coalmine.demo.shop.releases``."""
        return CANARY if self.bad_release else f"{CANARY}-good"


class Scene:
    """Everything of one run; ``with`` ends all of it, whatever happened."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self._options = options
        self._screen = screen
        self._exit = ExitStack()
        self._started_ms = self._count_from_ms = _now_ms()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with deaf_to_signals():
            self._exit.__exit__(kind, error, at)

    def set_up(self) -> str:
        """Start all processes but the canary; the dashboard's address."""
        state = self._exit.enter_context(_state_directory(self._options))
        with self._screen.step("Starting Kafka and Elasticsearch") as step:
            self._servers = self._exit.enter_context(servers_of(state, step))
        if not self._servers.are_new:
            abort_rollout(self._servers.kafka, SERVICE)
        self._shop = Shop(state, self._options.canary_build)
        self._exit.callback(self._shop.close)
        with self._screen.step(f"Opening the shop: {SERVICE} {BASELINE} on three instances"):
            self._shop.open()
        self._staff = Staff(state, self._servers.environment, self._options.dashboard_port)
        self._exit.callback(self._staff.dismiss)
        with self._screen.step("Starting agent, worker, indexer, alerter, dashboard, deploy tool"):
            configs = write_configs(state, self._staff.deploy_tool_url)
            self._staff.start(configs, router_admin=self._shop.admin)
        results = Results(SERVICE, since_ms=self._started_ms)
        self._reader = self._exit.enter_context(ResultsReader(self._servers.kafka, results))
        return self._staff.dashboard_url

    def roll_out(self) -> tuple[Timeline, bool]:
        """Let customers in, deploy the canary, watch what Coalmine does; the timeline, and whether
        it ended as it should.

        Raises:
            Fatal: a part ended on its own, or nothing was counted.
        """
        self._open_doors()
        canary_started_ms = self._deploy()
        self._watch()
        written, counted = self._count()
        timeline = assemble(
            self._reader.results,
            canary=CANARY,
            baseline=BASELINE,
            canary_started_ms=canary_started_ms,
            events_written=written,
            events_counted=counted,
        )
        return timeline, ended_as_it_should(timeline, bad_release=self._options.bad_release)

    def stay_open(self) -> None:
        """Keep the shop busy until someone stops us, so that the dashboard stays alive."""
        while True:
            if not self._shop.has_customers:
                self._admit(seconds=600, seed=self._options.seed + 1)
            self._wait(_POLL_S)

    def _admit(self, *, seconds: float, seed: int) -> None:
        self._shop.admit_customers(rate=self._options.rate, seconds=seconds, seed=seed)

    def _open_doors(self) -> None:
        options, results = self._options, self._reader.results
        longest = _FIRST_COUNT_S + _SETTLE_S + max(options.patience_s, options.watch_s)
        with self._screen.step(f"Customers come: {options.rate:g} requests a second") as step:
            if not self._servers.are_new:
                # An earlier run may have left requests in this storage window.
                step.say("waiting for the next storage window")
                time.sleep((_WINDOW_MS - _now_ms() % _WINDOW_MS) / 1000)
            self._count_from_ms = _now_ms() // _WINDOW_MS * _WINDOW_MS
            self._admit(seconds=longest, seed=options.seed)
            deadline = time.monotonic() + _FIRST_COUNT_S
            while not results.has_counts:
                if time.monotonic() > deadline:
                    raise Fatal(f"no request was counted within {_FIRST_COUNT_S:g} s")
                step.say("waiting for the first counts")
                self._wait(_POLL_S)
            settled = time.monotonic() + _SETTLE_S
            while (left := settled - time.monotonic()) > 0:
                step.say("the baseline sells", 1 - left / _SETTLE_S)
                self._wait(_POLL_S)

    def _deploy(self) -> int:
        with self._screen.step(f"Deploying canary {CANARY} with a fifth of the traffic"):
            started_ms = self._reader.results.since_ms = _now_ms()
            self._shop.deploy_canary()
            if not self._servers.are_new:
                start_rollout(self._servers.kafka, SERVICE, canary=CANARY, baseline=BASELINE)
        return started_ms

    def _watch(self) -> None:
        options, results = self._options, self._reader.results
        limit_s = options.patience_s if options.bad_release else options.watch_s
        deadline = time.monotonic() + limit_s
        told: set[str] = set()
        with self._screen.step("Coalmine compares the releases") as step:
            while time.monotonic() < deadline and not results.is_rolled_back:
                self._wait(_POLL_S)
                _say_how_it_stands(step, results)
                for text in results.milestones():
                    if text not in told:
                        told.add(text)
                        self._screen.note(escape(text))

    def _count(self) -> tuple[int, int]:
        with self._screen.step("Counting what the shop wrote and what Coalmine counted") as step:
            self._shop.send_customers_home()
            deadline = time.monotonic() + _QUIESCE_S
            while True:
                self._wait(_POLL_S)
                # Again each time: a busy instance writes the line of its last request late.
                written = lines_written(self._shop.logs)
                counted = events_counted(self._servers.elasticsearch, SERVICE, self._count_from_ms)
                step.say(f"{counted:,} of {written:,}", counted / max(written, 1))
                if counted == written or time.monotonic() > deadline:
                    return written, counted

    def _wait(self, seconds: float) -> None:
        started = time.monotonic()
        self._reader.poll(seconds)
        check_alive([*self._shop.processes, *self._staff.processes, *self._servers.processes])
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))


def _say_how_it_stands(step: Step, results: Results) -> None:
    if (verdict := results.verdict) is None:
        step.say("waiting for the first look")
        return
    evidence, needed = verdict.evidence_log10, verdict.rollback_at_log10
    step.say(
        f"{verdict.outcome.value}, evidence 10^{evidence:.1f} of 10^{needed:.0f}", evidence / needed
    )


@contextmanager
def _state_directory(options: Options) -> Iterator[Path]:
    if options.state is not None:  # a new one each time: old data would be judged along
        directory = options.state.absolute() / f"run-{_now_ms()}"
        directory.mkdir(parents=True)
        yield directory
        return
    directory = Path(tempfile.mkdtemp(prefix="coalmine-demo-"))
    directory.chmod(0o755)  # the servers may run as another user, see coalmine.stack.runtime
    try:
        yield directory
    except Fatal:  # its message names logs that stand in there
        raise
    except BaseException:
        _remove(directory, options)
        raise
    _remove(directory, options)


def _remove(directory: Path, options: Options) -> None:
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Whoever presses Ctrl-C again while all is ended must not leave a half-ended rest."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
