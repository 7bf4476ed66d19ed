"""``make bench-core``: the aggregate's core alone, Arrow messages in memory to encoded partials.

    python -m benchmarks.throughput.core --against ../other-tree

No broker and no Faust, and only CPU time counts, so that no quiet machine is needed. With another
tree of Coalmine, both take turns in one process, stretch by stretch, on the same messages, and what
they tell the judge is compared. *Best* adds up the best that each stretch ever took.
"""

from __future__ import annotations

import importlib
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from benchmarks.throughput import events as made
from benchmarks.throughput.command import say
from benchmarks.throughput.load import ROOT
from contracts import arrow
from contracts.records import Event, RecordKind
from contracts.results import decode_partial
from streams.windows.labels import is_of_events
from streams.windows.tally import Arm

_OURS = ("contracts", "health", "streams")
_PARTITIONS = 4
_HOSTLESS = 0.02

_Key = tuple[str, ...]


class Tree(NamedTuple):
    """The core of one tree of Coalmine; ``partials`` gives the encoded partials of a stretch."""

    name: str
    partials: Callable[[Sequence[Any]], list[bytes]]
    stretches: Callable[[Sequence[made.Batch]], list[Any]]


def main(
    *,
    against: Annotated[Path | None, typer.Option(help="Another tree of Coalmine.")] = None,
    events: Annotated[int, typer.Option(help="How many are counted in a pass.")] = 600_000,
    passes: Annotated[int, typer.Option(help="Of each tree.")] = 5,
    random_batches: Annotated[int, typer.Option(help="Compared besides, of odd events.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the events.")] = 6,
) -> None:
    """Print events per second of CPU of each tree, and whether their cells are equal."""
    roots = [ROOT, *([against.resolve()] if against else [])]
    trees = [_loaded(root) for root in roots]
    columns = made.generate(events, seed)
    say("| messages | tree | events per CPU s, best | median | cells | bytes an event |")
    say("|---|---|---:|---:|---:|---:|")
    same = True
    for form, make in (("one host", made.agent_batches), ("mixed", made.mixed_batches)):
        batches = list(make(columns))
        same &= _measured(form, trees, batches, events, passes)
    if against:
        same &= _equal(trees, list(_odd_batches(random_batches, seed)))
        print("both tell the same" if same else "what they tell DIFFERS")
    raise typer.Exit(not same)


def _measured(
    form: str, trees: list[Tree], batches: list[made.Batch], events: int, passes: int
) -> bool:
    stretches = [tree.stretches(batches) for tree in trees]
    _, said = _passed(trees, stretches)  # warms up
    seconds = zip(*[_passed(trees, stretches)[0] for _ in range(passes)], strict=True)
    for tree, passed, texts in zip(trees, seconds, said, strict=True):
        cells = sum(len(partial.cells) for partial in map(decode_partial, texts))
        size = sum(map(len, texts)) / events
        best = events / sum(map(min, zip(*passed, strict=True)))
        median = events / statistics.median(map(sum, passed))
        print(f"| {form} | {tree.name} | {best:,.0f} | {median:,.0f} | {cells:,} | {size:.1f} |")
    return _are_equal(said)


def _passed(
    trees: list[Tree], stretches: list[list[Any]]
) -> tuple[list[list[float]], list[list[bytes]]]:
    """For each tree, the CPU seconds of each of its stretches, and the partials of all of them."""
    seconds: list[list[float]] = [[] for _ in trees]
    said: list[list[bytes]] = [[] for _ in trees]
    turns = [*enumerate(trees)]
    for number in range(len(stretches[0])):
        for at, tree in turns:
            begin = time.process_time()
            texts = tree.partials(stretches[at][number])
            seconds[at].append(time.process_time() - begin)
            said[at] += texts
        turns.reverse()  # nobody is always the first to read what is not in the caches
    return seconds, said


def _equal(trees: list[Tree], batches: list[made.Batch]) -> bool:
    said = [
        [text for stretch in tree.stretches(batches) for text in tree.partials(stretch)]
        for tree in trees
    ]
    return _are_equal(said)


def _are_equal(said: list[list[bytes]]) -> bool:
    """Whether all trees tell the judge the same, in whatever cells."""
    first, *others = map(_told, said)
    return all(other == first for other in others)


def _told(texts: list[bytes]) -> tuple[dict[_Key, Arm], dict[_Key, int]]:
    """Arms, and the latest event that each agent told of."""
    arms: dict[_Key, Arm] = defaultdict(Arm)
    latest: dict[_Key, int] = defaultdict(int)
    for partial in map(decode_partial, texts):
        for cell in partial.cells:
            of = partial.service, cell.release, cell.arm
            arms[*of, str(cell.tick)].add_cell(cell)
            if cell.counts and not cell.is_of_all_hosts:
                latest[*of, cell.agent] = max(latest[*of, cell.agent], cell.last)
    for arm in arms.values():
        for host in arm.hosts.values():  # of these the comparison of hosts asks
            host.counts = {n: count for n, count in host.counts.items() if is_of_events(n)}
    return arms, latest


def _loaded(root: Path) -> Tree:
    """The core below ``root``, beside those that were loaded before."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    messages = importlib.import_module("streams.messages")
    policies = importlib.import_module("contracts.policy").Policies()
    aggregating = importlib.import_module("streams.aggregating")
    records = importlib.import_module("contracts.records")
    results = importlib.import_module("contracts.results")
    encode = getattr(results, "encode_partial", msgspec.json.encode)  # before there was one
    sys.path.pop(0)
    kind = records.RecordKind.EVENTS

    def count(stretch: Sequence[Any]) -> list[bytes]:
        found = messages.aggregate(kind, stretch, policies)
        return [encode(partial) for partial in found.partials]

    def stretches(batches: Sequence[made.Batch]) -> list[Any]:
        return [
            part
            for number in range(_PARTITIONS)
            for part in aggregating.in_parts(
                [messages.Message(*fields) for fields in _messages(batches, number)],
                aggregating.STRETCH_BYTES,
            )
        ]

    return Tree(root.name, count, stretches)


def _messages(batches: Sequence[made.Batch], partition: int) -> Iterator[tuple[Any, ...]]:
    """What a partition holds of these batches: all of some agents."""
    agents = sorted({batch.agent for batch in batches})
    chosen = [b for b in batches if agents.index(b.agent) % _PARTITIONS == partition]
    for offset, batch in enumerate(chosen):
        headers = {
            arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode(),
            arrow.AGENT_HEADER: batch.agent.encode(),
            arrow.SEQ_HEADER: b"%d" % batch.seq,
        }
        yield "coalmine.events", partition, offset, batch.time, headers, batch.payload


def _odd_batches(count: int, seed: int) -> Iterator[made.Batch]:
    """Batches of few and of many events with everything that one may hold."""
    chosen = random.Random(seed)
    for seq in range(count):
        size = chosen.choice([1, 7, 60, 2000])
        odd = [_odd_event(chosen) for _ in range(size)]
        payload = arrow.encode(arrow.batch_from_records(RecordKind.EVENTS, odd))
        yield made.Batch(f"agent-{chosen.randrange(9)}", seq, made.START_MS + 5000, payload)


def _odd_event(chosen: random.Random) -> Event:
    return Event(
        time=made.START_MS + chosen.randrange(-3000, 3000),
        service=chosen.choice(["s", "t", ""]),
        release=chosen.choice(["1", "2", ""]),
        host="" if chosen.random() < _HOSTLESS else f"host-{chosen.randrange(40)}",
        arm=chosen.choice(["", "canary"]),
        name=chosen.choice(["request", "click", "unknown", ""]),
        route=chosen.choice(["/a", "/b", ""]),
        status=chosen.choice([None, 0, 1, 99, 200, 404, 503, 599, 600, -3]),
        ok=chosen.random() < 0.8,
        size_bytes=chosen.choice([0, 0, 10**9]),
        duration_ms=chosen.choice([None, float("nan"), 0.0, *[chosen.expovariate(0.01)] * 5]),
        user=chosen.choice([None, "", "u", "a user whose name is longer than two words"]),
        session=chosen.choice([None, f"s-{chosen.randrange(40)}", f"session-{chosen.random()}"]),
    )


if __name__ == "__main__":
    typer.run(main)
