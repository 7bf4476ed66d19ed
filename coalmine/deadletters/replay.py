"""Sending dead letters again, each once in effect.

What was set aside on its way in goes back to its topic, with the letter's origin as its agent and
1 as its sequence number: the fences that recognise a batch that comes twice then recognise a
letter that does. What Elasticsearch refused is offered to Elasticsearch again, under the same id
and version. A letter that is bad again becomes a new letter, with an origin of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from coalmine.deadletters.letters import payload_of, place_of, read_message
from contracts import arrow
from contracts.errors import Recoverable
from contracts.results import DeadLetter
from contracts.settings import ElasticsearchSettings, KafkaSettings
from contracts.topics import DEADLETTERS
from streams.index.app import REFUSED, STAGE
from streams.index.documents import Document

_TIMEOUT_S = 15


class Fate(StrEnum):
    """What became of a letter that was to be replayed."""

    REPLAYED = "replayed"
    REFUSED = "refused"


class Replayed(NamedTuple):
    """One letter, and what became of it."""

    id: str
    fate: Fate
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """A message to be sent again, to the partition where its fence is."""

    topic: str
    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]


def refusal(letter: DeadLetter) -> str:
    """Why a letter cannot be replayed; empty where it can."""
    if letter.replayed_at is not None:
        return "it was replayed before; if it failed again, that is a letter of its own"
    place = place_of(letter)
    if place is None:
        return (
            "it is a line of a file, not a message: mend the source's rules for the lines to come"
        )
    if place.topic == DEADLETTERS.name:
        return "it is a dead letter of a dead letter"
    return ""


def again(letter: DeadLetter, payload: bytes) -> Again:
    """The message that puts a letter back.

    Args:
        letter: one without a ``refusal``.
        payload: its whole bytes.
    """
    place = place_of(letter)
    assert place is not None
    headers = [
        (arrow.AGENT_HEADER, f"deadletters/{letter.origin}".encode()),
        (arrow.SEQ_HEADER, b"1"),
    ]
    if letter.schema:
        headers.append((arrow.SCHEMA_HEADER, letter.schema.encode()))
    return Again(place.topic, place.partition, payload, headers)


def replay(
    letters: Sequence[DeadLetter], kafka: KafkaSettings, elasticsearch: ElasticsearchSettings
) -> list[Replayed]:
    """Send letters again, note on each that it was, and tell what became of each.

    Raises:
        Recoverable: a server is away; letters before that one were replayed.
    """
    from kafka import KafkaProducer  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        with closing(KafkaProducer(**kafka.client_options())) as producer:

            def send(topic: str, value: bytes, **options: Any) -> None:  # noqa: ANN401 - of the library
                producer.send(topic, value, **options).get(timeout=_TIMEOUT_S)

            return [_replay_one(letter, kafka, elasticsearch, send) for letter in letters]
    except KafkaError as error:
        raise Recoverable(f"Kafka at {kafka.bootstrap} did not take it: {error}") from error


def _replay_one(
    letter: DeadLetter,
    kafka: KafkaSettings,
    elasticsearch: ElasticsearchSettings,
    send: Callable[..., None],
) -> Replayed:
    if why_not := refusal(letter):
        return Replayed(letter.id, Fate.REFUSED, why_not)
    if letter.stage == STAGE and letter.reason == REFUSED:
        why_not = _store(letter, elasticsearch)
    else:
        why_not = _put_back(letter, kafka, send)
    if why_not:
        return Replayed(letter.id, Fate.REFUSED, why_not)
    noted = msgspec.structs.replace(letter, replayed_at=time.time_ns() // 1_000_000)
    send(DEADLETTERS.name, msgspec.json.encode(noted), key=letter.origin.encode())
    return Replayed(letter.id, Fate.REPLAYED)


def _put_back(letter: DeadLetter, kafka: KafkaSettings, send: Callable[..., None]) -> str:
    place = place_of(letter)
    assert place is not None
    payload: bytes | None = payload_of(letter)
    if letter.truncated:
        payload = read_message(kafka, place)
    if payload is None:
        return f"only its beginning was kept, and {letter.origin} has been deleted by age"
    message = again(letter, payload)
    send(
        message.topic,
        message.value,
        partition=message.partition,
        key=letter.origin.encode(),
        headers=message.headers,
    )
    return ""


def _store(letter: DeadLetter, settings: ElasticsearchSettings) -> str:
    import elastic_transport  # noqa: PLC0415 - slow to import
    import elasticsearch  # noqa: PLC0415 - see above

    if letter.truncated:
        return "only the beginning of the document was kept"
    document = msgspec.json.decode(payload_of(letter), type=Document)
    try:
        with elasticsearch.Elasticsearch(**settings.client_options()) as client:
            client.index(
                index=document.index,
                id=document.id,
                version=document.version,
                version_type="external_gte",
                document=document.body,
            )
    except elasticsearch.ConflictError:
        return ""  # a newer version is there
    except elasticsearch.BadRequestError as error:
        return f"Elasticsearch refuses it still: {error}"[:500]
    except (elastic_transport.TransportError, elasticsearch.ApiError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not take it: {error}") from error
    return ""
