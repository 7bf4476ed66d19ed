"""Kayenta's own test cases of its judge, judged by the distribution test: same verdict or not.

    python benchmarks/kayenta_cases.py ../shared/data/kayenta/classifier_cases.json

A case is one value a minute of both arms, and Kayenta's verdict at their end. Here the values come
in windows of five minutes; High or Low is the evidence that the canary is above or below by more
than the tolerance, each side at half of 1 − confidence where both sides count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent.parent)]

from contracts.histogram import bins_of  # noqa: E402 - the path comes first
from contracts.results import SparseHistogram  # noqa: E402 - the path comes first
from streams.judge import distribution  # noqa: E402 - the path comes first

WINDOW, LARGE = 5, 30
Case = dict[str, Any]


def main(path: Path) -> None:
    """Print a row for each case whose verdict differs, then the shares."""
    cases = [c for c in json.loads(path.read_text())["cases"] if "classification" in c["expected"]]
    same: dict[bool, list[bool]] = {True: [], False: []}
    print("| case | n | Kayenta | Coalmine | why |\n|---|---|---|---|---|")
    for case in cases:
        ours, theirs = verdict(case), case["expected"]["classification"]
        size = min(case["n_control"], case["n_experiment"])
        same[size >= LARGE].append(ours == theirs)
        if ours != theirs:
            print(f"| {case['name']} | {size} | {theirs} | {ours} | {why(case, size)} |")
    for is_large, name in ((True, f"n ≥ {LARGE}"), (False, f"n < {LARGE}")):
        print(f"\n{name}: {sum(same[is_large])} of {len(same[is_large])} the same")


def verdict(case: Case) -> str:
    """High, Low, Pass (not shown to be either), or Nodata."""
    if not case["control"] or not case["experiment"]:
        return "Nodata"
    tests = {
        "High": (case["experiment"], case["control"], ("Increase", "Either")),
        "Low": (case["control"], case["experiment"], ("Decrease", "Either")),
    }
    error = 1 - case["classifier_params"].get("confLevel", 0.95)
    sides = 2 if case["direction"] == "Either" else 1
    for name, (suspect, reference, directions) in tests.items():
        if case["direction"] in directions:
            found = log_evidence(suspect, reference, case["classifier_params"])
            if found >= -np.log(error / sides):
                return name
    return "Pass"


def log_evidence(suspect: list[float], reference: list[float], params: dict[str, Any]) -> float:
    """Largest log evidence at any window that the suspect's values are higher."""
    tolerance = params.get("tolerance", 0.1)
    state = distribution.new(tolerance=tolerance, harm=tolerance + 0.5)
    highest = 0.0
    for start in range(0, min(len(suspect), len(reference)), WINDOW):
        one, other = (_histogram(v[start : start + WINDOW]) for v in (suspect, reference))
        state = distribution.add(state, one, other)
        highest = max(highest, distribution.look(state, alpha=0.05).log_evidence)
    return highest


def why(case: Case, size: int) -> str:
    """The reason for a difference."""
    if not size:
        return "missing values are taken for zeros there; here no data is no verdict"
    if size < LARGE:
        return "not yet: the first ten values of each arm only teach the weights"
    tolerance = case["classifier_params"].get("tolerance", 0.1)
    one, other = sorted((np.median(case["control"]), np.median(case["experiment"])))
    if other and one / other > 1 / (1 + tolerance):
        return f"medians {other / one - 1:.0%} apart, within the tolerance of {tolerance:.0%}"
    if "effectSizeThresholds" in case["classifier_params"]:
        return "a threshold on the size of the effect, which is another question"
    return "evidence not reached"


def _histogram(values: list[float]) -> SparseHistogram:
    bins, counts = np.unique(bins_of(np.asarray(values, np.float64)), return_counts=True)
    return SparseHistogram(bins.tolist(), counts.tolist())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
