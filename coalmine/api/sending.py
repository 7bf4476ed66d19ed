"""Commands to Kafka: one producer, made when it is first needed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from contracts.errors import Recoverable
from contracts.results import RolloutCommand
from contracts.settings import KafkaSettings
from contracts.topics import ROLLOUTS

_WITHIN_S = 5


class CommandProducer:
    """Puts commands on ``coalmine.rollouts``.

    Args:
        settings: where Kafka is.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: Any = None

    async def __call__(self, command: RolloutCommand) -> None:
        """Send it and wait until Kafka has it.

        Raises:
            Recoverable: Kafka does not answer; it may have the command all the same.
        """
        await asyncio.to_thread(self._put, command)

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        with self._lock:
            if self._producer is not None:
                self._producer.close(timeout=2)

    def _put(self, command: RolloutCommand) -> None:
        key, value = command.service.encode(), msgspec.json.encode(command)
        try:
            sent = self._connected().send(ROLLOUTS.name, value, key=key)
            sent.get(timeout=_WITHIN_S)
        except KafkaError as error:
            raise Recoverable(f"Kafka did not take the command: {error}") from error

    def _connected(self) -> Any:  # noqa: ANN401 - untyped library
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    **self._settings.client_options(),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_block_ms=_WITHIN_S * 1000,
                    bootstrap_timeout_ms=_WITHIN_S * 1000,
                    reconnect_backoff_max_ms=1_000,
                )
            return self._producer
