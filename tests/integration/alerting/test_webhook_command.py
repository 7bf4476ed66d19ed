"""``coalmine webhook`` on real Kafka and Elasticsearch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import elasticsearch
import msgspec
import pytest
import structlog
import yaml
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from coalmine.cli.main import build
from contracts import indices
from contracts.results import Decision, DecisionAction, Delivery, DeliveryOutcome
from contracts.settings import ElasticsearchSettings
from tests.support.alerting import Receiver, Wire, decision_of, new_secret
from tests.support.dashboard_seed import install_templates
from tests.support.stack import unique
from tests.support.waiting import wait_until

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


@pytest.fixture
def coalmine(
    stack_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """``coalmine webhook``, run on the servers of these tests."""
    for name, value in stack_environment.items():
        monkeypatch.setenv(name, value)
    yield lambda *words: CliRunner().invoke(build(), ["webhook", *words])
    structlog.reset_defaults()  # the command has set up its own log


def test_deliveries_are_listed_the_latest_first(
    coalmine: Callable[..., Any], index: Callable[..., None]
) -> None:
    """By service, by decision, at most so many; JSON has every field, the table one line each."""
    first = decision_of(unique("shop"))
    second = decision_of(first.service, action=DecisionAction.ESCALATE, time=first.time + 10)
    index(
        delivery_of(first, 1, outcome=DeliveryOutcome.RETRYING, status=503, reason="http 503"),
        delivery_of(first, 2),
        delivery_of(second, 1),
    )
    listed = coalmine("list", "--service", first.service, "--json")
    found = json.loads(listed.stdout)
    assert [(x["decision"], x["attempt"]) for x in found] == [
        (second.id, 1),
        (first.id, 2),
        (first.id, 1),
    ]
    assert found[2]["reason"] == "http 503"
    one = coalmine("list", "--decision", first.id, "--limit", "1")
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


def test_a_decision_is_sent_again_once_under_its_id_and_recorded(
    coalmine: Callable[..., Any],
    index: Callable[..., None],
    receiver: Callable[..., Receiver],
    wire: Wire,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next attempt, with who asked for it; not while the alerter tries, not when it expired."""
    secret, answers = new_secret(), [500, 200, 200]
    tool = receiver(lambda tool: (answers[len(tool.hits) - 1], {}))
    monkeypatch.setenv("TEST_SECRET", secret)
    file = tmp_path / "endpoints.yaml"
    entry = {"name": "deploy-tool", "url": tool.url, "allow_private": True}
    entry["secret"] = "${env:TEST_SECRET}"
    file.write_text(yaml.safe_dump({"endpoints": [entry]}), encoding="utf-8")
    alive = decision_of(unique("shop"))
    retried = decision_of(alive.service)
    expired = decision_of(alive.service, expires_at=alive.time - 1)
    refused = {"outcome": DeliveryOutcome.REFUSED, "status": 401, "reason": "http 401"}
    retrying = {"outcome": DeliveryOutcome.RETRYING, "status": 503, "reason": "http 503"}
    index(alive, delivery_of(alive, 3, **refused), retried, delivery_of(retried, 1, **retrying))
    index(expired)

    def resend(decision: Decision, *words: str) -> Any:
        return coalmine("resend", decision.id, "--endpoints", str(file), *words)

    failed, done = resend(alive), resend(alive, "--json")
    assert (failed.exit_code, done.exit_code) == (1, 0)
    assert "exhausted, attempt 4: http 500" in failed.stderr
    assert json.loads(done.stdout)[0]["delivery"]["attempt"] == 5
    assert [hit.headers["webhook-id"] for hit in tool.hits] == [alive.id] * 2
    assert "the alerter still tries" in resend(retried).stderr
    assert "it has expired" in resend(expired).stderr
    assert resend(expired, "--force", "--reason", "drill").exit_code == 0
    assert Webhook(secret).verify(tool.hits[2].body, tool.hits[2].headers)["id"] == expired.id
    (forced,) = wait_until(
        lambda: [x for x in wire.deliveries() if x.decision == expired.id], 30, "its record"
    )
    assert forced.outcome is DeliveryOutcome.DELIVERED
    assert (forced.requested_by, forced.request_reason) == ("cli", "drill")
