"""What people press on a page is done by a real judge or alerter, and the page shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest
import yaml
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, expect

from contracts.config import Secret
from contracts.results import RolloutCommand, RolloutCommandAction
from contracts.settings import KafkaSettings
from contracts.topics import ROLLOUTS
from dashboard.access.users import Role, hash_password, write_users
from dashboard.words import rollout_path
from tests.integration.streams.conftest import WorkerProcess
from tests.support import dashboard_browser
from tests.support.alerting import Alerting, Receiver
from tests.support.driven import BASELINE, CANARY, DrivenTraffic, flowing
from tests.support.stack import produce, unique

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

PASSWORD = "right horse battery"
SERVICE = unique("shop")
POLICY = {
    "service": SERVICE,
    "min_exposures": 100_000_000,  # it stays in its phase
    "metrics": [{"name": "error_rate", "bad": "request.bad", "unit": "event"}],
    "phases": [{"name": "few"}, {"name": "half"}, {"name": "all"}],
}


@pytest.fixture(scope="module")
def acting(
    stack_environment: Mapping[str, str],
    store: Elasticsearch,
    kafka_settings: KafkaSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Base URL of a dashboard with an operator, beside a worker and an indexer."""
    assert store
    assert kafka_settings.bootstrap  # its topics are there
    directory = tmp_path_factory.mktemp("acting")
    (directory / "policies").mkdir()
    (directory / "policies" / "shop.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    users = directory / "users.yaml"
    write_users(users, {"alice": hash_password(Secret(PASSWORD))}, {"alice": Role.OPERATE})
    places = {"worker": ["--policies", str(directory / "policies")], "indexer": []}
    running = [
        WorkerProcess(
            [name, *options, "--state", str(directory / name)],
            stack_environment,
            directory / f"{name}.log",
        )
        for name, options in places.items()
    ]
    for one in running:
        one.start()
    environment = {**os.environ, **stack_environment}
    url = stack_environment["COALMINE_ELASTICSEARCH"]
    with dashboard_browser.dashboard(url, environment, "--users", str(users)) as base:
        yield base
    for one in running:
        one.stop()


def test_what_is_pressed_steers_the_rollout(
    kafka_settings: KafkaSettings, acting: str, page: Page
) -> None:
    """To another phase, then abort: the judge acts, the page shows answer, state, and no button."""
    command = RolloutCommand(
        id=unique("command"),
        time=time.time_ns() // 1_000_000,
        service=SERVICE,
        action=RolloutCommandAction.START,
        canary=CANARY,
        baseline=BASELINE,
    )
    with flowing(DrivenTraffic(kafka_settings, SERVICE, lambda _release, _share: 0.01)) as traffic:
        traffic.share = 0.2
        produce(kafka_settings, ROLLOUTS.name, [(SERVICE, msgspec.json.encode(command))])
        page.goto(acting + rollout_path(SERVICE, CANARY))
        _sign_in(page)
        page.get_by_role("button", name="Go to phase").click(timeout=120_000)
        expect(page.get_by_role("radio", name="half")).to_be_checked()
        page.get_by_label("Why").fill("seen enough of few")
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator("#steer-answer")).to_contain_text("is in phase half")
        page.get_by_role("button", name="Abort").click()
        page.get_by_label("Why").fill("the wrong build")
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator("#steer-answer")).to_contain_text("was ended")
        expect(page.locator("#steer-answer .badge")).to_have_text("Accepted")
        expect(page.get_by_role("button", name="Abort")).to_be_hidden()
        expect(page.locator("#headline")).to_contain_text("aborted")
    page.goto(f"{acting}/decisions?service={SERVICE}&who=alice")
    expect(page.locator(".trail-entry").first).to_contain_text("the wrong build")


def test_send_again_that_is_pressed_reaches_the_endpoint(
    alerting: Callable[..., Alerting],
    receiver: Callable[..., Receiver],
    acting: str,
    page: Page,
) -> None:
    """With a reason, under the name of who asked; what was refused before is delivered now."""
    answers = [400, 200]
    tool = receiver(lambda tool: (answers[len(tool.hits) - 1], {}))
    house = alerting({"name": "tool", "url": tool.url})
    decision = house.decide()
    house.settled(decision)
    page.goto(f"{acting}/decisions?service={house.service}&kind=delivery")
    _sign_in(page)
    page.get_by_role("button", name="Send again").click()
    confirm = page.get_by_role("button", name="Confirm")
    expect(confirm).to_be_disabled()
    page.get_by_label("Why").fill("the tool is back")
    confirm.click()
    expect(page.locator("#resend-answer .badge")).to_have_text("Delivered")
    expect(page.locator(".trail-entry").first).to_contain_text("asked by alice “the tool is back”")
    assert [hit.headers["webhook-id"] for hit in tool.hits] == [decision.id] * 2


def _sign_in(page: Page) -> None:
    page.get_by_label("User").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
