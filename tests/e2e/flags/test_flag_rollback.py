"""A flag rollout from the first request to the kill: every process is real."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.results import DecisionAction
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import AgentProcess, write_config
from tests.integration.streams.conftest import WorkerProcess
from tests.support.api_process import ApiProcess
from tests.support.api_process import running as running_api
from tests.support.canary import decisions, verdicts
from tests.support.flag_shop import FLAG
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ON, OFF = f"{FLAG}:on", f"{FLAG}:off"
POLICY = """\
service: {service}
drain_after: 1s
metrics: [{{name: error_rate, bad: request.bad, unit: event}}]
phases: [{{name: half, exposure: 0.5}}]
"""


class Shop:
    """The service's process and its log."""

    def __init__(self, service: str, api: ApiProcess, directory: Path) -> None:
        self.service = service
        self.log = directory / "access.log"
        self._ready = directory / "ready"
        where = ["--log", str(self.log), "--ready", str(self._ready)]
        whom = ["--service", service, "--api", api.url, "--token", api.token]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.flag_shop", *whom, *where]
        )

    def url(self) -> str:
        """Where it listens."""
        wait_until(self._ready.exists, timeout_s=60, what="the shop listens")
        return f"http://127.0.0.1:{self._ready.read_text(encoding='utf-8')}"

    def lines(self) -> list[dict[str, Any]]:
        """Every request it has logged."""
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def arms(self) -> Counter[str]:
        """Requests by arm so far."""
        return Counter(line["arm"] for line in self.lines())

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)


class Customers:
    """Buys again and again, each time as somebody else; four in ten have a coupon."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        chosen = random.Random(5)
        with httpx.Client(trust_env=False, timeout=10) as client:
            number = 0
            while not self._stop.wait(0.004):
                number += 1
                coupons = [2.0] if chosen.random() < 0.4 else []
                cart = {"user": f"user-{number}", "prices": [9.0, 3.5], "coupons": coupons}
                with suppress(httpx.HTTPError):
                    client.post(f"{self._url}/checkout", json=cart)


@contextmanager
def working(service: str, environment: Mapping[str, str], directory: Path) -> Iterator[None]:
    """A worker with the service's policy."""
    policies, state = directory / "policies", directory / "worker"
    policies.mkdir()
    state.mkdir()
    (policies / "shop.yaml").write_text(POLICY.format(service=service), encoding="utf-8")
    arguments = ["worker", "--policies", str(policies), "--state", str(state)]
    worker = WorkerProcess(arguments, environment, directory / "worker.log")
    worker.start()
    try:
        yield
    finally:
        worker.kill()


@contextmanager
def shopping(service: str, api: ApiProcess, directory: Path) -> Iterator[Shop]:
    """The shop with its customers."""
    shop = Shop(service, api, directory)
    try:
        with Customers(shop.url()):
            yield shop
    finally:
        shop.kill()


def agent_config(directory: Path, service: str) -> Path:
    """The shop's log, shipped soon."""
    config = {
        "agent": service,
        "state_dir": str(directory / "agent"),
        "batch": {"max_age": "200ms"},
        "files": [{"paths": [str(directory / "access.log")]}],
    }
    return write_config(directory / "agent.yaml", config)


def test_a_variant_with_a_bug_is_killed_within_a_second(
    stack_environment: Mapping[str, str], kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Nobody sees the variant before the rollout, half of the users do while it runs, and no
    request that begins later than a second after the decision does; the rollback is verified.
    """
    service = unique("flag-shop")
    with (
        running_api(stack_environment, tmp_path) as api,
        working(service, stack_environment, tmp_path),
        shopping(service, api, tmp_path) as shop,
        AgentProcess(agent_config(tmp_path, service), stack_environment, tmp_path / "agent.log"),
    ):
        wait_until(lambda: shop.arms()[""] >= 50, timeout_s=60, what="requests before the rollout")
        assert shop.arms().keys() == {""}
        with api.client() as client:
            start = {"service": service, "canary": "on", "baseline": "off", "flag": FLAG}
            opened = client.post("/v1/rollouts", json=start)
        assert opened.status_code in (201, 504), opened.text
        wait_until(
            lambda: decisions(kafka_settings, service),
            timeout_s=120,
            what=f"a decision; last verdict {verdicts(kafka_settings, service)[-1:]}",
        )
        decision = decisions(kafka_settings, service)[0]
        assert decision.action is DecisionAction.ROLLBACK
        wait_until(
            lambda: any(
                d.action is DecisionAction.ROLLBACK_VERIFIED
                for d in decisions(kafka_settings, service)
            ),
            timeout_s=60,
            what="the rollback is verified",
        )
        lines = shop.lines()
    seen = [line["time"] for line in lines if line["arm"] == ON]
    after = [line["time"] for line in lines if line["time"] > decision.processed_time + 1000]
    last_ms = max(seen) - decision.processed_time
    print(f"{len(seen)} requests saw the variant; the last one {last_ms} ms after the decision")
    assert len(after) > 50
    assert last_ms <= 1000
    assert (decision.flag, decision.canary, decision.exposure) == (FLAG, "on", 0)
    statuses = Counter((line["arm"], line["http.response.status_code"]) for line in lines)
    assert statuses[ON, 500] > 0
    assert statuses[OFF, 500] == statuses["", 500] == 0
    told = [line for line in lines if min(seen) <= line["time"] <= decision.processed_time]
    share = sum(line["arm"] == ON for line in told) / len(told)
    assert abs(share - 0.5) < 4 * 0.5 / len(told) ** 0.5  # four standard deviations
