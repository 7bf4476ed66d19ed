"""``coalmine replay`` over recorded events, beside a pandas group-by of the same file.

    python benchmarks/replay.py --events 10000000 --runs 3

Writes the events to a temporary directory, replays each form of them in processes of their own on
one core, and prints a table. Two releases, ten hosts, one of them the canary; in the last tenth of
the time it fails four times as often, so that the judge looks at every second but those at the end.
The pandas side counts events, bad ones, the mean duration and distinct sessions by second, release
and host; it judges nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import typer

sys.path[:0] = [str(Path(__file__).parent.parent)]

from contracts import arrow  # noqa: E402 - the path comes first
from contracts.records import RecordKind  # noqa: E402 - the path comes first

BATCH = 100_000
AGENT_BATCH = 1_000
EVENTS_OF_SESSION = 10
START_MS = 1_700_000_000_000
_COMMAND = [sys.executable, "-m", "coalmine", "replay"]
_SCHEMA = arrow.schemas[RecordKind.EVENTS]
_PANDAS = """
import sys
import pyarrow as pa
with pa.memory_map(sys.argv[1]) as source:
    frame = pa.ipc.open_stream(source).read_pandas()
frame["second"] = frame["time"].dt.floor("s")
frame["bad"] = ~frame["ok"]
wanted = {"bad": ["size", "sum"], "duration_ms": "mean"}
if frame["session"].notna().any():
    wanted["session"] = "nunique"
print(frame.groupby(["second", "release", "host"], observed=True).agg(wanted).shape)
"""


class Run(NamedTuple):
    """One process: what it printed, its seconds of wall clock and of CPU, its largest memory."""

    output: bytes
    seconds: float
    cpu_s: float
    memory_mb: float


def batches(events: int, lasts_s: float, *, has_sessions: bool) -> Iterator[pa.RecordBatch]:
    """The events in order of time, a session's close together."""
    rng = np.random.default_rng(1)
    for start in range(0, events, BATCH):
        n = min(BATCH, events - start)
        rows = np.arange(start, start + n)
        times = START_MS + (rows * (lasts_s * 1000 / events)).astype(np.int64)
        hosts = rng.integers(0, 10, n).astype(np.int32)
        is_canary = hosts == 0
        is_late = times > START_MS + lasts_s * 900
        ok = rng.random(n) >= np.where(is_canary & is_late, 0.04, 0.01)
        sessions = (rows // 1000 * 1000 + rng.integers(0, 2000, n)) // EVENTS_OF_SESSION
        columns = {
            "time": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "service": _coded(np.zeros(n, np.int32), ["checkout"]),
            "release": _coded(is_canary.astype(np.int32), ["1.4.2", "1.5.0"]),
            "host": _coded(hosts, [f"shop-{i}" for i in range(10)]),
            "name": _coded(np.zeros(n, np.int32), ["request"]),
            "route": _coded(rng.integers(0, 5, n).astype(np.int32), ["/", "/a", "/b", "/c", "/d"]),
            "status": pa.array(np.where(ok, 200, 500).astype(np.int16)),
            "ok": pa.array(ok),
            "size_bytes": pa.array(rng.integers(100, 5_000, n)),
            "duration_ms": pa.array(rng.lognormal(4, 0.6, n).astype(np.float32)),
        }
        if has_sessions:
            columns["session"] = pa.array([f"{id_ * 2654435761:016x}" for id_ in sessions.tolist()])
        missing = [columns.get(f.name, pa.nulls(n, f.type)) for f in _SCHEMA]
        yield pa.RecordBatch.from_arrays(missing, schema=_SCHEMA)


def _coded(codes: np.ndarray, values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))


def write_arrow(path: Path, made: Iterator[pa.RecordBatch], rows_at_once: int = BATCH) -> Path:
    """One stream of batches of so many rows; compressed where the name ends in ``.zst``."""
    with (
        pa.output_stream(str(path)) as sink,
        pa.ipc.new_stream(sink, _SCHEMA) as writer,
    ):
        for batch in made:
            writer.write_table(pa.Table.from_batches([batch]), max_chunksize=rows_at_once)
    return path


def write_json(path: Path, made: Iterator[pa.RecordBatch]) -> Path:
    """One object per line, as a service logs it; compressed where the name ends in ``.gz``."""
    encoder = msgspec.json.Encoder()
    with pa.output_stream(str(path)) as sink:
        for batch in made:
            for event in arrow.records_from_batch(RecordKind.EVENTS, batch):
                fields = msgspec.to_builtins(event)
                known = {k: v for k, v in fields.items() if v not in (None, "") and k != "ok"}
                sink.write(encoder.encode(known) + b"\n")
    return path


def run(command: list[str]) -> Run:
    """Run one process to its end on the last core."""
    core = str(max(os.sched_getaffinity(0)))
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=output)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 1, 4}:  # a verdict
            sys.exit(f"{command} ended with {process.returncode}")
        output.seek(0)
        cpu_s = used.ru_utime + used.ru_stime
        return Run(output.read(), seconds, cpu_s, used.ru_maxrss / 1024)


def _replay(path: Path) -> list[str]:
    """A replay that is not over early: nothing crashes, and that shall not promote the release."""
    policy = path.parent / "policy.yaml"
    policy.write_text("negligible_rate: 0\n")
    return [*_COMMAND, str(path), "--policy", str(policy), "--json"]


def _pandas(path: Path) -> list[str]:
    return [sys.executable, "-c", _PANDAS, str(path)]


def main(
    *,
    events: Annotated[int, typer.Option(help="In the Arrow files.")] = 10_000_000,
    lines: Annotated[int, typer.Option(help="In the JSON files.")] = 1_000_000,
    hours: Annotated[float, typer.Option(help="How long they last.")] = 1.0,
    runs: Annotated[int, typer.Option(help="The fastest counts.")] = 3,
) -> None:
    """Print seconds, events per second and peak memory of both sides."""
    with tempfile.TemporaryDirectory(prefix="coalmine-replay-") as name:
        folder = Path(name)

        def made(n: int, *, has_sessions: bool = False) -> Iterator[pa.RecordBatch]:
            return batches(n, hours * 3600, has_sessions=has_sessions)

        plain = write_arrow(folder / "a.arrows", made(events))
        small = write_arrow(folder / "b.arrows", made(events), AGENT_BATCH)
        packed = write_arrow(folder / "a.arrows.zst", made(events))
        sessions = write_arrow(folder / "s.arrows", made(events, has_sessions=True))
        sides = [
            ("Arrow", events, plain, _replay(plain)),
            ("Arrow, batches of 1,000", events, small, _replay(small)),
            ("Arrow, zstd", events, packed, _replay(packed)),
            ("Arrow with sessions", events, sessions, _replay(sessions)),
            ("pandas group-by", events, plain, _pandas(plain)),
            ("pandas group-by, sessions", events, sessions, _pandas(sessions)),
        ]
        for title, ending in (("JSON lines", ""), ("JSON lines, gzip", ".gz")):
            path = write_json(folder / f"j.jsonl{ending}", made(lines, has_sessions=True))
            sides.append((f"{title}, with sessions", lines, path, _replay(path)))
        print(f"{hours:g} h of events, one core, the fastest of {runs} runs\n")
        print("| side | events | MB | seconds | CPU s | events/s | peak MB |")
        print("|---|---|---|---|---|---|---|")
        for title, n, path, command in sides:
            best = min((run(command) for _ in range(runs)), key=lambda done: done.seconds)
            print(
                f"| {title} | {n:,} | {path.stat().st_size / 1e6:,.0f} | {best.seconds:.1f} "
                f"| {best.cpu_s:.1f} | {n / best.seconds:,.0f} | {best.memory_mb:.0f} |",
                flush=True,
            )
        found = json.loads(run(_replay(plain)).output)
        print(f"\n{found['outcome']}, {found['looks']:,} looks: {found['verdict']['reason']}")


if __name__ == "__main__":
    typer.run(main)
