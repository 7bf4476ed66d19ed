"""Presets over real HTTP, against small servers that refuse what the real tools refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting.by_hand import attempt
from alerting.carrier import Carrier
from alerting.integrations import PRESETS
from alerting.integrations.conversation import Delivered
from alerting.notice import Notice
from alerting.settings import Endpoint, load_endpoints
from alerting.verification import hold
from contracts.clock import SystemClock
from contracts.results import Decision, DeliveryOutcome
from tests.support.alerting import decision_of
from tests.support.tools import LOGIN, TOKEN, Tool, ci, listening, ops, people
from tests.unit.alerting.support import parts


@dataclass(frozen=True)
class Case:
    """A preset, the tool that it speaks to, and how often that tool is to act."""

    preset: str
    tool: Callable[[], Tool]
    options: dict[str, Any] = field(default_factory=dict)
    secret: str = TOKEN
    auth: str = ""
    path: str = ""
    acts: tuple[int, int] = (1, 1)
    """Requests that change something, after the first delivery and after the same once more."""
    acts_by: str = "POST"
    can_look: bool = True
    """Whether its options let it find again what was started."""
    is_refused_without: bool = True
    """Whether the tool tells a wrong credential."""

    def __str__(self) -> str:
        return f"{self.preset} {self.auth}".strip()


_TRIGGER = {"project": "shop/checkout", "token": "${env:TOOL_SECRET}"}
CASES = [
    Case(
        "spinnaker-webhook",
        ci.spinnaker,
        {"source": "coalmine", "application": "{service}", "payload_secret": "${env:TOOL_TOKEN}"},
        secret=LOGIN,
        auth="basic",
    ),
    Case("spinnaker-pipeline", ci.spinnaker, {"pipeline": "Roll back"}, secret=LOGIN),
    Case("jenkins-gwt", ci.jenkins, acts=(1, 2)),
    Case("jenkins-gwt", ci.jenkins, auth="header", acts=(1, 2)),
    Case("jenkins-build", ci.jenkins, {"job": "deploy/rollback"}, secret=LOGIN),
    Case(
        "jenkins-build",
        partial(ci.jenkins, wants_crumb=True),
        {"job": "deploy/rollback", "parameters": {"RELEASE": "{baseline}"}},
        secret=LOGIN,
        acts=(2, 2),
    ),
    Case("github-dispatch", ci.github_actions, {"repository": "shop/checkout", "find_run": True}),
    Case("github-deployment", ci.github_deployments, {"repository": "shop/checkout"}, acts=(2, 3)),
    Case("gitlab-trigger", ci.gitlab, _TRIGGER, secret="", acts=(1, 2), can_look=False),
    Case("gitlab-trigger", ci.gitlab, {**_TRIGGER, "pipeline_name": "coalmine {decision}"}),
    Case("gitlab-job", ci.gitlab, {"project": "shop/checkout"}),
    Case("ansible-eda", ops.eda, path="/endpoint", acts=(1, 2)),
    Case(
        "ansible-eda",
        partial(ops.eda, is_signed=True),
        path="/endpoint",
        auth="hub-signature",
        acts=(1, 2),
    ),
    Case("awx-launch", ops.awx, {"template": 7}),
    Case("nomad", ops.nomad),
    Case("unleash", ops.unleash, acts=(1, 2)),
    Case("launchdarkly", ops.launchdarkly, {"project": "shop"}, acts=(1, 2), acts_by="PATCH"),
    Case("servicenow", people.servicenow, secret=LOGIN),
    Case(
        "pagerduty", people.pagerduty, {"routing_key": "${env:TOOL_TOKEN}"}, secret="", acts=(1, 2)
    ),
    Case("alertmanager", people.alertmanager, secret="", acts=(1, 2), is_refused_without=False),
    Case(
        "slack",
        people.slack,
        secret="",
        path="/services/T0/B0/X",
        acts=(1, 2),
        is_refused_without=False,
    ),
]


def endpoint_of(case: Case, url: str, secret: str, at: Path, patch: pytest.MonkeyPatch) -> Endpoint:
    """As a user would write it; a token in the options is wrong where the secret is."""
    patch.setenv("TOOL_SECRET", secret or TOKEN)
    patch.setenv("TOOL_TOKEN", TOKEN if secret in {"", case.secret} else "wrong")
    entry: dict[str, Any] = {
        "name": "tool",
        "preset": case.preset,
        "url": url + case.path,
        "allow_private": True,
        "options": case.options,
        "auth": case.auth,
    }
    if case.secret:
        entry["secret"] = "${env:TOOL_SECRET}"
    file = at / "endpoints.yaml"
    file.write_text(yaml.safe_dump({"endpoints": [entry]}), encoding="utf-8")
    (endpoint,) = load_endpoints(file)
    return endpoint


def rollback() -> Decision:
    """Of the release, or the flag, that the tools have."""
    return decision_of("checkout", rollout="checkout/1.5.0", flag="new-checkout")


def delivered(endpoint: Endpoint, decision: Decision) -> Notice:
    """One attempt, over real HTTP."""
    return attempt(Notice(decision, endpoint, 1), Carrier(), SystemClock())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_tool_takes_it_and_acts_once(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivered, seen to have worked where one can look; and told again it does no more harm."""
    tool, decision = case.tool(), rollback()
    with listening(tool) as url:
        endpoint = endpoint_of(case, url, case.secret, tmp_path, monkeypatch)
        for acts in case.acts:
            done = delivered(endpoint, decision)
            assert (done.outcome, done.reason) == (DeliveryOutcome.DELIVERED, "")
            assert len(tool.asked(case.acts_by)) == acts
        if verify := PRESETS[case.preset].verify:
            seen = hold(verify, done, replace(parts(), transport=Carrier()), within_s=10)
            assert seen.ending == Delivered() or not case.can_look


@pytest.mark.parametrize("case", [case for case in CASES if case.is_refused_without], ids=str)
def test_a_wrong_credential_is_refused_and_nothing_happens(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Final, with the tool's status in the reason."""
    tool = case.tool()
    with listening(tool) as url:
        wrong = "coalmine:wrong" if case.secret == LOGIN else "wrong"
        done = delivered(endpoint_of(case, url, wrong, tmp_path, monkeypatch), rollback())
    assert done.outcome is DeliveryOutcome.REFUSED
    assert done.reason.startswith("http 4")
    assert len(tool.calls) == 1
