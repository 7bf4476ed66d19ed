"""Real SDKs, a real agent, real Kafka: every crash that was answered arrives once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from coalmine.stack.ports import free_port
from contracts.records import Crash, RecordKind
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import shipped
from tests.support.receiving_agent import Receiving
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def receiving(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> Receiving:
    """One of its own for each test."""
    name = unique("receiving")
    return Receiving(name, tmp_path, free_port(), stack_environment, kafka_settings)


def test_the_real_sentry_sdk_needs_only_an_address(receiving: Receiving) -> None:
    """Its crashes arrive with release, host, runtime, frames and cause; the rest is passed over."""
    with receiving.agent() as agent:
        agent.wait_for("receiver_listens")
        dsn = f"http://key@127.0.0.1:{receiving.port}/1"
        command = [sys.executable, "-m", "tests.support.sentry_shop", dsn, receiving.name, "5"]
        subprocess.run(command, check=True, timeout=60, env=dict(os.environ))
        assert agent.stop() == 0
    crashes = shipped(receiving.settings, RecordKind.CRASHES, receiving.name)
    assert len(crashes) == 5
    for number, crash in enumerate(crashes):
        assert isinstance(crash, Crash)
        assert (crash.service, crash.release, crash.host) == (receiving.name, "1.2.3", "web-7")
        assert crash.runtime == "python"
        assert crash.exception_type.endswith("PaymentError")
        assert crash.exception_message == f"{receiving.name} {number}"
        assert "KeyError" in crash.stacktrace
        assert "charge" in [frame.function for frame in crash.frames]


def test_what_was_answered_survives_a_kill_before_kafka_has_it(receiving: Receiving) -> None:
    """Kafka away, 200, SIGKILL: each crash arrives once, also those that are sent again."""
    with receiving.agent(kafka=f"127.0.0.1:{free_port()}") as agent:
        agent.wait_for("receiver_listens")
        assert [receiving.send(number) for number in range(10)] == [200] * 10
        agent.kill()
    with receiving.agent() as agent:
        agent.wait_for("receiver_listens", 2)
        assert [receiving.send(number) for number in range(5, 12)] == [200] * 7
        wait_until(receiving.is_all_shipped, 60)
        assert agent.stop() == 0
    with receiving.agent() as agent:  # what Kafka has is remembered too
        agent.wait_for("receiver_listens", 3)
        assert receiving.send(0) == 200
        assert agent.stop() == 0
    assert receiving.arrived() == Counter(map(str, range(12)))
