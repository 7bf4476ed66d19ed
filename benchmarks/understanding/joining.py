"""Which traces become exactly one record, alone and interleaved, and what joining costs.

Every trace of a file of cases stands between ordinary lines; then two to four writers share one
file, each line behind its writer's prefix, traces and ordinary lines mixed at random (seeded).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.multiline import Joiner, JoinRules

Prefix = Callable[[str, random.Random], str]


class Case(NamedTuple):
    """One trace: its name and its lines."""

    name: str
    lines: list[bytes]


PREFIXES: dict[str, Prefix] = {
    "[pid 4711] ": lambda writer, _: f"[pid {writer}] ",
    "time pid [thread] level": lambda writer, chosen: (
        f"2026-11-25 10:{chosen.randrange(60):02}:{chosen.randrange(60):02}"
        f",{chosen.randrange(1000):03} 12345 [worker-{writer}] ERROR "
    ),
    "app-1 | ": lambda writer, _: f"app-{writer}  | ",
    "(Thread-3) ": lambda writer, _: f"(Thread-{writer}) ",
    "syslog": lambda writer, chosen: f"Nov 25 10:00:{chosen.randrange(60):02} h1 app[{writer}]: ",
    "logcat": lambda writer, chosen: (
        f"11-25 10:00:{chosen.randrange(60):02}.{chosen.randrange(1000):03}"
        f"  {writer}  {writer} E AndroidRuntime: "
    ),
    "12345 ": lambda writer, chosen: f"10:00:{chosen.randrange(60):02} {writer} ",
}
ORDINARY = (
    "GET /cart/7 200 in 12 ms",
    "user u-19 logged in",
    "cache: 120 entries, 3 expired",
    "listening on 0.0.0.0:8080",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command line of this module."""
    cases = Path("../shared/data/multiline_exceptions/cases.json")
    parser.add_argument("cases", type=Path, nargs="?", default=cases)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=20, help="mixtures of each kind of prefix")
    parser.add_argument("--lines", type=int, default=200_000, help="ordinary lines for the speed")
    parser.add_argument("--show", action="store_true", help="name the traces that were cut")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 if every trace became one record."""
    cases = [
        Case(case["name"], case["text"].strip("\n").encode().split(b"\n"))
        for case in json.loads(options.cases.read_text(encoding="utf-8"))["cases"]
    ]
    cut = [case.name for case in cases if not is_whole_alone(case)]
    print(f"{'alone':26} {len(cases) - len(cut):5} of {len(cases)}")
    if options.show and cut:
        print("  cut:", ", ".join(cut))
    for name, prefix in PREFIXES.items():
        chosen = random.Random(options.seed)
        wrong: list[str] = []
        for _ in range(options.rounds):
            wrong += mixed(cases, prefix, chosen)
        total = options.rounds * len(cases)
        print(f"{name:26} {total - len(wrong):5} of {total}, seed {options.seed}")
        if options.show and wrong:
            print("  cut:", ", ".join(sorted(set(wrong))))
        cut += wrong
    print(f"ordinary lines, a CPU second: {speed(options.lines):,.0f}")
    return int(bool(cut))


def is_whole_alone(case: Case) -> bool:
    """Whether a trace between ordinary lines is one record."""
    around = [line.encode() for line in ORDINARY[:2]]
    return records([*around, *case.lines, *around]) == [*around, text_of(case), *around]


def mixed(cases: Sequence[Case], prefix: Prefix, chosen: random.Random) -> list[str]:
    """Names of the traces that were cut when all of them stood in one file, a few at a time."""
    waiting = chosen.sample(list(cases), len(cases))
    queues: list[Iterator[bytes]] = [iter(())] * chosen.randint(2, 4)
    lines: list[bytes] = []
    running = set(range(len(queues)))
    while running:
        at = chosen.choice(sorted(running))
        front = prefix(str(4711 + at), chosen).encode()
        line = next(queues[at], None)
        if line is not None:
            lines.append(front + line)
        elif waiting:
            queues[at] = iter(written(waiting.pop(), chosen))
        else:
            running.remove(at)
    made = records(lines)
    return [case.name for case in cases if not any(is_whole(case, record) for record in made)]


def is_whole(case: Case, record: bytes) -> bool:
    """Whether a record is a trace behind its prefix, and nothing else."""
    text = text_of(case)
    return record.endswith(text) and record.count(b"\n") == text.count(b"\n")


def written(case: Case, chosen: random.Random) -> list[bytes]:
    """A trace between ordinary lines."""
    ordinary = [line.encode() for line in ORDINARY]
    before = chosen.choices(ordinary, k=chosen.randint(1, 4))
    return [*before, *case.lines, *chosen.choices(ordinary, k=chosen.randint(1, 4))]


def records(lines: Sequence[bytes]) -> list[bytes]:
    """What the joiner makes of the lines of one file."""
    joiner = Joiner(JoinRules())
    ends = []
    at = 0
    for line in lines:
        at += len(line) + 1
        ends.append(at)
    return [joined.line for joined in [*joiner.feed(lines, ends), *joiner.flush()]]


def text_of(case: Case) -> bytes:
    """The trace as one text, without blank lines at its end."""
    return b"\n".join(case.lines).rstrip()


def speed(n: int) -> float:
    """Ordinary lines that are passed through in a second of CPU time."""
    lines = [
        f"2026-11-25 10:00:{i % 60:02},{i % 1000:03} 12345 [worker-{i % 8}] INFO "
        f"cart.{i % 30}: {ORDINARY[i % 4]} request={i:08x}".encode()
        for i in range(n)
    ]
    ends = list(range(100, 100 * n + 100, 100))
    joiner = Joiner(JoinRules())
    began = time.process_time()
    for at in range(0, n, 2_500):
        joiner.feed(lines[at : at + 2_500], ends[at : at + 2_500])
    return n / (time.process_time() - began)
