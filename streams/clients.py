"""aiokafka's clients, where Faust's are not used: how they reach Kafka, and reading by offset."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from contracts.settings import KafkaSettings
from streams.consuming import FETCH_BYTES


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "security_protocol": kafka.security_protocol,
        "ssl_context": ssl_context(kafka),
    }
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password.reveal(),
        }
    return options


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """What TLS is spoken with, if it is."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    return ssl.create_default_context(cafile=kafka.ca_file)


@asynccontextmanager
async def reader(kafka: KafkaSettings) -> AsyncIterator[Any]:
    """A consumer outside of any group: whoever asks for it assigns and seeks; nothing is committed.

    Raises:
        KafkaError: the broker is away, or refuses.
    """
    consumer = AIOKafkaConsumer(
        **aiokafka_options(kafka),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
