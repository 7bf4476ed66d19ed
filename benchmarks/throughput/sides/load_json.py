"""Writes JSON events to a topic as fast as it can: lines of key, tab, time, tab, value on stdin.

Messages carry the event's time as their timestamp, as frameworks with event time expect.
Argument: bootstrap, topic, compression.
"""

from __future__ import annotations

import sys

from confluent_kafka import Producer


def main() -> None:
    """Write every line, wait until Kafka has all."""
    kafka, topic, compression = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "compression.type": compression,
            "linger.ms": 50,
            "batch.size": 1 << 19,
            "queue.buffering.max.messages": 500_000,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2",
        }
    )
    for line in sys.stdin.buffer:
        key, time, value = line.rstrip(b"\n").split(b"\t", 2)
        while True:
            try:
                producer.produce(topic, value, key, timestamp=int(time))
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    producer.flush()


if __name__ == "__main__":
    main()
