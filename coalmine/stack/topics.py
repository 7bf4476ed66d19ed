"""Makes the topics of ``contracts.topics`` on a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coalmine.stack.preflight import check_kafka
from contracts.errors import Recoverable
from contracts.settings import KafkaSettings
from contracts.topics import ALL, Topic, replication_factor

_TIMEOUT_MS = 15_000


def ensure_topics(settings: KafkaSettings, topics: Sequence[Topic] = ALL) -> list[str]:
    """Make those of ``topics`` that are missing; what exists stays as its operator set it up.

    Returns:
        Names of the topics that were made.

    Raises:
        ConfigError: the broker refuses us, or we its certificate.
        Recoverable: the broker cannot be reached or refused.
    """
    # kafka-python takes long to import, and most commands never get here.
    from kafka import KafkaAdminClient  # noqa: PLC0415 - see above
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        client = KafkaAdminClient(**settings.client_options(), request_timeout_ms=_TIMEOUT_MS)
    except KafkaError as error:
        check_kafka(settings)
        raise Recoverable(f"Kafka at {settings.bootstrap} cannot be reached: {error}") from error
    try:
        return _create_missing(client, topics, settings.partitions)
    except KafkaError as error:
        raise Recoverable(f"the topics cannot be made: {error}") from error
    finally:
        client.close()


def topic_config(topic: Topic) -> dict[str, str]:
    """The broker's settings of one topic."""
    return {
        "cleanup.policy": "compact" if topic.is_compacted else "delete",
        "retention.ms": str(topic.retention_ms),
        "compression.type": topic.compression,
        "max.message.bytes": str(topic.max_message_bytes),
        "message.timestamp.type": "LogAppendTime" if topic.is_stamped else "CreateTime",
    }


def _create_missing(client: Any, topics: Sequence[Topic], partitions: int) -> list[str]:  # noqa: ANN401 - untyped library
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415 - see ensure_topics

    present = set(client.list_topics())
    replicas = replication_factor(len(client.describe_cluster()["brokers"]))
    made = []
    for topic in topics:
        if topic.name in present:
            continue
        options = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": topic_config(topic),
        }
        try:
            client.create_topics({topic.name: options}, timeout_ms=_TIMEOUT_MS)
        except TopicAlreadyExistsError:
            continue  # another process was faster
        made.append(topic.name)
    if made:
        client.wait_for_topics(made)
    return made
