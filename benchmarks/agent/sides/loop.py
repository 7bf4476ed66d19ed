"""What people write instead of an agent: a loop that tails one file and sends a message a line.

Arguments: bootstrap, topic, file, lines in it, variant. No labels are added, nothing is redacted,
no position is kept, nothing is spooled, and a bad line ends it. Runs in ``.venv-bench``.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

Send = Callable[[bytes], object]
_COMBINED = re.compile(r'\S+ \S+ (\S+) \[([^\]]+)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"')


def tail(path: Path, lines: int) -> Iterator[bytes]:
    """The first ``lines`` lines of a file that may still come and grow."""
    while not path.exists():
        time.sleep(0.01)
    with path.open("rb") as file:
        while lines:
            for line in file:
                yield line
                lines -= 1
            if lines:
                time.sleep(0.01)


def kafka_python(bootstrap: str, topic: str) -> tuple[Send, Callable[[], object]]:
    """Send and flush of a kafka-python producer, with room for large batches."""
    from kafka import KafkaProducer  # noqa: PLC0415 - each variant loads its own client only

    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        compression_type="zstd",
        linger_ms=20,
        batch_size=256 * 1024,
        max_block_ms=60_000,
    )
    producer.partitions_for(topic)
    return (lambda value: producer.send(topic, value)), producer.flush


def confluent(bootstrap: str, topic: str) -> tuple[Send, Callable[[], object]]:
    """The same with confluent-kafka, whose work is done in C and in threads."""
    from confluent_kafka import Producer  # noqa: PLC0415 - as above

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "compression.type": "zstd",
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
        }
    )
    producer.list_topics(topic)

    def send(value: bytes) -> None:
        while True:
            try:
                producer.produce(topic, value)
            except BufferError:
                producer.poll(0.01)
            else:
                producer.poll(0)
                return

    return send, producer.flush


def from_json(line: bytes) -> bytes:
    """A line of JSON, checked by the standard library and sent as it is."""
    json.loads(line)
    return line.rstrip(b"\n")


def from_json_fast(line: bytes) -> bytes:
    """The same, checked by msgspec."""
    msgspec.json.decode(line)
    return line.rstrip(b"\n")


def from_combined(line: bytes) -> bytes:
    """A line in combined format as a JSON object; its time stays a text."""
    found = _COMBINED.match(line.decode())
    assert found is not None
    user, when, request, status, size, _, _ = found.groups()
    asked = request.split(" ")
    return json.dumps(
        {
            "user": user,
            "ts": when,
            "path": asked[1].partition("?")[0] if len(asked) > 1 else "",
            "status": int(status),
            "bytes": 0 if size == "-" else int(size),
        }
    ).encode()


def nothing(_: bytes) -> None:
    """Send to nobody."""


VARIANTS = {
    "kafka-python": (kafka_python, from_json),
    "kafka-python-combined": (kafka_python, from_combined),
    "confluent": (confluent, from_json),
    "confluent-msgspec": (confluent, from_json_fast),
    "confluent-combined": (confluent, from_combined),
    "parse": (None, from_json),
    "read": (None, None),
}


def main() -> None:
    """Send every line of the file once it is there; tell when ready and when done."""
    bootstrap, topic, path, lines, variant = sys.argv[1:]
    client, parse = VARIANTS[variant]
    send, flush = client(bootstrap, topic) if client else (nothing, bool)
    print("ready", flush=True)
    for line in tail(Path(path), int(lines)):
        send(parse(line) if parse else line)
    flush()
    print("done", flush=True)
    sys.stdin.read()  # until its time was taken


if __name__ == "__main__":
    main()
