"""``calibrate`` and ``power`` as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from coalmine.cli.calibrate import duration
from coalmine.cli.calibration_plot import figure
from contracts.policy import Policy
from streams.judge.calibration import Assumed, calibrate, look_ends

POLICY = """\
service: checkout
metrics:
  - {name: crash_rate, bad: crash}
  - {name: latency, kind: distribution, value: request.duration_ms}
"""
CLICKS = "metrics:\n  - {name: clicks, bad: click, direction: decrease}\n"
FAST = ("--runs", "100", "--minutes", "5")


def _written(path: Path, text: str) -> str:
    """Name of a policy file with this text."""
    path.write_text(text, encoding="utf-8")
    return str(path)


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
    rows = {row["ratio"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows[1.0]["rolled_back"] <= 0.03
    assert rows[1.0]["promoted"] > 0.9
    assert rows[1.5]["promoted"] <= 0.1
    assert rows[3.0]["rolled_back"] == 1.0
    assert rows[3.0]["bound_s"] / 2 < rows[3.0]["rollback_s"] < rows[2.0]["rollback_s"]
    text = page.read_text(encoding="utf-8")
    assert "no test is faster" in text
    assert '<script src="http' not in text


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


def test_json_says_what_was_simulated_and_what_was_not(tmp_path: Path) -> None:
    """Nobody takes a calibration of crashes for one of latency."""
    policy = _written(tmp_path / "p.yaml", POLICY)
    done = _coalmine("calibrate", "--policy", policy, "--json", *FAST)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["simulated"], found["not_simulated"]) == (["crash_rate"], ["latency"])
    ratios = [row["ratio"] for row in found["rows"]]
    assert ratios == sorted(ratios)
    assert {1.0, 1.1, 1.5} <= set(ratios)


def test_the_table_has_the_error_of_every_share_and_the_promise(tmp_path: Path) -> None:
    """A share stands with its error, and stderr tells which of them the policy limits."""
    policy = _written(tmp_path / "p.yaml", POLICY)
    done = _coalmine("calibrate", "--policy", policy, *FAST)
    head, *rows = done.stdout.splitlines()
    assert head.startswith("true ratio\trolled back")
    assert all(row.count("±") == 2 for row in rows)
    assert "at most 1.00% are promised" in done.stderr
    assert "latency" in done.stderr


def test_the_figure_shows_what_the_rows_hold() -> None:
    """The first two lines are the shares rolled back and promoted, over the true ratios."""
    rows = calibrate(Policy(), Assumed(100, 0.1, 0.01, 60), (1.0, 3.0), runs=50)
    rolled_back, promoted, *_ = figure(Policy(), rows).data
    assert list(rolled_back.x) == [1.0, 3.0]
    assert list(rolled_back.y) == [row.rolled_back for row in rows]
    assert list(promoted.y) == [row.promoted for row in rows]


def test_a_plot_that_cannot_be_written_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    """A directory that is not there ends in the sentence of a wrong setting."""
    done = _coalmine("calibrate", "--html", str(tmp_path / "none" / "plot.html"), *FAST)
    assert done.returncode == 2
    assert done.stderr.startswith("coalmine: --html: cannot be written")


def test_power_has_the_bound_of_one_share_and_expects_no_less(tmp_path: Path) -> None:
    """For the design's example: 267 crashes, 255,000 sessions; and the median is later."""
    policy = _written(tmp_path / "p.yaml", f"tolerance: 0\n{POLICY}")
    traffic = ("--share", "0.05", "--bad-rate", "0.001", "--per-second", "100")
    found = json.loads(_coalmine("power", "--policy", policy, *traffic, "--json").stdout)
    twice = next(row for row in found["rollback"] if row["ratio"] == 2)
    assert (round(twice["bad"]), round(twice["exposures"], -3)) == (267, 255_000)
    assert twice["median_s"] > twice["seconds"] == pytest.approx(2_550, rel=0.01)


def test_power_needs_longer_for_smaller_harms_and_smaller_shares() -> None:
    """Times fall with the harm in every row, and with the share in every column."""
    found = json.loads(_coalmine("power", "--json").stdout)
    times = {(row["share"], row["ratio"]): row["median_s"] for row in found["rollback"]}
    shares, ratios = (sorted({key[at] for key in times}) for at in (0, 1))
    assert len(shares) == 5
    assert len(ratios) == 6
    for share in shares:
        of_share = [times[share, ratio] for ratio in ratios]
        assert of_share == sorted(of_share, reverse=True)
    for ratio in ratios:
        of_ratio = [times[share, ratio] for share in shares]
        assert of_ratio == sorted(of_ratio, reverse=True)


def test_power_of_a_harm_within_the_tolerance_is_a_dash(tmp_path: Path) -> None:
    """What is accepted is never seen, however long the rollout."""
    policy = _written(tmp_path / "p.yaml", f"tolerance: 0.3\n{POLICY}")
    detail = _coalmine("power", "--policy", policy, "--share", "0.1").stdout.splitlines()
    assert detail[1].split("\t") == ["1.25", "–", "–", "–", "–"]
    assert "–" not in detail[2]


def test_fewer_clicks_take_longer_to_see_than_more_crashes(tmp_path: Path) -> None:
    """Half the clicks on a small canary are fewer outcomes than twice the crashes."""
    times = []
    for name, text in (("clicks", CLICKS), ("crashes", CLICKS.replace("decrease", "increase"))):
        policy = _written(tmp_path / f"{name}.yaml", text)
        rows = json.loads(_coalmine("power", "--policy", policy, "--json").stdout)["rollback"]
        times.append(next(r["seconds"] for r in rows if (r["share"], r["ratio"]) == (0.1, 2.0)))
    assert times[0] > 2 * times[1]


def test_looks_are_every_second_and_end_with_the_rollout() -> None:
    """Early looks are a second apart, later ones at most half a per cent of the time."""
    ends = look_ends(3_600.0)
    assert ends[:3].tolist() == [1.0, 2.0, 3.0]
    assert ends[-1] == 3_600.0
    assert all(
        later - sooner <= max(1.0, 0.005 * sooner) + 1e-9 for sooner, later in pairwise(ends)
    )
