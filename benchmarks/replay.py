"""``coalmine replay`` over recorded events, beside a pandas group-by of the same file.

    python benchmarks/replay.py --events 10000000

Writes the events to a temporary directory, replays them in a process of its own, and prints a
table. The last tenth of the time has a canary that fails four times as often.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import typer

sys.path[:0] = [str(Path(__file__).parent.parent)]

from contracts import arrow  # noqa: E402 - the path comes first
from contracts.records import RecordKind  # noqa: E402 - the path comes first

BATCH = 100_000
LASTS_S = 3_600
START_MS = 1_700_000_000_000
_PANDAS = """
import sys, time
import pyarrow as pa
started = time.perf_counter()
with pa.memory_map(sys.argv[1]) as source:
    frame = pa.ipc.open_stream(source).read_pandas()
frame["second"] = frame["time"].dt.floor("s")
frame["bad"] = ~frame["ok"]
by = ["second", "release", "host"]
frame.groupby(by, observed=True).agg({"bad": ["size", "sum"], "duration_ms": "mean"})
print(time.perf_counter() - started)
"""


def batches(events: int) -> Iterator[pa.RecordBatch]:
    """The events in order of time: two releases, ten hosts, five routes."""
    rng = np.random.default_rng(1)
    schema = arrow.schemas[RecordKind.EVENTS]
    for start in range(0, events, BATCH):
        n = min(BATCH, events - start)
        times = START_MS + (np.arange(start, start + n) * (LASTS_S * 1000 / events)).astype(int)
        hosts = rng.integers(0, 10, n)
        is_canary = hosts == 0
        is_late = times > START_MS + LASTS_S * 900
        rate = np.where(is_canary & is_late, 0.04, 0.01)
        ok = rng.random(n) >= rate
        columns = {
            "time": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "service": _coded(np.zeros(n, np.int32), ["checkout"]),
            "release": _coded(is_canary.astype(np.int32), ["1.4.2", "1.5.0"]),
            "host": _coded(hosts.astype(np.int32), [f"shop-{i}" for i in range(10)]),
            "name": _coded(np.zeros(n, np.int32), ["request"]),
            "route": _coded(rng.integers(0, 5, n).astype(np.int32), ["/", "/a", "/b", "/c", "/d"]),
            "status": pa.array(np.where(ok, 200, 500).astype(np.int16)),
            "ok": pa.array(ok),
            "size_bytes": pa.array(rng.integers(100, 5_000, n)),
            "duration_ms": pa.array(rng.lognormal(4, 0.6, n).astype(np.float32)),
        }
        missing = [columns.get(f.name, pa.nulls(n, f.type)) for f in schema]
        yield pa.RecordBatch.from_arrays(missing, schema=schema)


def _coded(codes: np.ndarray, values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))


def main(*, events: int = 10_000_000) -> None:
    """Print seconds, events per second and peak memory of both sides."""
    with tempfile.TemporaryDirectory(prefix="coalmine-replay-") as name:
        path = Path(name) / "events.arrow"
        schema = arrow.schemas[RecordKind.EVENTS]
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches(events):
                writer.write_batch(batch)
        size_mb = path.stat().st_size / 1e6
        print(f"{events:,} events, {size_mb:,.0f} MB of Arrow, one core\n")
        print("| side | seconds | events/s | peak memory |\n|---|---|---|---|")
        command = [sys.executable, "-m", "coalmine", "replay", str(path), "--json"]
        replayed, seconds, memory_mb = _run(command)
        print(f"| coalmine replay | {seconds:.1f} | {events / seconds:,.0f} | {memory_mb:.0f} MB |")
        found = json.loads(replayed)
        _, seconds, memory_mb = _run([sys.executable, "-c", _PANDAS, str(path)])
        print(f"| pandas group-by | {seconds:.1f} | {events / seconds:,.0f} | {memory_mb:.0f} MB |")
        print(f"\n{found['outcome']}, {found['looks']:,} looks: {found['verdict']['reason']}")


def _run(command: list[str]) -> tuple[str, float, float]:
    """Output, seconds and the largest memory of any child so far, on the first core."""
    started = time.perf_counter()
    done = subprocess.run(
        ["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return done.stdout, seconds, memory


if __name__ == "__main__":
    typer.run(main)
