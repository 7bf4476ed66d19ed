"""The demo's configuration is valid, its counting is exact, its screen tells the run."""

from __future__ import annotations

import stat
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from alerting.settings import load_endpoints
from coalmine.demo.configs import write_configs
from coalmine.demo.reading import lines_written
from coalmine.demo.screen import Screen, table_of
from coalmine.demo.timeline import Timeline
from contracts.policy import load_policies
from contracts.results import RelativeRisk
from ingest.settings import load_agent_config

HOOK = "http://127.0.0.1:9/webhooks"


def test_every_room_accepts_its_file(tmp_path: Path) -> None:
    """What the demo writes passes the checks that users' own files pass."""
    configs = write_configs(tmp_path, HOOK)
    assert load_agent_config(configs.agent).agent_id == f"shop-{tmp_path.name}"
    assert load_policies(configs.policies)["checkout"].autodetect
    (endpoint,) = load_endpoints(configs.endpoints)
    assert endpoint.shown_url == HOOK


def test_secret_is_new_in_each_run_and_closed_to_others(tmp_path: Path) -> None:
    """Only its owner may read it, and no two runs share it."""
    first, second = (write_configs(tmp_path / name, HOOK).secret for name in ("a", "b"))
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert first.read_text() != second.read_text()


def test_lines_are_counted_in_access_logs_only(tmp_path: Path) -> None:
    """Error logs and a line that is still being written are no requests."""
    for place, text in {
        "checkout/1.4.2/web-1/access.log": "{}\n{}\n",
        "checkout/1.5.0/web-4/access.log": '{}\n{"ts"',
        "checkout/1.5.0/web-4/error.log": "a\nb\nc\n",
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert lines_written(tmp_path) == 3


def test_table_tells_the_verdict_with_its_interval() -> None:
    """Metric, factor, interval and evidence stand in the timeline for people."""
    timeline = Timeline(
        canary="1.5.0",
        baseline="1.4.2",
        outcome="regressed",
        action="rollback",
        guilty_metric="error_rate",
        relative_risk=RelativeRisk(estimate=18.04, lower=6.0, upper=None),
        evidence_log10=2.7,
        canary_started_at="2026-11-23T10:00:00.000Z",
        first_bad_event_at="2026-11-23T10:00:01.500Z",
        verdict_at="2026-11-23T10:00:04.400Z",
        webhook_at="2026-11-23T10:00:05.200Z",
        drained_at="2026-11-23T10:00:05.300Z",
        rollback_verified=True,
        events_written=2900,
        events_counted=2900,
    )
    out = StringIO()
    Console(file=out, width=100).print(table_of(timeline))
    text = out.getvalue()
    for fact in (
        "error_rate × 18.0 (between 6.0 and ∞)",
        "evidence 10^2.7",
        "10:00:05.200",
        "2,900",
    ):
        assert fact in text


def test_steps_off_a_terminal_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets each step once, when it begins and when it is done, and no control codes."""
    screen = Screen()
    with screen.step("Starting servers") as step:
        step.say("kafka ready", 0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, last = (line.split("s  ")[1] for line in captured.err.splitlines())
    assert first == "Starting servers …"
    assert last.startswith("✓ Starting servers (")
    assert "\x1b" not in captured.err
