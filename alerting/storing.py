"""Documents on their way to Kafka, each sent once, however often it is asked whether it is there.

The thread that asks has other things to do: while Kafka is away it must not wait long, and a record
that is asked for again is the one that the producer still holds, not another.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec
from kafka.errors import KafkaError

from contracts.errors import Recoverable
from contracts.results import DeadLetter, Decision, Delivery

WITHIN_S = 1.0
"""How long one call waits."""
_HELD_AT_MOST = 1_000


class Store:
    """Puts documents on topics. Safe to use from several threads.

    Args:
        producer: kafka-python's, which goes on trying by itself for its ``delivery_timeout_ms``.
    """

    def __init__(self, producer: Any) -> None:  # noqa: ANN401 - untyped library
        self._producer = producer
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, str], Any] = {}

    def put(self, topic: str, key: str, document: Delivery | Decision | DeadLetter) -> None:
        """Returns once the document is acknowledged.

        Raises:
            Recoverable: it is not yet: call again with the same document.
        """
        identity = topic, document.id
        with self._lock:
            sent = self._under_way.pop(identity, None)
        try:
            if sent is None:
                sent = self._producer.send(topic, msgspec.json.encode(document), key=key.encode())
            sent.get(timeout=WITHIN_S)
        except KafkaError as error:
            if sent is not None and not sent.is_done:
                self._hold(identity, sent)
            raise Recoverable(f"{topic} does not acknowledge: {error}") from error

    def _hold(self, identity: tuple[str, str], sent: Any) -> None:  # noqa: ANN401 - untyped library
        with self._lock:
            self._under_way[identity] = sent
            if len(self._under_way) > _HELD_AT_MOST:
                self._under_way.pop(next(iter(self._under_way)))
