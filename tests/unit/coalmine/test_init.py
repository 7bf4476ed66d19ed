"""``coalmine init``: what it writes is right, fits the traffic, and replaces nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.policies.budgets import Flow, shortfalls
from coalmine.policies.starting import policy_text
from coalmine.policies.suggesting import Seen, suggest
from contracts.config import parse
from contracts.policy import Policy, load_policies
from contracts.results import MetricKind


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(build(), list(arguments))


@pytest.mark.parametrize("service", ["checkout", "*", "shop/check out", "true"])
def test_what_is_written_is_right(tmp_path: Path, service: str) -> None:
    """All files pass coalmine check, the tests hold, and the policy is of that service."""
    done = _invoke("init", str(tmp_path), "--service", service, "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)) == 4
    checked = _invoke("check", str(tmp_path), "--json")
    assert checked.exit_code == 0, checked.output
    assert {f["kind"] for f in json.loads(checked.stdout)} == {
        "policy",
        "tests",
        "endpoints",
        "agent",
    }
    assert service in load_policies(tmp_path / "policies")
    assert _invoke("test", str(tmp_path), "-k", "three times").exit_code == 0


def test_the_first_line_leads_to_a_schema(tmp_path: Path) -> None:
    """An editor finds the schema beside the files, and it is one."""
    _invoke("init", str(tmp_path), "--service", "checkout")
    for path in tmp_path.rglob("*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(schema.read_text(encoding="utf-8"))["$defs"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A policy that is there is refused before anything is written; other files stay."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "checkout.yaml").write_text("service: checkout\n", encoding="utf-8")
    (tmp_path / "agent.yaml").write_text("mine", encoding="utf-8")
    done = _invoke("init", str(tmp_path), "--service", "checkout")
    assert "is there already" in str(done.exception)
    assert not (tmp_path / "endpoints.yaml").exists()
    assert _invoke("init", str(tmp_path), "--service", "search").exit_code == 0
    assert (tmp_path / "agent.yaml").read_text(encoding="utf-8") == "mine"


def _policy(flow: Flow) -> Policy:
    text = policy_text(Seen(service="checkout", flow=flow), suggest(flow))
    return parse(text, Policy, source="policy")


@settings(max_examples=40)
@given(st.floats(0.01, 1e5), st.floats(1e-5, 0.2))
def test_the_figures_fit_any_traffic(per_s: float, bad_rate: float) -> None:
    """The policy is valid, and where a phase can be long enough at all, it is."""
    flow = Flow(per_s, bad_rate)
    policy = _policy(flow)
    assert policy.harm > max(policy.tolerance_of(metric) for metric in policy.metrics)
    flows = {m.name: flow for m in policy.metrics[:1] if m.kind is MetricKind.RATIO}
    for found in shortfalls(policy, flows | {"crash_rate": Flow(per_s, 0.0)}):
        assert found.takes_s is not None
        assert found.takes_s > 86_400 * 7, found.message


def test_the_comment_tells_what_was_seen() -> None:
    """Traffic, failures and releases that the figures rest on."""
    flow = Flow(320.0, 0.002)
    text = policy_text(
        Seen(service="checkout", flow=flow, releases=("1.5.0 (90 %)",)), suggest(flow)
    )
    assert "320 requests/s, 0.2 % of them failed; releases 1.5.0 (90 %)." in text
    assert yaml.safe_load(text)["min_exposures"] == 2500
