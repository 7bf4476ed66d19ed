"""Several writers in one file: their traces are whole, and a crash loses and repeats nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from contracts.records import Crash, LogLine, RecordKind
from ingest.multiline import Joiner, JoinRules
from tests.support.agent_rig import Rig
from tests.unit.ingest.test_multiline import TRACES

PLAIN = {"kind": "logs", "format": "plain", "crashes": True}


def mixed(traces: list[str], chosen: random.Random) -> list[str]:
    """Numbered ordinary lines and traces of four writers at random, each behind its prefix."""
    queues: dict[int, list[str]] = {}
    lines = []
    for number, trace in enumerate(traces):
        ordinary = [f"ordinary {number}.{i}" for i in range(chosen.randint(1, 4))]
        queues.setdefault(chosen.randrange(4), []).extend([*ordinary, *trace.split("\n")])
    while queues:
        pid = chosen.choice(sorted(queues))
        lines.append(f"[pid {pid}] {queues[pid].pop(0)}")
        if not queues[pid]:
            del queues[pid]
    return lines


@pytest.mark.parametrize("runtime", TRACES)
def test_a_trace_among_others_is_one_record(runtime: str) -> None:
    """Each trace behind a prefix on every line is one record, the prefix stands once."""
    chosen = random.Random(7)
    lines = [line.encode() for line in mixed([TRACES[runtime]] * 6, chosen)]
    joiner = Joiner(JoinRules())
    found = [*joiner.feed(lines, list(range(1, len(lines) + 1))), *joiner.flush()]
    texts = [joined.line.partition(b"] ")[2] for joined in found]

    assert texts.count(TRACES[runtime].encode()) == 6


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_among_interleaved_records(tmp_path: Path, seed: int) -> None:
    """Killed at any step, acknowledged or not, the agent gives every record once and whole."""
    chosen = random.Random(seed)
    traces = chosen.choices(list(TRACES.values()), k=12)
    lines = mixed(traces, chosen)
    log = tmp_path / "a.log"
    log.touch()
    rig = Rig(tmp_path, PLAIN, batch={"max_records": chosen.randint(1, 5), "max_age": 0.1})
    while lines:
        count = chosen.randint(1, 15)
        with log.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines[:count])
        del lines[:count]
        rig.clock.advance(0.25)
        rig.agent.step()
        if chosen.random() < 0.5:
            rig.acknowledge()
        if chosen.random() < 0.4:
            rig.crash()
    rig.run(8)

    logged = [r for r in rig.records(RecordKind.LOGS) if isinstance(r, LogLine)]
    texts = [record.message.partition("] ")[2] for record in logged]
    ordinary = [text for text in texts if text.startswith("ordinary")]
    assert sorted(text for text in texts if "\n" in text) == sorted(traces)
    assert len(ordinary) == len(set(ordinary))
    assert len(texts) == len(traces) + len(ordinary)
    assert len([r for r in rig.records(RecordKind.CRASHES) if isinstance(r, Crash)]) == 12
