"""Kafka as the shipping thread sees it: messages go out in rounds and are acknowledged or not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from contracts.errors import InvalidRecord, Recoverable
from contracts.settings import KafkaSettings
from ingest.spool import Message

_DELIVERY_TIMEOUT_S = 15.0

log = structlog.get_logger()


class Sink(Protocol):
    """Where entries go."""

    def deliver(self, messages: Sequence[Message], should_stop: Callable[[], bool]) -> None:
        """Block until every message is acknowledged.

        Raises:
            Recoverable: not (all) acknowledged; deliver the same messages again later.
            InvalidRecord: this message will never be accepted.
        """
        ...

    def close(self) -> None:
        """Let go of connections, at once."""
        ...


class KafkaSink:
    """A kafka-python producer that is made anew after every failure.

    A failed producer may still hold messages; closing it drops them, and the spool has them.
    """

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: Any = None
        # the library tells of every lost connection itself; here one line for each outage is enough
        logging.getLogger("kafka").setLevel(logging.CRITICAL)

    def deliver(self, messages: Sequence[Message], should_stop: Callable[[], bool]) -> None:
        """See ``Sink``."""
        try:
            producer = self._connected()
            for round_of_messages in rounds(messages):
                futures = [self._send(producer, m) for m in round_of_messages]
                _await_all(futures, should_stop)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            self.close()
            raise InvalidRecord("message too large for kafka", str(error)) from error
        except (KafkaError, OSError, ValueError, AssertionError) as error:
            self.close()
            raise Recoverable(f"{type(error).__name__}: {error}") from error
        except Recoverable:
            self.close()
            raise

    def close(self) -> None:
        """See ``Sink``."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=0)
        except (KafkaError, OSError, RuntimeError) as error:
            log.debug("producer_close_failed", error=str(error))

    def _connected(self) -> Any:  # noqa: ANN401 - kafka-python ships no types
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._settings.client_options(),
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                linger_ms=0,
                batch_size=64 * 1024,
                max_request_size=4 * 1024 * 1024,
                max_block_ms=3_000,
                bootstrap_timeout_ms=2_000,
                request_timeout_ms=10_000,
                delivery_timeout_ms=round(_DELIVERY_TIMEOUT_S * 1000),
                reconnect_backoff_max_ms=1_000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        return self._producer

    @staticmethod
    def _send(producer: Any, message: Message) -> Any:  # noqa: ANN401 - kafka-python ships no types
        return producer.send(
            message.topic,
            value=message.value,
            key=message.key,
            headers=[tuple(header) for header in message.headers],
        )


def rounds(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Messages in groups that hold one telemetry message of each topic, in order.

    Messages without headers (dead letters) need no order and go with the first group.
    """
    groups: list[list[Message]] = [[]]
    depth: dict[str, int] = {}
    for message in messages:
        index = depth.get(message.topic, 0) if message.headers else 0
        depth[message.topic] = index + 1
        while len(groups) <= index:
            groups.append([])
        groups[index].append(message)
    return iter(groups)


def _await_all(futures: Sequence[Any], should_stop: Callable[[], bool]) -> None:
    waited_s = 0.0
    for future in futures:
        while not future.is_done:
            if should_stop():
                raise Recoverable("stopping")
            if waited_s > _DELIVERY_TIMEOUT_S + 5:
                raise Recoverable("no answer")
            if not future._produce_future.wait(0.1):  # noqa: SLF001 - get() would raise on a wait that is merely short
                waited_s += 0.1
        if future.failed():
            raise future.exception
