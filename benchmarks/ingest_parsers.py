"""Lines a second that the agent's parts handle, one process: parse, encode, and the whole way.

    python benchmarks/ingest_parsers.py [--lines 200000] [--rounds 3] [--json FILE]

With ``--access FILE`` (plain or .gz) and ``--traces cases.json`` real data are measured too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from contracts.arrow import encode
from contracts.clock import SystemClock
from ingest.agent import Agent
from ingest.checkpoint import Checkpoint
from ingest.multiline import Joiner, JoinRules
from ingest.parsers.base import Labels
from ingest.parsers.factory import parser_for
from ingest.redaction_rules import NAMES
from ingest.settings import AgentConfig, FileSource, Format, RedactionSettings, SourceKind
from ingest.spool import Spool

_LABELS = Labels(service="shop", release="1.2", host="h1")
_BATCH = 1000
_BASE_MS = 1_795_428_000_000


def json_lines(n: int) -> list[bytes]:
    """Access log lines as a JSON logger writes them, about 200 bytes each."""
    return [
        json.dumps(
            {
                "ts": f"2026-11-23T10:{i // 6000 % 60:02}:{i // 100 % 60:02}.{i % 1000:03}Z",
                "method": "GET",
                "path": f"/cart/{i % 30}",
                "status": 500 if i % 97 == 0 else 200,
                "bytes": i % 5000,
                "took_ms": 3.5 + i % 200,
                "user": f"user-{i % 5000}",
                "request_id": f"{i:032x}",
            }
        ).encode()
        for i in range(n)
    ]


def combined_lines(n: int) -> list[bytes]:
    """Access log lines in combined format."""
    return [
        f"10.0.{i % 250}.7 - - [23/Nov/2026:10:{i // 6000 % 60:02}:{i // 100 % 60:02} +0000] "
        f'"GET /cart/{i % 30}?id={i} HTTP/1.1" {500 if i % 97 == 0 else 200} {i % 5000} '
        f'"http://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"'.encode()
        for i in range(n)
    ]


SOURCES = {
    "json": FileSource(
        paths=["x"],
        fields={"ts": "time", "path": "route", "bytes": "size_bytes", "took_ms": "duration_ms",
                "request_id": "trace"},
    ),
    "combined": FileSource(paths=["x"], format=Format.COMBINED),
    "regex": FileSource(
        paths=["x"],
        kind=SourceKind.LOGS,
        format=Format.REGEX,
        pattern=r"\S+ \S+ \S+ \[(?P<time>[^\]]+)\] (?P<message>.*)",
    ),
    "plain": FileSource(paths=["x"], kind=SourceKind.LOGS, format=Format.PLAIN),
}  # fmt: skip


def rate(n: int, rounds: int, work: Callable[[], object]) -> float:
    """Median lines a second of some rounds."""
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        rates.append(n / (time.process_time() - began))
    return statistics.median(rates)


def measure(name: str, lines: list[bytes], rounds: int) -> dict[str, float]:
    """Rates of parsing alone and of parsing with Arrow encoding."""
    source = SOURCES[name]
    parser = parser_for(source)
    batches = [lines[i : i + _BATCH] for i in range(0, len(lines), _BATCH)]

    def parse() -> None:
        for batch in batches:
            assert not parser.parse(batch, _LABELS, _BASE_MS).rejected

    def parse_and_encode() -> None:
        for batch in batches:
            encode(parser.parse(batch, _LABELS, _BASE_MS).rows.batch())

    return {
        "parse": rate(len(lines), rounds, parse),
        "parse+arrow": rate(len(lines), rounds, parse_and_encode),
    }


def whole_way(name: str, lines: list[bytes], redaction: RedactionSettings) -> float:
    """Lines a CPU second from file to spool: read, split, parse, redact, encode, fsync."""
    source = SOURCES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        path.write_bytes(b"\n".join(lines) + b"\n")
        clock = SystemClock()
        config = AgentConfig(
            agent="bench",
            redaction=redaction,
            files=[FileSource(
                paths=[str(path)], format=source.format, kind=source.kind, fields=source.fields,
                pattern=source.pattern, service="shop", release="1",
            )],
        )  # fmt: skip
        agent = Agent(
            config,
            host="h",
            spool=Spool(Path(folder) / "spool", 1 << 40),
            checkpoint=Checkpoint(Path(folder) / "checkpoint.json", clock),
            sampler=None,
            clock=clock,
        )
        began = time.process_time()
        while agent.step():
            pass
        agent.finish()
        return agent.counters.lines / (time.process_time() - began)


def both_ways(name: str, lines: list[bytes], rounds: int) -> dict[str, float]:
    """Medians of the whole way without and with redaction, in turns."""
    settings = {"unredacted": RedactionSettings(without=NAMES), "file→spool": RedactionSettings()}
    rates: dict[str, list[float]] = {column: [] for column in settings}
    for _ in range(rounds):
        for column, redaction in settings.items():
            rates[column].append(whole_way(name, lines, redaction))
    return {column: statistics.median(found) for column, found in rates.items()}


def joined_share(cases: Path) -> str:
    """How many of the traces in a file of cases become exactly one record."""
    right = 0
    found = json.loads(cases.read_text(encoding="utf-8"))["cases"]
    for case in found:
        text = case["text"].strip("\n").encode()
        lines = [*text.split(b"\n"), b"An ordinary line.", b"Another one."]
        joiner = Joiner(JoinRules())
        records = [*joiner.feed(lines, list(range(len(lines)))), *joiner.flush()]
        right += len(records) == 3 and records[0].line.strip() == text.strip()
    return f"{right} of {len(found)}"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lines", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    options.add_argument("--access", type=Path)
    options.add_argument("--traces", type=Path)
    given = options.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, CPU time of one process")
    columns = ("parse", "parse+arrow", "unredacted", "file→spool")
    print(f"{'format':10} {'bytes/line':>10} " + " ".join(f"{c:>12}" for c in columns))
    made = {"json": json_lines(given.lines), "combined": combined_lines(given.lines)}
    made |= {"regex": made["combined"], "plain": made["combined"]}
    made["secrets"] = [b"mail to alice@example.com, password=x " + line for line in made["plain"]]
    SOURCES["secrets"] = SOURCES["plain"]
    results: dict[str, dict[str, float]] = {}
    for name, lines in made.items():
        figures = measure(name, lines, given.rounds) | both_ways(name, lines, given.rounds)
        results[name] = figures
        size = sum(map(len, lines)) / len(lines)
        print(f"{name:10} {size:10.0f} " + " ".join(f"{v:12,.0f}" for v in figures.values()))
    if given.access:
        data = given.access.read_bytes()
        text = gzip.decompress(data) if given.access.suffix == ".gz" else data
        figures = measure("combined", text.splitlines() * 5, given.rounds)
        results["combined, real"] = figures
        print(f"{'real log':10} {'':10} " + " ".join(f"{v:12,.0f}" for v in figures.values()))
    if given.traces:
        print(f"traces joined: {joined_share(given.traces)}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
