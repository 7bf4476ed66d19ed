"""Kafka is killed while an endpoint is being retried: the rollback leaves all the same, once."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from coalmine.stack.local import LocalStack
from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings
from contracts.settings import kafka_settings as read_kafka_settings
from tests.faults.alerting.honest_tool import HonestTool
from tests.faults.conftest import FaultTable
from tests.support.alerting import Alerting, Receiver, Wire
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.faults,
    pytest.mark.timeout(1_200),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[LocalStack]:
    """A Kafka that these tests may kill."""
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        state_dir = Path(name)
        state_dir.chmod(0o755)
        stack = LocalStack(state_dir)
        stack.start(elasticsearch=False)
        yield stack
        stack.stop()


@pytest.fixture(scope="module")
def stack_environment(own_stack: LocalStack) -> Mapping[str, str]:
    """In place of the run's."""
    return {**os.environ, **own_stack.environment()}


@pytest.fixture(scope="module")
def kafka_settings(stack_environment: Mapping[str, str]) -> KafkaSettings:
    """In place of the run's."""
    settings = read_kafka_settings(stack_environment)
    ensure_topics(settings)
    return settings


@pytest.fixture(scope="module")
def wire(kafka_settings: KafkaSettings) -> Iterator[Wire]:
    """In place of the run's."""
    made = Wire(kafka_settings)
    yield made
    made.close()


def test_a_rollback_is_retried_and_recorded_once_although_kafka_is_killed(
    own_stack: LocalStack,
    alerting: Callable[..., Alerting],
    listen: Callable[[Receiver], None],
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The endpoint comes back while Kafka is away: one effect, one 2xx, one record afterwards."""
    random, rounds = Random(fault_seed), fault_rounds(5)
    print(f"kafka away: seed {fault_seed}")
    tool = HonestTool(lambda _: (200, {}))
    listen(tool)
    house = alerting({"url": tool.url, "retry": {"delays": ["500ms", "1s", "2s"]}})
    found = [_away_while_retried(own_stack, house, tool, random) for _ in range(rounds)]
    away_s, settled_s, fresh_s = (max(values) for values in zip(*found, strict=True))
    fault_table(
        "Kafka killed while an endpoint is retried",
        rounds,
        f"{rounds} of {rounds} delivered while Kafka was away, at most {away_s:.1f} s after the "
        f"endpoint was back; none sent again; recorded {settled_s:.1f} s after Kafka was back, "
        f"a fresh decision delivered after {fresh_s:.1f} s",
    )


def _away_while_retried(
    own_stack: LocalStack, house: Alerting, tool: HonestTool, random: Random
) -> tuple[float, float, float]:
    """One round: seconds from the endpoint's return to the effect, from Kafka's to the record, and
    from Kafka's to the effect of a decision that is made as soon as it is back.
    """
    tool.set_mood("fails")
    before = len(tool.hits)
    decision = house.decide(expires_at=time.time_ns() // 1_000_000 + 600_000)
    wait_until(lambda: len(tool.hits) > before, 30, "the first attempt")
    time.sleep(random.uniform(0, 2))
    own_stack.kafka_server.kill()
    time.sleep(random.uniform(0, 5))
    tool.set_mood("well")
    began = time.monotonic()
    wait_until(lambda: decision.id in tool.effects, 60, "the effect while Kafka is away")
    waited_s = time.monotonic() - began
    assert not own_stack.kafka_server.is_running
    own_stack.kafka_server.start()
    back = time.monotonic()
    fresh = house.decide()
    wait_until(lambda: fresh.id in tool.effects, 60, "a fresh decision")
    fresh_s = time.monotonic() - back
    assert house.settled(decision, 120)[-1].outcome == "delivered"
    settled_s = time.monotonic() - back
    assert tool.acknowledged[decision.id] == 1
    print(f"effect {waited_s:.1f} s, fresh {fresh_s:.1f} s, recorded {settled_s:.1f} s")
    return waited_s, settled_s, fresh_s
