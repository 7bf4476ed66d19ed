"""A canary behind a real HAProxy is rolled back through HAProxy's own admin socket."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from coalmine.demo.configs import agent_config
from coalmine.demo.reading import ResultsReader, start_rollout
from coalmine.demo.timeline import Results
from contracts.results import DecisionAction, Delivery, DeliveryOutcome
from contracts.settings import KafkaSettings
from tests.support.alerting import Process, Wire, free_port
from tests.support.haproxy import Haproxy
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BASELINE, CANARY = "1.4.2", "1.5.0"
REQUESTS_PER_S = 200
START_S, PATIENCE_S = 150.0, 200.0
"""For a busy machine: alone, both take a tenth of it."""


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory with a short path, for a socket."""
    with tempfile.TemporaryDirectory(prefix="coalmine-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@dataclass
class Shop:
    """Both builds of the shop behind HAProxy, with Coalmine watching."""

    state: Path
    environment: Mapping[str, str]
    start: Callable[..., Process]
    service: str = field(default_factory=lambda: f"shop-{uuid.uuid4().hex[:8]}")

    def open(self) -> Haproxy:
        """Start an instance of each build, and HAProxy before them; nobody gets traffic yet."""
        ready = {name: self.state / f"{name}.json" for name in ("stable", "canary")}
        for name, build in (("stable", BASELINE), ("canary", CANARY)):
            options = ["--build", build, "--instance", name, "--logs", str(self.state / "shop")]
            self._python("coalmine.demo.shop.server", *options, "--ready", str(ready[name]))
        wait_until(lambda: all(file.exists() for file in ready.values()), START_S, "the shop")
        addresses = {
            name: urlsplit(json.loads(file.read_text())["url"]).netloc
            for name, file in ready.items()
        }
        haproxy = Haproxy(self.state, free_port(), addresses)
        self.start(haproxy.command, self.environment)
        wait_until(haproxy.is_up, START_S, "HAProxy")
        return haproxy

    def admit_customers(self, url: str) -> None:
        """Until the test is over."""
        options = ["--rate", str(REQUESTS_PER_S), "--seconds", "600", "--url", url]
        self._python("coalmine.demo.shop.customers", *options)

    def watch(self, haproxy: Haproxy) -> None:
        """Start agent, worker and alerter, which knows HAProxy and nothing else."""
        agent: dict[str, Any] = agent_config(self.state)
        for source in agent["files"]:
            source["service"] = self.service
        endpoint = {
            "name": "edge",
            "preset": "haproxy-runtime",
            "url": f"unix://{haproxy.socket}",
            "services": [self.service],
            "options": {"canary": ["shop/canary"], "baseline": ["shop/stable"]},
        }
        policy = {"service": self.service, "phases": [{"name": "canary", "exposure": 0.1}]}
        (self.state / "policies").mkdir()
        self._write("agent.yaml", agent)
        self._write("endpoints.yaml", {"endpoints": [endpoint]})
        self._write(f"policies/{self.service}.yaml", policy)
        worker = ["--policies", "policies", "--state", "worker"]
        for command in (
            ["worker", *(str(self.state / w) if w[0] != "-" else w for w in worker)],
            ["alerter", "--config", str(self.state / "endpoints.yaml")],
            ["agent", "--config", str(self.state / "agent.yaml")],
        ):
            self._python("coalmine", *command)

    def _python(self, module: str, *arguments: str) -> None:
        self.start([sys.executable, "-m", module, *arguments], self.environment)

    def _write(self, name: str, content: object) -> None:
        (self.state / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def rollbacks(wire: Wire, service: str) -> list[Delivery]:
    """What was recorded of telling the endpoint, in order."""
    return [
        record
        for record in wire.deliveries()
        if record.service == service and record.action is DecisionAction.ROLLBACK
    ]


def test_a_canary_behind_haproxy_is_rolled_back_to_weight_0(
    state: Path,
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    process: Callable[..., Process],
    wire: Wire,
) -> None:
    """1.5.0 crashes at 10 % of the traffic: HAProxy gives it weight 0, says so when it is asked,
    counts no further request for it, and Coalmine sees its traffic gone.
    """
    shop = Shop(state, stack_environment, process)
    haproxy = shop.open()
    haproxy.say("set weight shop/stable 252; set weight shop/canary 0")
    shop.admit_customers(haproxy.url)
    shop.watch(haproxy)
    results = Results(shop.service, since_ms=time.time_ns() // 1_000_000)
    with ResultsReader(kafka_settings, results) as reader:

        def seen(condition: Callable[[], bool]) -> Callable[[], bool]:
            def look() -> bool:
                reader.poll(0.1)
                return condition()

            return look

        wait_until(seen(lambda: results.has_counts), START_S, "the first counts")
        haproxy.say("set weight shop/stable 252; set weight shop/canary 28")
        start_rollout(kafka_settings, shop.service, canary=CANARY, baseline=BASELINE)
        wait_until(seen(lambda: results.webhook is not None), PATIENCE_S, "the rollback")
        stats = haproxy.stats()
        assert stats["canary"]["weight"] == "0"
        assert stats["stable"]["weight"] == "256"
        share = int(stats["canary"]["stot"]) / int(stats["stable"]["stot"])
        assert 0 < share < 0.12
        wait_until(seen(lambda: results.is_rolled_back), PATIENCE_S, "the rollback to be verified")
    assert results.rollback is not None
    assert results.rollback.guilty_metric
    wait_until(
        lambda: any(told.verified for told in rollbacks(wire, shop.service)[-1:]),
        30,
        "the look at HAProxy",
    )
    told = rollbacks(wire, shop.service)
    assert {(r.endpoint, r.outcome) for r in told} == {("edge", DeliveryOutcome.DELIVERED)}
    assert told[0].body == "set weight shop/stable 256; set weight shop/canary 0\n"
    before, after = stats, haproxy.stats()
    assert after["canary"]["stot"] == before["canary"]["stot"]
    assert int(after["stable"]["stot"]) > int(before["stable"]["stot"])
