"""Our crash groups against Sentry's own: pairwise precision, recall and F1, and speed.

An event's group at Sentry is its first hash among custom-fingerprint, app, system, default and
fallback. Speed is per CPU second on one core: crashes that differ in message, line numbers and
release as real ones do, and bursts of identical ones, which a worker groups once per message.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tarfile
import time
from pathlib import Path
from typing import Any

from contracts import arrow
from contracts.errors import InvalidRecord
from contracts.records import Crash, RecordKind
from contracts.sentry import crashes_of_event
from streams.crashes.group import group_of
from streams.crashes.sightings import groups_of_batch

_VARIANTS = ("custom-fingerprint", "app", "system", "default", "fallback")
_DISTINCT = 20_000
_BURST = 100_000
_BATCH = 5_000
_TRACES = {
    "python": "Traceback (most recent call last):\n{frames}KeyError: {n}\n",
    "java": "java.lang.IllegalStateException: order {n}\n{frames}",
    "javascript": "TypeError: order {n} is undefined\n{frames}",
    "go": "panic: order {n}\n\ngoroutine {n} [running]:\n{frames}",
}
_FRAMES = {
    "python": '  File "/srv/shop/{r}/shop/part{k}.py", line {line}, in call{k}\n    x()\n',
    "java": "\tat shop.part{k}.Service{k}.call(Service{k}.java:{line})\n",
    "javascript": "    at Part{k}.call{k} (https://shop.example/app.{r}.js:{line}:7)\n",
    "go": "shop/part{k}.Call{k}(0xc000{n:06x})\n\t/build/{r}/part{k}.go:{line} +0x1d\n",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the data is."""
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/sentry_2019"))
    parser.add_argument("--verbose", action="store_true", help="print the pairs that disagree")


def run(options: argparse.Namespace) -> int:
    """Print both tables; 1 if F1 with the newest of Sentry's algorithms is below 0.8."""
    ours = _our_groups(_events(options.data / "inputs.tar.xz"))
    hashes = json.loads((options.data / "expected_hashes.json").read_text())["hashes"]
    scores = [_compare(name, ours, theirs, options.verbose) for name, theirs in hashes.items()]
    _print_speed()
    return int(scores[0] < 0.8)


def main(argv: list[str]) -> int:
    """Run it with these arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    return run(parser.parse_args(argv))


def _events(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        members = [m for m in tar if "grouping_inputs/" in m.name and m.name.endswith(".json")]
        return {Path(m.name).stem: json.load(tar.extractfile(m)) for m in members}  # type: ignore[arg-type]  # files all


def _our_groups(events: dict[str, Any]) -> dict[str, str]:
    groups = {}
    for name, event in events.items():
        try:
            [crash] = crashes_of_event(event, now_ms=0)
            groups[name] = group_of(crash).fingerprint
        except InvalidRecord:
            groups[name] = f"refused: {name}"
    return groups


def _compare(name: str, ours: dict[str, str], theirs: dict[str, Any], is_verbose: bool) -> float:  # noqa: FBT001
    groups = {
        event: next((found[v] for v in _VARIANTS if found.get(v)), event)
        for event, found in theirs.items()
    }
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for one, two in itertools.combinations(sorted(groups), 2):
        pair = (ours[one] == ours[two], groups[one] == groups[two])
        counts[pair] += 1
        if is_verbose and pair[0] != pair[1]:
            print(f"  {'too coarse' if pair[0] else 'too fine':<10} {one} | {two}")
    both, coarse, fine = counts[True, True], counts[True, False], counts[False, True]
    f1 = 2 * both / (2 * both + coarse + fine)
    print(
        f"{name:<24} precision {both / (both + coarse):.3f} recall {both / (both + fine):.3f} "
        f"F1 {f1:.3f} (pairs: {both} agree, {coarse} too coarse, {fine} too fine)"
    )
    return f1


def _print_speed() -> None:
    for runtime in _TRACES:
        crashes = [_crash(runtime, number) for number in range(_DISTINCT)]
        started = time.process_time()
        groups = {group_of(crash).fingerprint for crash in crashes}
        rate = _DISTINCT / (time.process_time() - started)
        print(f"distinct {runtime:<12} {rate:>10,.0f} crashes/s of CPU, {len(groups)} groups")
    batch = arrow.batch_from_records(RecordKind.CRASHES, [_crash("python", 7)] * _BATCH)
    started = time.process_time()
    for _ in range(0, _BURST, _BATCH):
        groups_of_batch(batch)
    rate = _BURST / (time.process_time() - started)
    print(f"{'identical, by message':<21} {rate:>10,.0f} crashes/s of CPU")


def _crash(runtime: str, number: int) -> Crash:
    """One of 200 bugs with 20 frames; number, release and every hundredth line differ."""
    bug, release = number % 200, f"1.{number // 4_000}.0"
    frames = "".join(
        _FRAMES[runtime].format(
            k=(bug * 7 + i) % 300, line=10 + i + number % 5, r=release, n=number
        )
        for i in range(20)
    )
    text = _TRACES[runtime].format(frames=frames, n=number)
    return Crash(time=0, service="shop", release=release, runtime=runtime, stacktrace=text)
