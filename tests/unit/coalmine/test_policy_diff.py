"""``coalmine policy diff``: what a change of a policy changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.policies.difference import changes
from contracts.config import Seconds
from contracts.policy import Metric, Phase, Policy


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(build(), ["policy", "diff", *arguments])


def _fields(old: Policy, new: Policy) -> dict[str, tuple[Any, Any]]:
    return {found.field: (found.old, found.new) for found in changes(old, new)}


def test_fields_are_named_by_metric_and_phase() -> None:
    """What was changed, added and left out, wherever it stands in the file."""
    old = Policy(
        metrics=[Metric(name="errors", bad="request.bad"), Metric(name="crashes", bad="crash")],
        phases=[Phase(name="first"), Phase(name="second", exposure=0.5)],
    )
    new = Policy(
        false_rollback_rate=0.05,
        metrics=[Metric(name="errors", bad="request.bad", tolerance=0.3)],
        phases=[
            Phase(name="second", exposure=0.5),
            Phase(name="first", min_duration=Seconds(60)),
        ],
    )
    found = _fields(old, new)
    assert found["false_rollback_rate"] == (0.01, 0.05)
    assert found["metrics.errors.tolerance"] == (None, 0.3)
    assert found["metrics.crashes.bad"] == ("crash", None)
    assert found["phases.first.min_duration"] == (0.0, 60.0)
    assert found["phases (order)"] == (["first", "second"], ["second", "first"])
    assert not any(field.startswith("phases.second") for field in found)


@given(st.floats(0.001, 0.4), st.floats(0, 0.4), st.integers(0, 10_000))
def test_a_policy_differs_from_itself_in_nothing(
    rate: float, tolerance: float, minimum: int
) -> None:
    """And from another one in exactly what is different."""
    policy = Policy(false_rollback_rate=rate, tolerance=tolerance, min_exposures=minimum)
    assert changes(policy, policy) == []
    assert set(_fields(policy, Policy(false_rollback_rate=rate, tolerance=tolerance))) <= {
        "min_exposures"
    }


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two minutes in which the canary fails a fifth more often than its baseline."""
    lines = [
        {
            "time": 1_700_000_000_000 + 10 * n,
            "service.name": "checkout",
            "service.version": "1.5.0" if n > 500 and n % 2 == 0 else "1.4.2",
            "http.response.status_code": 500 if n % (10 if n % 2 == 0 else 13) == 0 else 200,
        }
        for n in range(12_000)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _policy(tmp_path: Path, name: str, tolerance: float) -> str:
    path = tmp_path / name
    path.write_text(f"service: checkout\ntolerance: {tolerance}\nharm: 9\n", encoding="utf-8")
    return str(path)


def test_what_would_have_been_decided_stands_side_by_side(tmp_path: Path, recording: Path) -> None:
    """A larger tolerance would have let the canary go on: exit code 1, and both verdicts."""
    old, new = _policy(tmp_path, "old.yaml", 0.1), _policy(tmp_path, "new.yaml", 5)
    done = _invoke(old, new, str(recording), "--canary", "1.5.0", "--json")
    found = json.loads(done.stdout)
    [compared] = found["recordings"]
    assert done.exit_code == 1
    assert [each["field"] for each in found["fields"]] == ["tolerance"]
    assert compared["differs"]
    assert compared["old"]["decided"] == "canary/rollback"
    assert compared["old"]["after_s"] > 0
    assert compared["new"]["decided"] != "canary/rollback"
    told = _invoke(old, new, str(recording), "--canary", "1.5.0").stdout
    assert "canary/rollback after" in told


def test_a_change_that_decides_nothing_otherwise_exits_with_0(
    tmp_path: Path, recording: Path
) -> None:
    """Where there are recordings they count; without them the fields do."""
    old, new = _policy(tmp_path, "old.yaml", 0.1), _policy(tmp_path, "new.yaml", 0.1)
    Path(new).write_text(Path(new).read_text(encoding="utf-8") + "cooldown: 1h\n", encoding="utf-8")
    assert _invoke(old, new, str(recording), "--canary", "1.5.0").exit_code == 0
    assert _invoke(old, new).exit_code == 1
    assert _invoke(old, old).exit_code == 0
