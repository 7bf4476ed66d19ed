"""Recorded events through the same windows and the same judge, in event time, with no server.

To try a policy on last month's data. Reads JSON lines and Arrow (file or stream), plain or
compressed (the name's ending tells), of one or of several files whose events may interleave.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from contracts import arrow, foreign
from contracts.errors import ConfigError, InvalidRecord
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
from streams.judge.service import Output, ServiceState, apply_command, apply_partial
from streams.windows.aggregate import TICK_MS, cells_of_batch

_ARROW_ENDINGS = (".arrow", ".arrows", ".ipc", ".feather")
_LINES_AT_ONCE = 20_000
_SOURCE = "replay"

Progress = Callable[[int], None]
Pace = Callable[[int], None]
Tell = Callable[[Output], None]


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


def replay(
    paths: Iterable[Path],
    policy: Policy,
    *,
    service: str = "",
    canary: str = "",
    baseline: str = "",
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
        progress: told how many records were read so far.
        pace: called with the event time of each tick before it is judged; may wait.
        tell: told every verdict and decision as it comes.

    Raises:
        ConfigError: a file cannot be read, or the service cannot be told.
    """
    is_stratified = Policies({"*": policy}).is_stratified
    set_aside: Counter[str] = Counter()
    by_service: dict[str, dict[int, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    records = 0
    for path in paths:
        for kind, batch in _batches(path, set_aside):
            for name, cells in cells_of_batch(kind, batch, is_stratified).items():
                for cell in cells:
                    by_service[name][cell.tick].append(cell)
            records += batch.num_rows
            progress(records)
    chosen = _chosen_service(by_service, service)
    ticks = by_service[chosen]
    canary = canary or _latest_release(ticks)
    state = ServiceState(service=chosen)
    outputs = []
    for output in _judge(state, ticks, policy, canary=canary, baseline=baseline, pace=pace):
        tell(output)
        outputs.append(output)
    verdicts = [o for o in outputs if isinstance(o, Verdict)]
    return Replayed(
        service=chosen,
        canary=canary,
        baseline=state.rollout.baseline if state.rollout else baseline,
        outcome=verdicts[-1].outcome if verdicts else Outcome.NO_DATA,
        action=verdicts[-1].action if verdicts else Action.CONTINUE,
        verdict=verdicts[-1] if verdicts else None,
        decisions=[o for o in outputs if isinstance(o, Decision)],
        records=records,
        looks=len(verdicts),
        set_aside=dict(set_aside),
    )


def _judge(
    state: ServiceState,
    ticks: dict[int, list[Cell]],
    policy: Policy,
    *,
    canary: str,
    baseline: str,
    pace: Pace,
) -> Iterator[Output]:
    """One partial per tick, in order of event time, then a heartbeat for the last ones."""
    order = sorted(ticks)
    begins = min((tick for tick in order if _has(ticks[tick], canary)), default=0)
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
                ),
                policy,
                processed_time=tick,
            )
        partial = Partial(
            service=state.service,
            agent=_SOURCE,
            source=Source(topic=_SOURCE, partition=0, offset=number),
            sent_at=tick + TICK_MS,
            cells=ticks[tick],
        )
        yield from apply_partial(state, partial, policy, processed_time=tick + TICK_MS)
    if order:
        end = order[-1] + TICK_MS
        yield from apply_partial(
            state, Partial(service=state.service, sent_at=end), policy, processed_time=end
        )


def _has(cells: list[Cell], release: str) -> bool:
    return any(cell.release == release for cell in cells)


def _latest_release(ticks: dict[int, list[Cell]]) -> str:
    """The release whose first event is latest; of several, the one with the fewest events."""
    first: dict[str, int] = {}
    events: Counter[str] = Counter()
    for tick in sorted(ticks):
        for cell in ticks[tick]:
            first.setdefault(cell.release, tick)
            events[cell.release] += sum(cell.counts.values())
    return max(first, key=lambda name: (first[name], -events[name]), default="")


def _chosen_service(by_service: dict[str, Any], service: str) -> str:
    names = sorted(by_service)
    if service:
        if names and service not in names:
            raise ConfigError("--service", f"the files hold {', '.join(names)}", value=service)
        return service
    if len(names) > 1:
        raise ConfigError("--service", f"the files hold several: {', '.join(names)}")
    return names[0] if names else "unknown"


# --- reading -----------------------------------------------------------------------------------


def _batches(path: Path, set_aside: Counter[str]) -> Iterator[tuple[RecordKind, pa.RecordBatch]]:
    try:
        if any(suffix in _ARROW_ENDINGS for suffix in path.suffixes[-2:]):
            yield from _arrow_batches(path)
        else:
            yield from _json_batches(path, set_aside)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(str(path), f"cannot be read: {error}") from error


def _arrow_batches(path: Path) -> Iterator[tuple[RecordKind, pa.RecordBatch]]:
    """Batches of a stream (any compression) or of a file."""
    with pa.input_stream(str(path)) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            reader = None
        if reader is not None:
            for batch in reader:
                yield _kind_of(path, batch.schema), batch
            return
    with pa.ipc.open_file(str(path)) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield _kind_of(path, batch.schema), batch


def _kind_of(path: Path, schema: pa.Schema) -> RecordKind:
    for kind, known in arrow.schemas.items():
        if schema.equals(known):
            return kind
    raise ConfigError(str(path), "its columns are those of no telemetry record")


def _json_batches(
    path: Path, set_aside: Counter[str]
) -> Iterator[tuple[RecordKind, pa.RecordBatch]]:
    waiting: dict[RecordKind, list[arrow.Record]] = defaultdict(list)
    with pa.input_stream(str(path)) as source:
        for line in _lines(source):
            try:
                kind, record = _record(line)
            except InvalidRecord as error:
                set_aside[error.reason] += 1
                continue
            waiting[kind].append(record)
            if len(waiting[kind]) >= _LINES_AT_ONCE:
                yield kind, arrow.batch_from_records(kind, waiting.pop(kind))
    for kind, records in waiting.items():
        yield kind, arrow.batch_from_records(kind, records)


def _record(line: bytes) -> tuple[RecordKind, arrow.Record]:
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRecord("not json", str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidRecord("not a json object", type(fields).__name__)
    is_crash = "exception" in fields or any(name.startswith("exception.") for name in fields)
    kind = RecordKind.CRASHES if is_crash else RecordKind.EVENTS
    return kind, foreign.record_from_fields(kind, fields)


def _lines(source: pa.NativeFile) -> Iterator[bytes]:
    rest = b""
    while block := source.read(1 << 20):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from filter(bytes.strip, lines)
    if rest.strip():
        yield rest
