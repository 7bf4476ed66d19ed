"""Five phases, driven by webhooks and gates alone: nobody but the deploy tool touches traffic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from standardwebhooks.webhooks import Webhook

from contracts.settings import KafkaSettings
from tests.e2e.rollout.conftest import BAD, GOOD, PHASES, Gate
from tests.support.alerting import Hit, Process, Receiver, new_secret
from tests.support.api_process import ApiProcess
from tests.support.driven import BASELINE, CANARY, DrivenTraffic, flowing
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
START = ("--start", "--baseline", BASELINE, "--timeout", "240s")


class DeployTool(Receiver):
    """Knows no policy: it gives the canary the share that a signed webhook says."""

    def __init__(self, secret: str, traffic: Mapping[str, DrivenTraffic]) -> None:
        super().__init__(lambda _: (200, {}))
        self._webhook = Webhook(secret)
        self._traffic = traffic
        self.told: dict[str, list[dict[str, Any]]] = {service: [] for service in traffic}

    def reply(self, hit: Hit) -> tuple[int, dict[str, str]]:
        """Verify, act, answer."""
        self._webhook.verify(hit.body, hit.headers)
        data = json.loads(hit.body)["data"]
        self.told[data["service"]].append(data)
        if data["exposure"] is not None:
            self._traffic[data["service"]].share = data["exposure"]
        return 200, {}

    def shares(self, service: str) -> list[tuple[str, str, float]]:
        """Action, phase and share of what it was told, in order."""
        return [(d["action"], d["phase"], d["exposure"]) for d in self.told[service]]


def error_rate(release: str, share: float) -> float:
    """The bad release shares a resource that holds while it has little traffic."""
    is_overloaded = release == "1.6.0" and share >= PHASES["cluster"]
    return 0.5 if is_overloaded else 0.1


@pytest.fixture
def traffic(kafka_settings: KafkaSettings) -> Iterator[dict[str, DrivenTraffic]]:
    """Of both services; the canaries have none yet."""
    with ExitStack() as exits:
        made = {
            service: DrivenTraffic(kafka_settings, service, error_rate) for service in (GOOD, BAD)
        }
        made[BAD].canary = "1.6.0"
        yield {name: exits.enter_context(flowing(one)) for name, one in made.items()}


@pytest.fixture
def tool(
    traffic: dict[str, DrivenTraffic],
    listen: Callable[[Receiver], None],
    process: Callable[..., Process],
    stack_environment: Mapping[str, str],
    tmp_path: Path,
) -> DeployTool:
    """The deploy tool, and an alerter that tells it of everything."""
    secret = new_secret()
    made = DeployTool(secret, traffic)
    listen(made)
    endpoint = {
        "name": "deploy-tool",
        "url": made.url,
        "secret": "${env:HOOK}",
        "services": [GOOD, BAD],
        "actions": ["promote", "hold", "rollback", "rollback_verified", "escalate"],
        "allow_private": True,
    }
    config = tmp_path / "endpoints.yaml"
    config.write_text(yaml.safe_dump({"endpoints": [endpoint]}), encoding="utf-8")
    command = [sys.executable, "-m", "coalmine", "alerter", "--config", str(config)]
    process(command, {**stack_environment, "HOOK": secret})
    return made


def test_a_good_release_reaches_everybody_and_a_bad_one_ends_where_its_bug_first_shows(
    api: ApiProcess, tool: DeployTool, traffic: dict[str, DrivenTraffic]
) -> None:
    """The good one gets 5, 10, 20, 50, 80 and 100 % by five webhooks, and its gate passes. The bad
    one fails under a cluster's load alone: it is rolled back in that phase, its traffic is seen to
    be gone, and its gate fails.
    """
    gates = {GOOD: Gate(api, GOOD, CANARY, *START), BAD: Gate(api, BAD, "1.6.0", *START)}
    for service, one in traffic.items():
        # what a pipeline does between `rollout start` and its gate: deploy to the first share
        one.share = wait_until(lambda s=service, r=one.canary: _state(api, s, r)["exposure"], 180)  # type: ignore[misc]
    good, bad = gates[GOOD].end(300), gates[BAD].end(300)
    assert (good.code, bad.code) == (0, 1), [*good.lines, *bad.lines, tool.told]
    wait_until(lambda: traffic[GOOD].share == 1.0, 30, "everybody has it")
    names, shares = [*PHASES], [*PHASES.values(), 1.0]
    promoted = [("promote", name, share) for name, share in zip(names, shares[1:], strict=True)]
    assert tool.shares(GOOD) == promoted
    wait_until(lambda: _state(api, BAD, "1.6.0")["rollback_verified"], 60, "its traffic is gone")
    assert tool.shares(BAD)[:4] == [*promoted[:3], ("rollback", "cluster", 0.0)]
    assert bad.found["state"]["guilty_metric"] == "error_rate"
    _explained(api, tool.told[BAD][3]["id"])


def _explained(api: ApiProcess, decision: str) -> None:
    """People are told the same: what decided it, and that the deploy tool took it."""
    command = [sys.executable, "-m", "coalmine", "explain", decision]
    done = subprocess.run(
        command,
        env={**os.environ, **api.variables},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "rollback in phase cluster" in done.stdout
    assert re.search(r"deploy-tool\s+1\s+delivered\s+200", done.stdout), done.stdout


def _state(api: ApiProcess, service: str, release: str) -> dict[str, Any]:
    with api.client() as client:
        query = {"service": service, "release": release}
        found: dict[str, Any] = client.get("/v1/verdict", params=query).json()
    return found
