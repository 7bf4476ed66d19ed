"""Where results and dead letters leave a worker: Kafka, which must have them before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from contracts import arrow, topics
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.results import DeadLetter
from contracts.topics import Topic
from streams import metrics
from streams.durable import DurableApp
from streams.messages import Message

log = structlog.get_logger()

Result = tuple[Topic, str, msgspec.Struct | bytes]
"""Topic, key and value; ``bytes`` were encoded before."""


def raw_topic(app: DurableApp, *names: str) -> Any:  # noqa: ANN401 - Faust has no types
    """Topics whose keys and values stay bytes."""
    return app.topic(
        *names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )


class Outlet:
    """Sends to the topics of one app."""

    def __init__(self, app: DurableApp) -> None:
        self._app = app

    async def publish(self, results: Iterable[Result]) -> None:
        """Send each result to its topic under its key; returns when Kafka has all of them."""
        for sent in await self.send(results):
            await sent

    async def send(self, results: Iterable[Result]) -> list[asyncio.Future[Any]]:
        """Send each result to its topic under its key.

        Returns:
            What is done when Kafka has them.
        """
        self._app.check_lease()
        return [
            await self._app.produce(
                topic.name,
                key.encode(),
                value if isinstance(value, bytes) else msgspec.json.encode(value),
            )
            for topic, key, value in results
        ]

    async def set_aside(self, error: InvalidRecord, stage: str, message: Message) -> None:
        """Make a whole message a dead letter."""
        letter = dead_letter(
            error,
            stage=stage,
            origin=message.origin,
            payload=message.value,
            time=message.timestamp,
            schema=message.headers.get(arrow.SCHEMA_HEADER, b"").decode("utf-8", "replace"),
        )
        log.warning("record_set_aside", origin=message.origin, reason=error.reason)
        await self.publish([(topics.DEADLETTERS, letter.origin, letter)])
        count_dead_letters([letter])


def count_dead_letters(letters: Iterable[DeadLetter]) -> None:
    """Count what was set aside."""
    for letter in letters:
        metrics.DEAD_LETTERS.labels(letter.stage, metrics.reason_label(letter.reason)).inc()
