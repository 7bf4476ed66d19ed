"""People steer a rollout from its page: a question, a command in Kafka, the judge's answer."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, expect

from contracts import indices, topics
from contracts.config import Secret
from contracts.results import Answer, AnswerCode, RolloutCommand, RolloutCommandAction
from contracts.settings import ElasticsearchSettings, KafkaSettings
from dashboard.access.users import Role, hash_password, write_users
from dashboard.words import rollout_path
from tests.support import dashboard_browser
from tests.support.dashboard_seed import Story, plain, write
from tests.support.stack import consume
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PASSWORD = "right horse battery"


@pytest.fixture
def guarded(
    elasticsearch_settings: ElasticsearchSettings, kafka_settings: KafkaSettings, tmp_path: Path
) -> Iterator[str]:
    """Base URL of a dashboard with one operator and one reader."""
    path = tmp_path / "users.yaml"
    hashed = hash_password(Secret(PASSWORD))
    write_users(path, {"alice": hashed, "bob": hashed}, {"alice": Role.OPERATE})
    environment = {**os.environ, "COALMINE_KAFKA": kafka_settings.bootstrap}
    url = elasticsearch_settings.url
    with dashboard_browser.dashboard(url, environment, "--users", str(path)) as base:
        yield base


def test_a_hold_is_asked_for_and_answered(
    store: Elasticsearch, kafka_settings: KafkaSettings, guarded: str, page: Page
) -> None:
    """A reader has no buttons; an operator's reason and name reach Kafka, the answer the page."""
    story = Story(
        service=f"shop-{uuid.uuid4().hex[:8]}", opened_at=int(time.time()) * 1000 - 60_000
    )
    write(store, story.traffic(30))
    address = guarded + rollout_path(story.service, story.canary)
    page.goto(address)
    _sign_in(page, "bob")
    expect(page.locator("#headline")).to_be_visible()
    expect(page.locator(".steer")).to_have_count(0)
    page.get_by_role("button", name="Sign out bob").click()

    page.goto(address)
    _sign_in(page, "alice")
    page.get_by_role("button", name="Hold").click()
    confirm = page.get_by_role("button", name="Confirm")
    expect(confirm).to_be_disabled()
    page.get_by_label("Why").fill("waiting for the database team")
    confirm.click()

    command = _command(kafka_settings, story.service)
    assert command.action is RolloutCommandAction.HOLD
    assert command.canary == story.canary
    assert (command.requested_by, command.reason) == ("alice", "waiting for the database team")
    answer = Answer(
        id=command.id, time=command.time, service=story.service, action=command.action,
        code=AnswerCode.ACCEPTED, message="The rollout is held.", requested_by="alice",
    )  # fmt: skip
    write(store, [(indices.ANSWERS, answer.id, plain(answer))])
    expect(page.locator("#steer-answer")).to_contain_text("The rollout is held.")
    expect(page.locator("#steer-answer .badge")).to_have_text("Accepted")


def _sign_in(page: Page, user: str) -> None:
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _command(kafka: KafkaSettings, service: str) -> RolloutCommand:
    """The command of a service, once it is in Kafka."""
    found: list[RolloutCommand] = []

    def is_there() -> bool:
        found.extend(
            msgspec.json.decode(message.value, type=RolloutCommand)
            for message in consume(kafka, topics.ROLLOUTS.name, at_least=0)
            if message.key == service.encode()
        )
        return bool(found)

    wait_until(is_there, timeout_s=60)
    return found[0]
