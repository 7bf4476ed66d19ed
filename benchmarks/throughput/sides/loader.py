"""Writes messages to a topic as fast as it can; they come on stdin, see ``common.Loaded``.

Arguments: bootstrap, topic, compression, how many messages at most share one batch of Kafka's. What
the agent compresses is written by its own library: librdkafka does not say how long it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
from confluent_kafka import Producer
from kafka import KafkaProducer

from benchmarks.throughput.sides.common import LENGTH, Loaded

_decode = msgspec.msgpack.Decoder(Loaded).decode


def read() -> Iterator[Loaded]:
    """The messages on stdin."""
    while prefix := sys.stdin.buffer.read(LENGTH.size):
        yield _decode(sys.stdin.buffer.read(LENGTH.unpack(prefix)[0]))


def main() -> None:
    """Write every message, wait until Kafka has all."""
    kafka, topic, compression, together = sys.argv[1:]
    if compression == "zstd" and int(together) == 1:
        as_the_agent(kafka, topic)
    else:
        at_once(kafka, topic, compression, int(together))


def as_the_agent(kafka: str, topic: str) -> None:
    """Write each message by itself, compressed as our agent does."""
    producer = KafkaProducer(
        bootstrap_servers=kafka,
        compression_type="zstd",
        batch_size=0,
        max_request_size=4 * 1024 * 1024,
        acks="all",
        enable_idempotence=True,
    )
    for message in read():
        producer.send(
            topic,
            message.value,
            message.key.encode(),
            timestamp_ms=message.time,
            headers=list(message.headers),
        )
    producer.flush()
    producer.close()


def at_once(kafka: str, topic: str, compression: str, together: int) -> None:
    """Write messages in batches."""
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "compression.type": compression,
            "batch.num.messages": together,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "log_level": 3,
        }
    )
    for message in read():
        while True:
            try:
                producer.produce(
                    topic,
                    message.value,
                    message.key,
                    timestamp=message.time,
                    headers=list(message.headers),
                )
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    producer.flush()


if __name__ == "__main__":
    main()
