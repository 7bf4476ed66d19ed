"""Policies: valid ones, and errors that say where and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import ConfigError
from contracts.policy import Policy, load_policies, load_policy
from contracts.results import MetricKind


def _policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "checkout.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_policy_watches_errors_crashes_and_latency(tmp_path: Path) -> None:
    """Defaults are a whole policy."""
    policy = load_policy(_policy(tmp_path, ""))
    assert [m.name for m in policy.metrics] == [
        *("error_rate", "crash_rate", "latency"),
        *("crash_groups", "error_logs"),
    ]
    assert policy.metrics[2].kind is MetricKind.DISTRIBUTION
    assert (policy.false_rollback_rate, policy.tolerance) == (0.01, 0.1)


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("service: a\nfalse_rollback_rate: 2\n", 2, "false_rollback_rate", "< 0.5"),
        ("service: a\ntolerence: 0.1\n", 2, "tolerence", "unknown field"),
        ("metrics:\n  - name: x\n    bad: y\n    weight: heavy\n", 4, "metrics[0].weight", "float"),
        ("lateness: soon\n", 1, "lateness", "duration"),
        ("- a\n- b\n", 1, "", "object"),
        ("a: [1\n", 2, "", "YAML"),
        ("9999-12-31T23:59:60Z", None, "", "YAML"),
        ("metrics:\n  - name: x\n", None, "metrics[0]", "bad"),
        ("metrics: []\n", None, "metrics", "at least one"),
        ("tolerance: 0.8\n", None, "metrics[0]", "above tolerance"),
        ("metrics:\n- {name: x, bad: y, phases: [moon]}\n", None, "metrics[0].phases[0]", "canary"),
        (
            "phases: [{name: a}, {name: b}]\nmetrics: [{name: x, bad: y, phases: [a]}]\n",
            *(None, "phases[1]", "critical ratio or distribution"),
        ),
        (
            "metrics: [{name: x, bad: y, critical: false}, {name: z, bad: y, kind: groups}]\n",
            *(None, "metrics", "critical"),
        ),
        ("phases: [{at_end: promote}]\n", None, "phases[0].at_end", "max_duration"),
        (
            "phases: [{min_duration: 10m, max_duration: 5m}]\n",
            *(None, "phases[0].max_duration", "at least min_duration, which is 600 s"),
        ),
        ("business_hours: {zone: Europe/Bonn}\n", None, "business_hours.zone", "Europe/Berlin"),
        ("business_hours: {days: []}\n", None, "business_hours", "at least one day"),
        ("business_hours: {start: '9'}\n", 1, "business_hours.start", "regex"),
        (
            "freezes: [{start: 2026-12-24T00:00:00, end: 2026-12-25T00:00:00Z, reason: x}]\n",
            *(None, "freezes[0].start", "with its zone"),
        ),
        (
            "freezes: [{start: 2026-12-24T00:00:00Z, end: 2026-12-23T00:00:00Z, reason: x}]\n",
            *(None, "freezes[0].end", "after the start"),
        ),
    ],
)
def test_a_broken_policy_names_line_field_and_expectation(
    tmp_path: Path, text: str, line: int | None, field: str, words: str
) -> None:
    """One sentence tells a user where to look and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load_policy(_policy(tmp_path, text))
    assert (caught.value.line, caught.value.field) == (line, field)
    assert words in str(caught.value)
    assert "checkout.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_hash_is_of_the_content_not_of_the_writing(tmp_path: Path) -> None:
    """Comments and order change nothing; a number does."""
    first = load_policy(_policy(tmp_path, "service: a\ntolerance: 0.2\n"))
    second = load_policy(_policy(tmp_path, "# why\ntolerance: 0.20\nservice: a\n"))
    assert first.content_hash() == second.content_hash()
    assert first.content_hash() != Policy(service="a").content_hash()


def test_two_policies_for_one_service_are_refused(tmp_path: Path) -> None:
    """A directory speaks once for each service."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("service: checkout\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="another policy"):
        load_policies(tmp_path)


def test_a_rollout_as_code_is_a_policy(tmp_path: Path) -> None:
    """Phases with their own metrics, hours, freezes and what comes after."""
    policy = load_policy(
        _policy(
            tmp_path,
            """
business_hours: {days: [mon, tue], start: 08:30, end: 16:00, zone: Europe/Berlin}
freezes: [{start: 2026-12-24T00:00:00+01:00, end: 2026-12-27T00:00:00+01:00, reason: Christmas}]
watch_after: 10m
cooldown: 1h
metrics:
  - {name: errors, bad: request.bad}
  - {name: clicks, of: impression, bad: click, direction: decrease, phases: [all]}
phases:
  - {name: few, exposure: 0.01, min_duration: 5m, max_duration: 1h, at_end: rollback}
  - {name: all, users: everybody, notify: [pager]}
""",
        )
    )
    assert policy.freezes[0].start.isoformat() == "2026-12-24T00:00:00+01:00"
    assert policy.content_hash() != Policy().content_hash()
