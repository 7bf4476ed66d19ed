"""``coalmine webhook`` on real Kafka and Elasticsearch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import elasticsearch
import msgspec
import pytest

from contracts import indices
from contracts.results import Decision, DecisionAction, Delivery, DeliveryOutcome
from contracts.settings import ElasticsearchSettings
from tests.support.alerting import decision_of
from tests.support.dashboard_seed import install_templates
from tests.support.stack import unique

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def index(elasticsearch_settings: ElasticsearchSettings) -> Callable[..., None]:
    """Stores results under their ids, as the indexer does, and makes them findable."""

    def put(*results: Decision | Delivery) -> None:
        with closing(elasticsearch.Elasticsearch(**elasticsearch_settings.client_options())) as es:
            install_templates(es)
            for one in results:
                kind = indices.DECISIONS if isinstance(one, Decision) else indices.DELIVERIES
                name = kind.for_time(one.time)
                body = msgspec.to_builtins(one)
                es.index(index=name, id=one.id, document=body, refresh=True)

    return put


def delivery_of(decision: Decision, attempt: int, **changes: Any) -> Delivery:
    """The record of one attempt."""
    fields: dict[str, Any] = {
        "id": f"{decision.id}/deploy-tool/{attempt}",
        "time": decision.time + attempt,
        "decision": decision.id,
        "service": decision.service,
        "rollout": decision.rollout,
        "action": decision.action,
        "endpoint": "deploy-tool",
        "url": "http://deploy.example/hook",
        "attempt": attempt,
        "outcome": DeliveryOutcome.DELIVERED,
        "status": 200,
    }
    return Delivery(**{**fields, **changes})


def coalmine(
    *arguments: str, environment: Mapping[str, str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command, ended."""
    return subprocess.run(
        [sys.executable, "-m", "coalmine", "webhook", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment, **variables},
        timeout=120,
    )


def test_deliveries_are_listed_the_latest_first(
    stack_environment: Mapping[str, str], index: Callable[..., None]
) -> None:
    """By service, by decision, at most so many; JSON has every field, the table one line each."""
    first = decision_of(unique("shop"))
    second = decision_of(first.service, action=DecisionAction.ESCALATE, time=first.time + 10)
    index(
        delivery_of(first, 1, outcome=DeliveryOutcome.RETRYING, status=503, reason="http 503"),
        delivery_of(first, 2),
        delivery_of(second, 1),
    )
    listed = coalmine("list", "--service", first.service, "--json", environment=stack_environment)
    found = json.loads(listed.stdout)
    assert [(x["decision"], x["attempt"]) for x in found] == [
        (second.id, 1),
        (first.id, 2),
        (first.id, 1),
    ]
    assert found[2]["reason"] == "http 503"
    one = coalmine("list", "--decision", first.id, "--limit", "1", environment=stack_environment)
    header, row = one.stdout.splitlines()
    assert header.split("\t")[-3:] == ["outcome", "status", "reason"]
    assert row.split("\t")[1:] == [
        first.service,
        first.id,
        "deploy-tool",
        "2",
        "delivered",
        "200",
        "",
    ]
