"""``coalmine test``: unit tests of policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.policies.cases import Cases, load_cases, policy_path
from coalmine.policies.scenario import Scenario
from contracts.config import parse
from contracts.errors import ConfigError
from contracts.policy import Policy, load_policies

_EXAMPLES = Path("examples/policies")
_ENDPOINTS = """
endpoints:
  - {name: tool, url: "https://example.com/h", secret: "${env:NOT_SET}", actions: [rollback]}
"""


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(build(), list(arguments))


def _write(directory: Path, tests: str, policy: str = "service: checkout\n") -> Path:
    (directory / "checkout.yaml").write_text(policy, encoding="utf-8")
    (directory / "endpoints.yml").write_text(_ENDPOINTS, encoding="utf-8")
    path = directory / "checkout.test.yaml"
    path.write_text(tests, encoding="utf-8")
    return path


def _tests(
    expect: str, given: str = "every: 10s", changed: str = "canary: {request.bad: 4%}"
) -> str:
    return f"""
endpoints: endpoints.yml
tests:
  - name: it is decided
    given:
      {given}
      lasts: 10m
      share: 0.2
      both: {{request: 300/s, request.bad: 1%}}
      {changed}
    expect: {expect}
"""


def test_the_example_holds() -> None:
    """What the example says of its policy is so, and both files pass coalmine check."""
    done = _invoke("test", str(_EXAMPLES), "--json")
    found = json.loads(done.stdout)
    assert [one["differences"] for one in found] == [[]] * 4
    assert done.exit_code == 0
    assert _invoke("check", str(_EXAMPLES)).exit_code == 0


def test_tests_beside_policies_are_no_policies(tmp_path: Path) -> None:
    """A worker that reads the directory sees the policy alone."""
    _write(tmp_path, _tests("{}"))
    (tmp_path / "endpoints.yml").unlink()
    assert "checkout" in load_policies(tmp_path)


def test_a_test_that_holds_exits_with_0(tmp_path: Path) -> None:
    """Outcome, decisions, time and the webhook's body are as expected."""
    body = "{tool: {data: {action: rollback, guilty_metric: error_rate}}}"
    expect = (
        "{outcome: regressed, action: rollback, status: rolled_back, phase: canary, within: 5m, "
        f"decisions: [canary/rollback, rollback_verified], webhooks: {body}}}"
    )
    done = _invoke("test", str(_write(tmp_path, _tests(expect))))
    assert done.exit_code == 0, done.output
    assert "1 of 1 tests hold" in done.output


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ("{outcome: healthy}", "outcome: expected healthy, found regressed"),
        ("{decisions: [promote]}", "decisions: expected promote, found canary/rollback, "),
        ("{never: [rollback]}", "never: expected no rollback, found canary/rollback"),
        ("{within: 1s}", "within: expected 1 second, found canary/rollback after "),
        ("{not_before: 9m}", "not_before: expected 9 minutes, found canary/rollback after "),
        ("{guilty_metric: latency}", "guilty_metric: expected latency, found error_rate"),
        (
            "{webhooks: {tool: {data: {action: promote}}}}",
            'webhooks.tool.data.action: expected "promote", found "rollback"',
        ),
        ("{webhooks: {tool: {other: 1}}}", "webhooks.tool.other: expected 1, found nothing"),
    ],
)
def test_a_difference_is_named(tmp_path: Path, expect: str, difference: str) -> None:
    """A test that does not hold exits with 1 and says which field came otherwise."""
    done = _invoke("test", str(_write(tmp_path, _tests(expect))))
    assert done.exit_code == 1
    assert difference in done.output


def test_a_rollback_that_is_not_obeyed_escalates(tmp_path: Path) -> None:
    """Where the traffic stays, people are called."""
    tests = _tests("{decisions: [rollback, escalate]}", given="every: 1s\n      obeyed: false")
    done = _invoke("test", str(_write(tmp_path, tests)))
    assert done.exit_code == 0, done.output


def test_a_crash_of_the_canary_is_named(tmp_path: Path) -> None:
    """A group that only the canary has is the guilty one."""
    tests = _tests(
        "{guilty_metric: crash_rate, guilty_group: NullPointer}",
        changed="canary: {crash/NullPointer: 1%}\n      baseline: {crash/Timeout: 0.1%}",
    )
    done = _invoke("test", str(_write(tmp_path, tests)))
    assert done.exit_code == 0, done.output


def test_recorded_events_are_judged(tmp_path: Path) -> None:
    """A test may name a file of events instead of traffic."""
    lines = [
        {
            "time": 1_700_000_000_000 + 20 * n,
            "service.name": "checkout",
            "service.version": "1.5.0" if n > 500 and n % 5 == 0 else "1.4.2",
            "http.response.status_code": 500 if n > 500 and n % 20 == 0 else 200,
        }
        for n in range(6000)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "events.jsonl").write_text(text, encoding="utf-8")
    tests = """
tests:
  - name: a quarter of the canary's requests fail
    recorded: {files: [events.jsonl], canary: 1.5.0}
    expect: {outcome: regressed, decisions: [rollback, escalate]}
"""
    done = _invoke("test", str(_write(tmp_path, tests)))
    assert done.exit_code == 0, done.output


def test_junit_names_each_test(tmp_path: Path) -> None:
    """CI systems read the failure and its message."""
    report = tmp_path / "build" / "report.xml"
    path = _write(tmp_path, _tests("{outcome: healthy}"))
    assert _invoke("test", str(path), "--junit", str(report)).exit_code == 1
    suite = ET.parse(report).getroot()[0]  # noqa: S314 - our own file
    failure = suite[0][0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert failure.get("message") == "outcome: expected healthy, found regressed"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("tests: [{name: a, expect: {}}]", "tests[0]"),
        ("tests: [{name: a, given: {both: {request.bda: 1/s}}, expect: {}}]", "request.bda"),
        ("tests: [{name: a, given: {both: {request: often}}, expect: {}}]", "both.request"),
        ("tests: [{name: a, given: {changes: [{phase: x}]}, expect: {}}]", "changes[0].phase"),
        ("tests: [{name: a, given: {both: {request: 9/s}}, expect: {}}]", "given.share"),
        ("tests: [{name: a, given: {}, expect: {webhooks: {a: {}}}}]", "expect.webhooks"),
        ("policy: none.yaml\ntests: []", "policy"),
    ],
)
def test_a_wrong_test_names_its_field(tmp_path: Path, text: str, field: str) -> None:
    """A mistake in a test is a mistake of configuration, not a test that fails; check finds it."""
    path = _write(tmp_path, text)
    done = _invoke("test", str(path))
    assert isinstance(done.exception, ConfigError)
    assert done.exception.field.endswith(field)
    if field != "given.share":  # which depends on the phase that the rollout comes to
        [found] = json.loads(_invoke("check", str(path), "--json").stdout)
        assert found["field"].endswith(field)


def test_the_policy_has_the_name_of_its_tests() -> None:
    """Without ``policy`` the file beside it is meant."""
    assert policy_path(Path("a/b.test.yml"), Cases(tests=[])) == Path("a/b.yml")


def test_counts_add_up_to_what_was_said(tmp_path: Path) -> None:
    """Rates are met to the last one, whatever the length of a look and the share of the canary."""
    path = _write(tmp_path, _tests("{}", given="every: 3s"))
    given = load_cases(path).tests[0].given
    assert given is not None
    scenario = Scenario(Policy(), given, source="", field="")
    cells = [
        cell
        for number in range(200)
        for cell in scenario.cells(number * 3000, number * 3.0, "canary", has_canary=True)
    ]
    canary = [cell for cell in cells if cell.release == "canary"]
    assert sum(cell.counts["request"] for cell in cells) == 600 * 300
    assert sum(cell.counts["request"] for cell in canary) == 600 * 60
    assert sum(cell.counts["request.bad"] for cell in canary) == 600 * 60 * 0.04


def test_a_later_change_goes_before_an_earlier_one() -> None:
    """What holds at a moment is the last layer that says something of it."""
    text = """
tests:
  - name: a
    given:
      share: 0.5
      both: {request: 100/s, request.bad: 1%}
      changes:
        - {after: 10s, canary: {request.bad: 50%}}
        - {after: 20s, until: 30s, both: {request.bad: 10%}}
    expect: {}
"""
    given = parse(text, Cases, source="").tests[0].given
    assert given is not None
    scenario = Scenario(Policy(), given, source="", field="")

    def bad(elapsed_s: float) -> list[int]:
        cells = scenario.cells(0, elapsed_s, "canary", has_canary=True)
        return [10 * round(10 * c.counts["request.bad"] / c.counts["request"]) for c in cells]

    assert [bad(s) for s in (0, 10, 20, 30)] == [[0, 0], [0, 50], [10, 10], [0, 50]]


_PHASED = """service: checkout
harm: 9
metrics: [{name: error_rate, bad: request.bad}]
phases:
  - {name: first, max_duration: 5m}
  - {name: second}
business_hours: {zone: UTC}
freezes:
  - {start: 2026-12-23T00:00:00Z, end: 2027-01-04T00:00:00Z, reason: end of year}
"""


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("starts: 2026-11-28T10:00:00Z", "{held_because: business hours, never: [promote]}"),
        ("starts: 2026-12-24T10:00:00Z", "{held_because: end of year, never: [promote]}"),
        ("starts: 2026-11-24T10:00:00Z", "{decisions: [first/promote, second/promote]}"),
        (
            "commands: [{after: 0s, action: hold, reason: lunch}]",
            "{held_because: lunch, answers: [accepted]}",
        ),
        (
            "commands: [{after: 0s, action: phase, phase: second}, {after: 10s, action: resume}]",
            "{answers: [accepted, accepted], decisions: [first/promote, second/promote]}",
        ),
    ],
)
def test_what_keeps_a_phase_can_be_tested(tmp_path: Path, given: str, expect: str) -> None:
    """Business hours, freezes and what people say, at the times that the test gives them."""
    tests = _tests(expect, given=f"every: 10s\n      {given}", changed="canary: {}")
    done = _invoke("test", str(_write(tmp_path, tests, _PHASED)))
    assert done.exit_code == 0, done.output
