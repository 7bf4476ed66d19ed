"""A document that is not acknowledged in time is waited for, and not sent a second time."""

from __future__ import annotations

import pytest
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError
from kafka.future import Future

from alerting.storing import Store
from contracts.errors import Recoverable
from tests.unit.alerting.support import decision


class Acknowledgement(Future):  # type: ignore[misc]  # untyped library
    """As the producer's: ``get`` gives up while nothing came."""

    def get(self, timeout: float) -> None:
        """See kafka-python."""
        assert timeout <= 1
        if not self.is_done:
            raise KafkaTimeoutError("not yet")
        if self.exception:
            raise self.exception


class Producer:
    """Keeps what it was given; the test acknowledges."""

    def __init__(self) -> None:
        self.sent: list[Acknowledgement] = []

    def send(self, topic: str, value: bytes, key: bytes) -> Acknowledgement:
        """See kafka-python."""
        assert topic
        assert value
        assert key
        self.sent.append(Acknowledgement())
        return self.sent[-1]


def test_a_slow_acknowledgement_is_waited_for_and_the_document_not_sent_again() -> None:
    """Offered three times, on the topic once."""
    producer = Producer()
    store = Store(producer)
    for _ in range(2):
        with pytest.raises(Recoverable):
            store.put("t", "k", decision())
    producer.sent[0].success(None)
    store.put("t", "k", decision())
    assert len(producer.sent) == 1


def test_what_the_broker_refused_is_sent_again() -> None:
    """The producer has given it up: the next call starts anew."""
    producer = Producer()
    store = Store(producer)
    with pytest.raises(Recoverable):
        store.put("t", "k", decision())
    producer.sent[0].failure(NotLeaderForPartitionError("moved"))
    with pytest.raises(Recoverable):
        store.put("t", "k", decision())
    with pytest.raises(Recoverable):
        store.put("t", "k", decision())
    producer.sent[1].success(None)
    store.put("t", "k", decision())
    assert len(producer.sent) == 2


def test_documents_do_not_wait_for_one_another() -> None:
    """An acknowledgement belongs to its document."""
    producer = Producer()
    store = Store(producer)
    for number in range(2):
        with pytest.raises(Recoverable):
            store.put("t", "k", decision(id=f"d{number}"))
    producer.sent[1].success(None)
    store.put("t", "k", decision(id="d1"))
    with pytest.raises(Recoverable):
        store.put("t", "k", decision(id="d0"))
    assert len(producer.sent) == 2
