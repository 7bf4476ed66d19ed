"""Kafka behind TLS and SCRAM: used by every client, and clear words where it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from coalmine.stack.local import LocalStack
from coalmine.stack.preflight import check_kafka
from contracts.errors import ConfigError
from contracts.records import RecordKind
from contracts.settings import KafkaSettings
from contracts.settings import kafka_settings as read
from tests.integration.ingest.agent_process import AgentProcess, shipped, write_config
from tests.support.certificates import Authority
from tests.support.secure_stack import SecureKafka
from tests.support.stack import consume, own_topic, produce, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

USER, PASSWORD = "coalmine", "right horse battery"


@pytest.fixture
def secured(
    stack: LocalStack, kafka_settings: KafkaSettings, tmp_path: Path
) -> Callable[..., Mapping[str, str]]:
    """Gives the variables of a client of the secured listener; changes go on top."""
    server = stack.kafka_server
    assert isinstance(server, SecureKafka)
    assert kafka_settings.bootstrap == server.address  # the topics are there
    server.add_user(USER, PASSWORD)
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n", encoding="utf-8")

    def variables(**changes: str) -> Mapping[str, str]:
        return {
            "COALMINE_KAFKA": f"127.0.0.1:{server.secure_port}",
            "COALMINE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "COALMINE_KAFKA_USER": USER,
            "COALMINE_KAFKA_PASSWORD_FILE": str(secret),
            "COALMINE_KAFKA_CA_FILE": str(server.authority.file),
            **changes,
        }

    return variables


def test_the_agent_ships_through_the_secured_listener(
    secured: Callable[..., Mapping[str, str]], kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """With a password from a file and the authority named, lines arrive; readers do as well."""
    log = tmp_path / "a.log"
    log.write_text('{"time": 1795428000000, "service": "shop", "status": 200}\n', encoding="utf-8")
    agent = unique("agent")
    config = write_config(
        tmp_path / "agent.yaml",
        {
            "agent": agent,
            "state_dir": str(tmp_path / "state"),
            "files": [{"paths": [str(log)], "release": "1"}],
        },
    )
    with AgentProcess(config, secured(), tmp_path / "agent.log") as process:
        wait_until(lambda: shipped(kafka_settings, RecordKind.EVENTS, agent), 60)
        assert process.stop() == 0

    settings = read(secured())
    topic = own_topic(settings)
    produce(settings, topic.name, [b"one"])
    assert [m.value for m in consume(settings, topic.name)] == [b"one"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("password", "refuses the user 'coalmine' or the password"),
        ("authority", "is not to be trusted: self-signed certificate in certificate chain"),
        ("expired", "certificate has expired"),
    ],
)
def test_a_refusal_is_named(
    secured: Callable[..., Mapping[str, str]],
    stack: LocalStack,
    tmp_path: Path,
    case: str,
    words: str,
) -> None:
    """A wrong password, a wrong authority and an expired certificate each have their own sentence,
    which shows no password.
    """
    server = stack.kafka_server
    assert isinstance(server, SecureKafka)
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong horse", encoding="utf-8")
    changes = {
        "password": {"COALMINE_KAFKA_PASSWORD_FILE": str(wrong)},
        "authority": {"COALMINE_KAFKA_CA_FILE": str(Authority(tmp_path / "other").file)},
        "expired": {"COALMINE_KAFKA": f"127.0.0.1:{server.expired_port}"},
    }
    with pytest.raises(ConfigError) as caught:
        check_kafka(read(secured(**changes[case])))

    assert words in str(caught.value)
    assert "horse" not in str(caught.value)


def test_a_process_says_why_it_does_not_start(
    secured: Callable[..., Mapping[str, str]],
    stack_environment: Mapping[str, str],
    tmp_path: Path,
) -> None:
    """A worker with a wrong password ends with exit code 2 and one sentence; doctor says it too."""
    wrong = {"COALMINE_KAFKA_PASSWORD": "wrong horse", "COALMINE_KAFKA_PASSWORD_FILE": ""}
    environment = {**stack_environment, **secured(**wrong)}
    command = [sys.executable, "-m", "coalmine"]
    worker = subprocess.run(
        [*command, "worker", "--state", str(tmp_path / "state")],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    doctor = subprocess.run(
        [*command, "doctor", "--json"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert worker.returncode == 2
    assert "COALMINE_KAFKA_USER: Kafka at 127.0.0.1" in worker.stderr
    assert "Traceback" not in worker.stderr
    parts = {part["part"]: part for part in json.loads(doctor.stdout)}
    assert parts["kafka"]["level"] == "fail"
    assert "refuses the user" in parts["kafka"]["found"]
    assert "horse" not in worker.stderr + doctor.stdout + doctor.stderr


def test_a_broker_that_is_away_is_no_error(secured: Callable[..., Mapping[str, str]]) -> None:
    """Nobody listens: the process starts and waits, as without security."""
    check_kafka(read(secured(COALMINE_KAFKA="127.0.0.1:1")))
