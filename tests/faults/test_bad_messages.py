"""Thousands of mutated messages in the live topics: bad ones are set aside, good ones count.

The pure readers say beforehand which message must become a dead letter.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import yaml
from elasticsearch import ApiError, Elasticsearch

from coalmine.stack.local import LocalStack
from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.errors import InvalidRecord
from contracts.policy import Policies
from contracts.results import DeadLetter
from contracts.settings import (
    KafkaSettings,
    elasticsearch_settings,
    kafka_settings,
)
from streams.index.documents import TOPICS as INDEXED
from streams.index.documents import documents_of
from streams.judging import _decode as decode_judged
from streams.messages import Message, aggregate
from tests.faults.conftest import FaultTable
from tests.support.fuzz_targets import messages_by_topic
from tests.support.mutate import mutate
from tests.support.stack import Headers, consume, unique
from tests.support.telemetry import EVENTS_TOPIC, event_batches
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(580)]

_MESSAGES = 10_000
_GOOD_SECONDS = 40
_PER_SECOND = 50
_JUDGED = (topics.PARTIALS.name, topics.ROLLOUTS.name)
_KINDS = {topic.name: kind for kind, topic in topics.TELEMETRY.items()}


@dataclass(frozen=True)
class Sent:
    """A message that was mutated, and where it stands."""

    message: Message

    @property
    def stages(self) -> set[str]:
        """Who must set it aside, as the pure readers say."""
        found = set()
        if self.message.topic in _KINDS and _counts_badly(self.message):
            found.add("streams.aggregate")
        if self.message.topic in _JUDGED and _raises(decode_judged, self.message):
            found.add("streams.judge_rollouts")
        # a dead letter that cannot be read makes no other one: that would go round for ever
        is_stored = self.message.topic in INDEXED and self.message.topic != topics.DEADLETTERS.name
        if is_stored and _raises(documents_of, self.message):
            found.add("streams.index")
        return found


def _counts_badly(message: Message) -> bool:
    return bool(aggregate(_KINDS[message.topic], [message], Policies()).dead_letters)


def _raises(read: Callable[[Message], object], message: Message) -> bool:
    try:
        read(message)
    except InvalidRecord:
        return True
    return False


class Processes:
    """Worker, indexer and alerter of this test."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *arguments: str) -> None:
        """``coalmine ARGUMENTS`` until the test is over."""
        with (self._folder / f"{arguments[0]}.log").open("wb") as log:
            self.running[arguments[0]] = subprocess.Popen(
                [sys.executable, "-m", "coalmine", *arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def dead(self) -> dict[str, str]:
        """Those that have ended, with the end of their logs."""
        return {
            name: (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]
            for name, process in self.running.items()
            if process.poll() is not None
        }

    def stop(self) -> None:
        """End all."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait(10)


@pytest.fixture
def own_stack() -> Iterator[LocalStack]:
    """Servers of this test: other tests' readers need not know what is poison."""
    with tempfile.TemporaryDirectory(prefix="coalmine-bad-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        with LocalStack(Path(name)) as stack:
            yield stack


@pytest.fixture
def processes(own_stack: LocalStack, tmp_path: Path) -> Iterator[Processes]:
    """Worker, indexer and alerter, without a limit on dead letters."""
    environment = {
        **own_stack.environment(),
        "COALMINE_DEADLETTERS_SHARE": "0",
        "COALMINE_DEADLETTERS_CONSECUTIVE": "0",
    }
    ensure_topics(kafka_settings(environment))
    endpoints = tmp_path / "endpoints.yaml"
    endpoints.write_text(yaml.safe_dump({"endpoints": []}), encoding="utf-8")
    running = Processes(tmp_path, {**_outer(), **environment})
    running.start("worker", "--state", str(tmp_path / "worker"))
    running.start("indexer", "--state", str(tmp_path / "indexer"))
    running.start("alerter", "--config", str(endpoints))
    yield running
    running.stop()


def _outer() -> Mapping[str, str]:
    import os  # noqa: PLC0415 - only here

    return os.environ


def test_mutated_messages_in_the_live_topics(
    own_stack: LocalStack,
    processes: Processes,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """No process dies; what the readers refuse is set aside once; each good record counts once."""
    count = fault_rounds(_MESSAGES)
    print(f"seed {fault_seed}, {count} messages")
    kafka = kafka_settings(own_stack.environment())
    service = unique("good")
    now = time.time_ns() // 1_000_000
    seconds = range(_GOOD_SECONDS)
    good = list(event_batches(service, "1", seconds, start_ms=now - 60_000, count=_PER_SECOND))
    sent = send(kafka, poisoned(count, fault_seed), good[:-1])
    produce_good(kafka, good[-1:])
    search = elasticsearch_settings(own_stack.environment())
    with Elasticsearch(**search.client_options()) as client:
        expected = _GOOD_SECONDS * _PER_SECOND
        wait_until(
            lambda: processes.dead() or counted(client, service) >= expected, 240, "good records"
        )
        assert processes.dead() == {}
        must = {(origin, stage) for origin, one in sent.items() for stage in one.stages}
        with contextlib.suppress(AssertionError):
            wait_until(lambda: must <= places(letters(kafka)), 120)
        missing = must - places(letters(kafka))
        print(Counter((origin.split("/")[0], stage) for origin, stage in missing))
        assert [(sent[origin].message, stage) for origin, stage in sorted(missing)[:3]] == []
        time.sleep(2)
        assert counted(client, service) == expected
    found = letters(kafka)
    twice = [name for name, times in Counter(letter.id for letter in found).items() if times > 1]
    more = Counter(stage for origin, stage in places(found) - must)
    fault_table(
        "mutated messages in the live topics",
        f"{count:,} messages, seed {fault_seed}",
        f"no process died; {len(must):,} refused ones set aside, {len(twice)} of them twice; "
        f"{expected:,} good records counted once; set aside besides: {dict(more)}",
    )
    assert processes.dead() == {}
    assert twice == []
    assert len(must) > count / 4


def poisoned(count: int, seed: int) -> Iterator[tuple[str, bytes, Headers]]:
    """Topic, value and headers of mutated messages."""
    chosen = random.Random(seed)
    known = messages_by_topic()
    for _ in range(count):
        topic = chosen.choice(sorted(known))
        value, headers = chosen.choice(known[topic])
        if chosen.random() < 0.1:
            headers = [(name, mutate(text, chosen)[:200]) for name, text in headers]
        yield topic, mutate(value, chosen)[:500_000], headers


def send(
    kafka: KafkaSettings,
    bad: Iterator[tuple[str, bytes, Headers]],
    good: list[tuple[str, bytes, Headers]],
) -> dict[str, Sent]:
    """Send all, the good ones in between; gives the bad ones by their origin."""
    from kafka import KafkaProducer  # noqa: PLC0415 - warns while it is imported

    pending = []
    with contextlib.closing(KafkaProducer(**kafka.client_options(), linger_ms=5)) as producer:
        for number, (topic, value, headers) in enumerate(bad):
            pending.append((producer.send(topic, value, key=b"x", headers=headers), value, headers))
            if number % 200 == 0 and good:
                key, body, told = good.pop(0)
                producer.send(EVENTS_TOPIC, body, key=key.encode(), headers=told)
        for key, body, told in good:
            producer.send(EVENTS_TOPIC, body, key=key.encode(), headers=told)
        sent = {}
        for future, value, headers in pending:
            at = future.get(timeout=60)
            message = Message(at.topic, at.partition, at.offset, at.timestamp, dict(headers), value)
            sent[message.origin] = Sent(message)
    return sent


def produce_good(kafka: KafkaSettings, good: list[tuple[str, bytes, Headers]]) -> None:
    """A fresh batch after all that."""
    from tests.support.stack import produce  # noqa: PLC0415 - beside its use

    produce(kafka, EVENTS_TOPIC, good)


def places(found: list[DeadLetter]) -> set[tuple[str, str]]:
    """Origin of the whole message and stage of each dead letter."""
    return {("/".join(letter.origin.split("/")[:3]), letter.stage) for letter in found}


def letters(kafka: KafkaSettings) -> list[DeadLetter]:
    """Dead letters that the stream processes wrote; what was mutated is none of theirs."""
    found = []
    for message in consume(kafka, topics.DEADLETTERS.name, at_least=0):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            letter = msgspec.json.decode(message.value, type=DeadLetter)
            if letter.stage.startswith("streams."):
                found.append(letter)
    return found


def counted(client: Elasticsearch, service: str) -> int:
    """Requests in all windows of the service."""
    try:
        client.indices.refresh(index="coalmine-windows-*")
        found = client.search(
            index="coalmine-windows-*", query={"term": {"service.name": service}}, size=1000
        )
    except ApiError:
        return -1
    return sum(hit["_source"]["counts"].get("request", 0) for hit in found["hits"]["hits"])
