"""The API as a process on a real Kafka: what is on the topics is what it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from contracts import topics
from contracts.results import Answer, RolloutCommand, Verdict
from contracts.settings import KafkaSettings
from contracts.topics import Topic
from tests.support.api_process import ApiProcess, running
from tests.support.health import samples
from tests.support.results import answer, decision, delivery, promoted, regressed, verdict
from tests.support.stack import consume, produce, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def api(
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiProcess]:
    """The API, running."""
    assert kafka_settings.bootstrap  # its topics are there
    with running(stack_environment, tmp_path_factory.mktemp("api")) as process:
        yield process


def _send(kafka: KafkaSettings, topic: Topic, *records: msgspec.Struct) -> None:
    produce(kafka, topic.name, [("key", msgspec.json.encode(record)) for record in records])


def _state(client: httpx.Client, found: Verdict) -> dict[str, Any]:
    query = {"service": found.service, "release": found.canary}
    state: dict[str, Any] = client.get("/v1/verdict", params=query).json()
    return state


def test_it_tells_what_is_on_the_topics_before_and_after_a_restart(
    api: ApiProcess, kafka_settings: KafkaSettings
) -> None:
    """A verdict, its decision and the deliveries are heard at once, and read back at the start;
    bytes that are none of these stop nothing.
    """
    service = unique("heard")
    bad = regressed(service=service, rollout=f"{service}-1")
    told = decision(service=service, rollout=bad.rollout, id=f"{bad.rollout}/employees/rollback")
    with api.client() as client:
        produce(kafka_settings, topics.VERDICTS.name, [b"not JSON"])
        _send(kafka_settings, topics.VERDICTS, verdict(service=service, rollout=bad.rollout), bad)
        _send(kafka_settings, topics.DECISIONS, told)
        _send(kafka_settings, topics.DELIVERIES, delivery(decision=told.id, service=service))
        wait_until(lambda: _state(client, bad)["result"] == "regressed", 20, "it is heard")
        found = wait_until(lambda: client.get(f"/v1/decisions/{told.id}").json()["deliveries"])
        assert [one["endpoint"] for one in found] == ["deploy-tool"]
        assert samples(api.health_port)["coalmine_api_unreadable_total"] >= 1
        api.stop()
        assert "api_stopped" in api.log.read_text(encoding="utf-8")
        api.start()
        assert _state(client, bad)["result"] == "regressed"
        assert client.get(f"/v1/decisions/{told.id}").json()["deliveries"] == found


def test_a_command_reaches_its_topic_and_waits_for_its_answer(
    api: ApiProcess, kafka_settings: KafkaSettings
) -> None:
    """Whoever asked not to wait is answered at once; the answer is there when it comes, and a
    repetition is answered with it.
    """
    service = unique("asked")
    body = {"service": service, "canary": "1.5.0"}
    headers = {"idempotency-key": "build 7", "prefer": "respond-async"}
    with api.client() as client:
        command = client.post("/v1/rollouts", json=body, headers=headers).json()["command"]
        assert command == f"local/{service}/build 7"
        sent = [
            found
            for message in consume(kafka_settings, topics.ROLLOUTS.name)
            if (found := _command(message.value)) and found.service == service
        ]
        assert [(one.id, one.requested_by, one.canary) for one in sent] == [
            (command, "local", "1.5.0")
        ]
        _send(kafka_settings, topics.ANSWERS, answer(id=command, service=service))
        wait_until(lambda: client.get(f"/v1/answers/{command}").status_code == 200)
        again = client.post("/v1/rollouts", json=body, headers={"idempotency-key": "build 7"})
    assert again.status_code == 201
    assert msgspec.json.decode(again.content, type=Answer).id == command


def test_the_list_of_open_rollouts_follows(api: ApiProcess, kafka_settings: KafkaSettings) -> None:
    """A rollout is on it until it is promoted."""
    service = unique("listed")

    def listed() -> list[str]:
        query = {"service": service, "open": "true"}
        found = client.get("/v1/rollouts", params=query).json()["rollouts"]
        return [state["rollout"] for state in found]

    with api.client() as client:
        _send(kafka_settings, topics.VERDICTS, verdict(service=service, rollout=service))
        wait_until(lambda: listed() == [service])
        _send(kafka_settings, topics.VERDICTS, promoted(service=service, rollout=service))
        wait_until(lambda: listed() == [])


def _command(value: bytes) -> RolloutCommand | None:
    try:
        return msgspec.json.decode(value, type=RolloutCommand)
    except msgspec.DecodeError:  # other tests poison this topic
        return None
