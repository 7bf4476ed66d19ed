"""How well templates agree with labels that people gave, and how fast lines become templates.

Give folders with the labelled sets of logpai/loghub, ``<Set>_2k.log_structured.csv``: a line's
message stands in the column Content, its label in EventId. Grouping accuracy is the share of lines
whose template holds exactly the lines of their label. Every set gets the same configuration. drain3
stands beside where it is installed, with the same masks and without.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from streams.templates.masks import masked
from streams.templates.miner import Miner

Grouping = Callable[[Sequence[str]], Sequence[int]]
_LINES_AT_ONCE = 1 << 16


class Labelled(NamedTuple):
    """Messages with the labels of people, both of length n."""

    name: str
    messages: list[str]
    labels: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command line of this module."""
    parser.add_argument("folders", type=Path, nargs="*", help="with *_structured*.csv, searched")
    parser.add_argument("--lines", type=int, default=500_000, help="repetitive lines for the speed")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", action="store_true", help="labels that are split or mixed")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 where the mean accuracy is at least 0.90, or nothing was given."""
    print(f"seed {options.seed}")
    sets = [labelled for folder in options.folders for labelled in sets_in(folder)]
    sides = others()
    means = {name: _accuracies(name, group, sets, options) for name, group in sides.items()}
    for name, group in sides.items():
        lines = repetitive(options.lines, options.seed)
        print(f"{name:22} {speed(group, lines):12,.0f} lines per CPU second")
    return int(bool(sets) and means["coalmine"] < 0.9)


def others() -> dict[str, Grouping]:
    """Coalmine and whoever else is installed."""
    sides: dict[str, Grouping] = {"coalmine": coalmine}
    if find_spec("drain3"):
        sides["drain3"] = drain3
        sides["drain3 with our masks"] = lambda lines: drain3(
            masked(pa.array(lines, pa.string())).to_pylist()
        )
    else:
        print("drain3 is not installed: nothing to compare with")
    return sides


def sets_in(folder: Path) -> Iterator[Labelled]:
    """The labelled sets anywhere under a folder."""
    for path in sorted(folder.rglob("*_structured*.csv")):
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            rows = list(csv.DictReader(stream))
        messages, labels = ([row[column] for row in rows] for column in ("Content", "EventId"))
        yield Labelled(path.name.partition("_")[0], messages, labels)


def coalmine(lines: Sequence[str]) -> Sequence[int]:
    """Numbers of our templates, as ``coalmine templates`` finds them."""
    miner = Miner(10_000, is_forgetful=False)
    found: list[int] = []
    for start in range(0, len(lines), _LINES_AT_ONCE):
        found += miner.mine(lines[start : start + _LINES_AT_ONCE])
    ids = [template.id for template in miner.templates]
    numbers = {template_id: number for number, template_id in enumerate(dict.fromkeys(ids))}
    return [numbers[ids[number]] for number in found]


def drain3(lines: Sequence[str]) -> Sequence[int]:
    """Clusters of drain3 with its default settings."""
    from drain3 import TemplateMiner  # type: ignore[import-not-found]  # noqa: PLC0415 - optional
    from drain3.template_miner_config import (  # type: ignore[import-not-found]  # noqa: PLC0415
        TemplateMinerConfig,
    )

    miner = TemplateMiner(config=TemplateMinerConfig())
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def accuracy(found: Sequence[int], labels: Sequence[str]) -> float:
    """Share of lines whose group holds exactly the lines of their label.

    >>> accuracy([1, 1, 2, 2], ["a", "a", "b", "c"])
    0.5
    """
    pairs = Counter(zip(found, labels, strict=True))
    groups, of_label = Counter(found), Counter(labels)
    right = sum(n for (group, label), n in pairs.items() if groups[group] == n == of_label[label])
    return right / len(labels)


def _accuracies(
    name: str, group: Grouping, sets: Sequence[Labelled], options: argparse.Namespace
) -> float:
    if not sets:
        return 1.0
    total = 0.0
    for labelled in sets:
        found = group(labelled.messages)
        share = accuracy(found, labelled.labels)
        total += share
        print(f"{name:22} {labelled.name:14} {share:.3f}")
        if options.show:
            _show(found, labelled)
    print(f"{name:22} {'mean':14} {total / len(sets):.3f}")
    return total / len(sets)


def _show(found: Sequence[int], labelled: Labelled) -> None:
    examples: dict[tuple[str, int], str] = {}
    for group, label, message in zip(found, labelled.labels, labelled.messages, strict=True):
        examples.setdefault((label, group), message)
    labels = Counter(label for label, _ in examples)
    groups = Counter(group for _, group in examples)
    for (label, group), message in sorted(examples.items()):
        if labels[label] > 1 or groups[group] > 1:
            print(f"    {label:6} group {group:5} {message[:160]}")


def repetitive(lines: int, seed: int) -> list[str]:
    """Lines of a few programs, their values drawn at random."""
    chosen = random.Random(seed)
    kinds: tuple[Callable[[], str], ...] = (
        lambda: f"GET /cart/{chosen.randrange(9_999)} 200 in {chosen.randrange(400)} ms",
        lambda: f"user u-{chosen.randrange(999)} logged in from 10.0.0.{chosen.randrange(255)}",
        lambda: f"cache: {chosen.randrange(999)} entries, {chosen.randrange(99)} expired",
        lambda: f"order {chosen.getrandbits(64):016x} paid: total={chosen.random() * 99:.2f}",
        lambda: "heartbeat sent",
    )
    return [chosen.choice(kinds)() for _ in range(lines)]


def speed(group: Grouping, lines: Sequence[str]) -> float:
    """Lines per CPU second."""
    before = time.process_time()
    group(lines)
    return len(lines) / (time.process_time() - before)
