"""How a command tells the stack something: one document on a topic, acknowledged."""

from __future__ import annotations

from contextlib import closing

import msgspec

from coalmine.stack.preflight import check_kafka
from contracts.errors import Recoverable
from contracts.settings import KafkaSettings
from contracts.topics import Topic

_TIMEOUT_S = 15


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
