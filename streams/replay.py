"""Recorded events through the same windows and the same judge, in event time, with no server.

To try a policy on last month's data, of one or of several files whose events may interleave (which
files: ``streams.recordings``).
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa

from contracts.errors import ConfigError
from contracts.policy import Policies, Policy
from contracts.records import RecordKind
from contracts.results import (
    Action,
    Cell,
    Decision,
    Outcome,
    Partial,
    RolloutCommand,
    RolloutCommandAction,
    Source,
    Verdict,
)
from streams.judge.commands import apply_command
from streams.judge.service import apply_partial
from streams.judge.service_state import Output, ServiceState
from streams.outcomes import outcomes_of
from streams.recordings import batches_of
from streams.set_aside import SetAside
from streams.windows.aggregate import cells_of_batch
from streams.windows.grouping import TICK_MS

_SOURCE = "replay"

Progress = Callable[[int], None]
Pace = Callable[[int], None]
Tell = Callable[[Output], None]
Ticks = dict[int, list[Cell]]
"""Start of each tick to what was counted in it."""


class Replayed(msgspec.Struct, kw_only=True):
    """What a replay found: the last verdict, every decision, and what was read."""

    service: str
    canary: str
    baseline: str
    outcome: Outcome
    action: Action
    verdict: Verdict | None
    decisions: list[Decision]
    records: int
    looks: int
    set_aside: dict[str, int]
    """Records that could not be used, by reason."""
    first_set_aside: dict[str, str]
    """Where the first of them is, ``file:line``, by reason."""


def replay(
    paths: Iterable[Path],
    policy: Policy,
    *,
    service: str = "",
    canary: str = "",
    baseline: str = "",
    flag: str = "",
    progress: Progress = lambda _: None,
    pace: Pace = lambda _: None,
    tell: Tell = lambda _: None,
) -> Replayed:
    """Judge what the files hold.

    Args:
        paths: files, in any order; ticks are judged in order of event time.
        policy: of the service.
        service: which service; may be left out where the files hold only one.
        canary: release under test; by default the release that appears last.
        baseline: release beside it; by default the busiest other one.
        flag: a feature flag; canary and baseline are then two of its variants.
        progress: told how many records were read so far.
        pace: called with the event time of each tick before it is judged; may wait.
        tell: told every verdict and decision as it comes.

    Raises:
        ConfigError: a file cannot be read, or the service cannot be told.
    """
    paths = list(paths)
    _check(paths)
    policies = Policies({"*": policy})
    set_aside = SetAside()
    by_service: dict[str, Ticks] = defaultdict(lambda: defaultdict(list))
    records = 0
    with _cells_are_no_garbage():
        for path in paths:
            for kind, batch in batches_of(path, set_aside):
                for name, cells in _cells(kind, batch, policies).items():
                    of_service = by_service[name]
                    for cell in cells if name == (service or name) else ():
                        of_service[cell.tick].append(cell)
                records += batch.num_rows
                progress(records)
    chosen = _chosen_service(by_service, service, policy)
    ticks = by_service[chosen]
    canary = canary or _latest(ticks, flag)
    state = ServiceState(service=chosen)
    verdict, looks, decisions = None, 0, []
    for output in _judge(
        state, ticks, policy, canary=canary, baseline=baseline, flag=flag, pace=pace
    ):
        tell(output)
        if isinstance(output, Verdict):
            verdict, looks = output, looks + 1
        elif isinstance(output, Decision):
            decisions.append(output)
    return Replayed(
        service=chosen,
        canary=canary,
        baseline=state.rollout.baseline if state.rollout else baseline,
        outcome=verdict.outcome if verdict else Outcome.NO_DATA,
        action=verdict.action if verdict else Action.CONTINUE,
        verdict=verdict,
        decisions=decisions,
        records=records,
        looks=looks,
        set_aside=dict(set_aside.counts),
        first_set_aside=set_aside.first,
    )


def _cells(kind: RecordKind, batch: pa.RecordBatch, policies: Policies) -> dict[str, list[Cell]]:
    return cells_of_batch(kind, batch, policies, None, outcomes_of(kind, batch, policies))


@contextmanager
def _cells_are_no_garbage() -> Iterator[None]:
    """Else the collector walks all cells again and again: three quarters of the time of a day."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _check(paths: list[Path]) -> None:
    """What is wrong with the names is said before hours of reading."""
    for number, path in enumerate(paths):
        if not path.exists():
            raise ConfigError(str(path), "cannot be read: no such file")
        if path.resolve() in [other.resolve() for other in paths[:number]]:
            raise ConfigError(str(path), "is given twice, its records would count twice")


def _judge(
    state: ServiceState,
    ticks: Ticks,
    policy: Policy,
    *,
    canary: str,
    baseline: str,
    flag: str,
    pace: Pace,
) -> Iterator[Output]:
    """One partial per tick, in order of event time, then a heartbeat for the last ones."""
    order = sorted(ticks)
    begins = min((tick for tick in order if _has(ticks[tick], flag, canary)), default=0)
    for number, tick in enumerate(order):
        pace(tick)
        if tick == begins:
            yield from apply_command(
                state,
                RolloutCommand(
                    id=_SOURCE,
                    time=tick,
                    service=state.service,
                    action=RolloutCommandAction.START,
                    canary=canary,
                    baseline=baseline,
                    flag=flag,
                ),
                policy,
                processed_time=tick,
            )
        partial = Partial(
            service=state.service,
            source=Source(topic=_SOURCE, partition=0, offset=number),
            sent_at=tick + TICK_MS,
            cells=ticks.pop(tick),
        )
        yield from apply_partial(state, partial, policy, processed_time=tick + TICK_MS)
    if order:
        end = order[-1] + TICK_MS
        yield from apply_partial(
            state, Partial(service=state.service, sent_at=end), policy, processed_time=end
        )


def _name(cell: Cell, flag: str) -> str:
    """The cell's release, or its variant of a flag; empty where it has none."""
    if not flag:
        return cell.release
    name, _, variant = cell.arm.partition(":")
    return variant if name == flag else ""


def _has(cells: list[Cell], flag: str, name: str) -> bool:
    return any(_name(cell, flag) == name for cell in cells)


def _latest(ticks: Ticks, flag: str) -> str:
    """The arm whose first event is latest; of several, the one with the fewest events."""
    first: dict[str, int] = {}
    events: Counter[str] = Counter()
    for tick in sorted(ticks):
        for cell in ticks[tick]:
            if name := _name(cell, flag):
                first.setdefault(name, tick)
                events[name] += sum(cell.counts.values())
    return max(first, key=lambda name: (first[name], -events[name]), default="")


def _chosen_service(by_service: dict[str, Ticks], service: str, policy: Policy) -> str:
    names = sorted(by_service)
    if service:
        if names and service not in names:
            raise ConfigError("--service", f"the files hold {', '.join(names)}", value=service)
        return service
    if policy.service in names:
        return policy.service
    if len(names) > 1:
        raise ConfigError("--service", f"the files hold several: {', '.join(names)}")
    return names[0] if names else "unknown"
