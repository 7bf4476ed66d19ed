"""``calibrate`` and ``power`` as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coalmine.cli.calibrate import duration


def _coalmine(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coalmine", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_calibrate_prints_errors_and_delays_and_writes_a_plot(tmp_path: Path) -> None:
    """An empty policy: false rollbacks rare, large harms found, no time below its bound by half."""
    page = tmp_path / "plot.html"
    done = _coalmine("calibrate", "--runs", "200", "--json", "--html", str(page))
    assert done.returncode == 0, done.stderr
    rows = {row["ratio"]: row for row in json.loads(done.stdout)}
    assert rows[1.0]["rolled_back"] <= 0.03
    assert rows[1.0]["promoted"] > 0.9
    assert rows[1.5]["promoted"] <= 0.1
    assert rows[3.0]["rolled_back"] == 1.0
    assert rows[3.0]["bound_s"] / 2 < rows[3.0]["rollback_s"] < rows[2.0]["rollback_s"]
    assert "no test is faster" in page.read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_figures() -> None:
    """What is printed can be repeated."""
    one, other = (_coalmine("calibrate", "--runs", "20", "--json").stdout for _ in range(2))
    assert json.loads(one) == json.loads(other)


def test_power_tells_the_wald_bound() -> None:
    """A doubling at 5 %, one crash in a thousand: the figures of the evidence page, tolerance 0."""
    done = _coalmine("power", "--bad-rate", "0.001", "--json")
    found = json.loads(done.stdout)["rollback"]
    of_share = {row["ratio"]: row for row in found if row["share"] == 0.05}
    assert of_share[1.25]["seconds"] > of_share[2.0]["seconds"] > of_share[10.0]["seconds"] > 0
    assert of_share[2.0]["exposures"] == pytest.approx(100 * of_share[2.0]["seconds"])


@pytest.mark.parametrize("command", ["calibrate", "power"])
def test_a_policy_without_a_ratio_is_refused_in_one_sentence(command: str, tmp_path: Path) -> None:
    """There is nothing to simulate, and the reason is said."""
    path = tmp_path / "policy.yaml"
    path.write_text("metrics:\n  - {name: a, kind: distribution, value: request.duration_ms}\n")
    done = _coalmine(command, "--policy", str(path))
    assert done.returncode == 2
    assert "needs a critical ratio metric" in done.stderr
    assert "Traceback" not in done.stderr


def test_durations_are_for_people() -> None:
    """Seconds, minutes, hours, days; a dash for never."""
    assert [duration(s) for s in (None, 5.0, 300.0, 9_000.0, 900_000.0)] == [
        "–",
        "5.0 s",
        "5.0 min",
        "2.5 h",
        "10.4 d",
    ]
