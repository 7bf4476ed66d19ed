"""Writes messages to a topic as fast as it can; they come on stdin, see ``common.Loaded``.

Arguments: bootstrap, topic, compression, how many messages at most share one batch of Kafka's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
from confluent_kafka import Producer

from benchmarks.throughput.sides.common import LENGTH, Loaded

_decode = msgspec.msgpack.Decoder(Loaded).decode


def read() -> Iterator[Loaded]:
    """The messages on stdin."""
    while prefix := sys.stdin.buffer.read(LENGTH.size):
        yield _decode(sys.stdin.buffer.read(LENGTH.unpack(prefix)[0]))


def main() -> None:
    """Write every message, wait until Kafka has all."""
    kafka, topic, compression, together = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "compression.type": compression,
            "batch.num.messages": int(together),
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
