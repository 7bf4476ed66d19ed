"""Dead letters as they stand on their topic: read, filtered, each with its last word."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, Fatal, Recoverable
from contracts.results import DeadLetter
from contracts.settings import KafkaSettings
from contracts.topics import DEADLETTERS

_TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which letters are meant; what is left empty fits all. Times are epoch milliseconds."""

    topic: str = ""
    """The topic of origin."""
    reason: str = ""
    stage: str = ""
    since: int | None = None
    until: int | None = None

    def fit(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.topic or origin_topic(letter) == self.topic)
            and (not self.reason or letter.reason == self.reason)
            and (not self.stage or letter.stage == self.stage)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stood."""

    topic: str
    partition: int
    offset: int


def place_of(letter: DeadLetter) -> Place | None:
    """The message a letter is about, or None where it came from a file.

    >>> letter = DeadLetter(id="", time=0, stage="", reason="", origin="coalmine.events/2/17/4")
    >>> place_of(letter)
    Place(topic='coalmine.events', partition=2, offset=17)
    """
    topic, *numbers = letter.origin.split("/")
    if not topic or len(numbers) not in {2, 3} or not all(n.isdigit() for n in numbers):
        return None
    return Place(topic, int(numbers[0]), int(numbers[1]))


def origin_topic(letter: DeadLetter) -> str:
    """The topic a letter came from; empty where it came from a file."""
    place = place_of(letter)
    return place.topic if place else ""


def payload_of(letter: DeadLetter) -> bytes:
    """The bytes that were set aside."""
    return base64.b64decode(letter.payload)


def merged(messages: Iterable[bytes]) -> list[DeadLetter]:
    """One letter per id, the latest first; what no longer is a letter is left out.

    A letter that was replayed once stays so, whatever came after it.
    """
    letters: dict[str, DeadLetter] = {}
    for value in messages:
        try:
            letter = msgspec.json.decode(value, type=DeadLetter)
        except UNREADABLE:
            continue
        before = letters.get(letter.id)
        if before is not None and letter.replayed_at is None:
            letter.replayed_at = before.replayed_at
        letters[letter.id] = letter
    return sorted(letters.values(), key=lambda letter: letter.time, reverse=True)


def read_letters(settings: KafkaSettings, since: int | None = None) -> list[DeadLetter]:
    """Every letter that is kept, or those that were written since a time, the latest first.

    Raises:
        Recoverable: Kafka cannot be reached.
    """
    from kafka import KafkaConsumer  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        with closing(KafkaConsumer(**settings.client_options())) as consumer:
            return merged(_values(consumer, since))
    except KafkaError as error:
        raise Recoverable(f"Kafka at {settings.bootstrap} cannot be read: {error}") from error


def chosen(letters: Sequence[DeadLetter], ids: Sequence[str]) -> list[DeadLetter]:
    """The letters of these ids, in their order.

    Raises:
        Fatal: there is none of an id.
    """
    by_id = {letter.id: letter for letter in letters}
    if unknown := [one for one in ids if one not in by_id]:
        raise Fatal(f"no dead letter {', '.join(unknown)} is kept")
    return [by_id[one] for one in ids]


def read_message(settings: KafkaSettings, place: Place) -> bytes | None:
    """The bytes that still stand at a place; None where they were deleted by age."""
    from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - slow to import

    partition = TopicPartition(place.topic, place.partition)
    with closing(KafkaConsumer(**settings.client_options())) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, place.offset)
        if consumer.beginning_offsets([partition])[partition] > place.offset:
            return None
        found = consumer.poll(timeout_ms=_TIMEOUT_MS, max_records=1).get(partition, [])
        value: bytes | None = found[0].value if found else None
        return value if found and found[0].offset == place.offset else None


def _values(consumer: Any, since: int | None) -> Iterable[bytes]:  # noqa: ANN401 - untyped library
    from kafka import TopicPartition  # noqa: PLC0415 - slow to import

    numbers = consumer.partitions_for_topic(DEADLETTERS.name) or ()
    partitions = [TopicPartition(DEADLETTERS.name, number) for number in numbers]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    _seek(consumer, partitions, since)
    while any(consumer.position(p) < ends[p] for p in partitions):
        for records in consumer.poll(timeout_ms=500).values():
            yield from (record.value for record in records if record.value)


def _seek(consumer: Any, partitions: list[Any], since: int | None) -> None:  # noqa: ANN401 - untyped
    consumer.seek_to_beginning(*partitions)
    if since is None:
        return
    for partition, found in consumer.offsets_for_times(dict.fromkeys(partitions, since)).items():
        if found is None:
            consumer.seek_to_end(partition)
        else:
            consumer.seek(partition, found.offset)
