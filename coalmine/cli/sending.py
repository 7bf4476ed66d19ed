"""How a command tells the stack something: one document on a topic, acknowledged, or answered."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import msgspec

from coalmine.stack.preflight import check_kafka
from contracts.errors import Recoverable
from contracts.results import Answer, RolloutCommand
from contracts.settings import KafkaSettings
from contracts.topics import ANSWERS, ROLLOUTS, Topic

_TIMEOUT_S = 15
ANSWER_WITHIN_S = 10.0
"""So long a command waits for the judge; it stands all the same."""
_POLL_MS = 200


def send(topic: Topic, key: str, document: msgspec.Struct, settings: KafkaSettings) -> None:
    """Send a document and wait until Kafka has it.

    Raises:
        ConfigError: the broker refuses us, or we its certificate.
        Recoverable: Kafka does not answer.
    """
    from kafka import KafkaProducer  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        with closing(
            KafkaProducer(
                **settings.client_options(),
                max_block_ms=_TIMEOUT_S * 1000,
                bootstrap_timeout_ms=_TIMEOUT_S * 1000,
            )
        ) as producer:
            sent = producer.send(topic.name, msgspec.json.encode(document), key=key.encode())
            sent.get(timeout=_TIMEOUT_S)
    except KafkaError as error:
        check_kafka(settings)
        raise Recoverable(f"Kafka at {settings.bootstrap} did not take it: {error}") from error


def ask(
    command: RolloutCommand, settings: KafkaSettings, *, within_s: float = ANSWER_WITHIN_S
) -> Answer | None:
    """Send a command and wait for the judge's answer; ``None`` where none came in time.

    The command stands in Kafka either way: a worker that comes later will take it.

    Raises:
        ConfigError: the broker refuses us, or we its certificate.
        Recoverable: Kafka does not answer.
    """
    from kafka import KafkaConsumer  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        with closing(
            KafkaConsumer(
                **settings.client_options(),
                enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS,
                bootstrap_timeout_ms=_TIMEOUT_S * 1000,
            )
        ) as consumer:
            _listen_from_now_on(consumer)
            send(ROLLOUTS, command.service, command, settings)
            return _answer_to(command, consumer, within_s)
    except KafkaError as error:
        check_kafka(settings)
        raise Recoverable(f"Kafka at {settings.bootstrap} does not answer: {error}") from error


def _listen_from_now_on(consumer: Any) -> None:  # noqa: ANN401 - kafka-python has no types
    """Stand at the end of the answers, and know where that is, before anything is asked."""
    from kafka import TopicPartition  # noqa: PLC0415 - slow to import

    numbers = consumer.partitions_for_topic(ANSWERS.name) or ()
    partitions = [TopicPartition(ANSWERS.name, number) for number in numbers]
    consumer.assign(partitions)
    for partition, offset in consumer.end_offsets(partitions).items():
        consumer.seek(partition, offset)


def _answer_to(
    command: RolloutCommand,
    consumer: Any,  # noqa: ANN401 - kafka-python has no types
    within_s: float,
) -> Answer | None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=_POLL_MS).values():
            for record in records:
                if answer := _read(record.value, command.id):
                    return answer
    return None


def _read(payload: bytes | None, command: str) -> Answer | None:
    try:
        answer = msgspec.json.decode(payload or b"", type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # written by somebody else: not ours to judge
    return answer if answer.id == command else None
