"""The topics of the contract on the real broker."""

from __future__ import annotations

from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings
from contracts.topics import ALL, TELEMETRY
from tests.support.stack import consume, own_topic, produce

pytestmark = pytest.mark.integration


def test_every_topic_of_the_table_is_there(kafka_settings: KafkaSettings) -> None:
    """Each topic has the table's settings, and as many partitions as the settings say."""
    with closing(KafkaAdminClient(**kafka_settings.client_options())) as admin:
        topics = {t["name"]: t for t in admin.describe_topics([topic.name for topic in ALL])}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in ALL]
        configs = admin.describe_configs(resources, config_filter="All")["topic"]
    for topic in ALL:
        assert len(topics[topic.name]["partitions"]) == kafka_settings.partitions
        assert configs[topic.name]["retention.ms"]["value"] == str(topic.retention_ms)
        assert configs[topic.name]["compression.type"]["value"] == topic.compression
        kept = "compact" if topic.is_compacted else "delete"
        assert configs[topic.name]["cleanup.policy"]["value"] == kept
        stamped = "LogAppendTime" if topic in TELEMETRY.values() else "CreateTime"
        assert configs[topic.name]["message.timestamp.type"]["value"] == stamped


def test_a_second_call_makes_nothing(kafka_settings: KafkaSettings) -> None:
    """Topics that are there are left as they are."""
    assert ensure_topics(kafka_settings) == []


def test_a_message_comes_back_with_its_key_and_headers(kafka_settings: KafkaSettings) -> None:
    """What is produced to a topic is what a consumer reads."""
    topic = own_topic(kafka_settings)
    produce(kafka_settings, topic.name, [("a", b"1", [("seq", b"7")]), b"2"])
    messages = consume(kafka_settings, topic.name, at_least=2)
    assert {(m.key, m.value, tuple(m.headers)) for m in messages} == {
        (b"a", b"1", (("seq", b"7"),)),
        (None, b"2", ()),
    }
