"""Kafka messages to Elasticsearch documents. Pure: the same message always gives the same ones.

An id is made from the document's own keys, and a version from the judge's own count or else from
its offset, so writing twice equals writing once, and an older copy never replaces a newer one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow, indices, topics
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import HostSample, LogLine, RecordKind
from contracts.results import (
    Answer,
    CrashGroupSighting,
    CrashMark,
    DeadLetter,
    Decision,
    Delivery,
    Verdict,
    Window,
)
from streams.index.annotations import annotations_of
from streams.messages import Message, decode_batch, sender_of
from streams.windows.ids import mixed

MAX_ID_BYTES = 512
"""Elasticsearch refuses a whole request for one longer id."""
_MINUTE_MS = 60_000
ERRORS = frozenset(
    "error err critical crit fatal alert emergency emerg panic severe".split()  # noqa: SIM905
)
"""Severities whose lines are kept all, ours and those that other shippers use."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document on its way; ``origin`` is the message it came from."""

    index: str
    id: str
    version: int
    body: dict[str, Any]
    origin: str


def documents_of(message: Message, log_share: float = 1.0) -> list[Document]:
    """Every document that one message gives.

    Args:
        message: of one of ``TOPICS``.
        log_share: of the log lines that are no errors, which ones are kept.

    Raises:
        InvalidRecord: the message is not what its topic carries.
    """
    if message.topic == topics.LOGS.name:
        return _log_documents(message, log_share)
    if message.topic == topics.HOSTS.name:
        return _host_documents(message)
    decode = _DECODERS.get(message.topic)
    if decode is None:
        raise InvalidRecord("topic is not indexed", message.topic)
    record_type, places = decode
    try:
        record = msgspec.json.decode(message.value, type=record_type)
    except UNREADABLE as error:
        raise InvalidRecord("not a known document", str(error)) from error
    body = msgspec.to_builtins(record)
    # a worker that was wedged may have written an older copy behind a newer one
    version = getattr(record, "version", 0) or message.offset
    written = [(index, document_id, body) for index, document_id in places(record)]
    written += [(mark.index, mark.id, mark.body) for mark in annotations_of(record)]
    return [
        Document(index, bounded_id(document_id), version, content, message.origin)
        for index, document_id, content in written
    ]


def _log_documents(message: Message, share: float) -> list[Document]:
    sender = sender_of(message)
    batch = decode_batch(RecordKind.LOGS, message)
    weights = weights_of(batch, f"{sender.agent}:{sender.seq}", share)
    rows = np.flatnonzero(weights).tolist()
    documents = []
    for row, line in zip(rows, _lines(batch, weights), strict=True):
        body = msgspec.to_builtins(line)
        body["@timestamp"] = body.pop("time")
        body |= {
            "agent": sender.agent,
            "seq": sender.seq,
            "row": row,
            "weight": float(weights[row]),
        }
        documents.append(
            Document(
                index=indices.LOGS.for_time(line.time),
                id=bounded_id(f"{sender.agent}:{sender.seq}:{row}"),
                version=message.offset,
                body=body,
                origin=message.origin,
            )
        )
    return documents


def _host_documents(message: Message) -> list[Document]:
    """The last sample of each host and minute: a page shows no more, and a day stays small."""
    records = arrow.records_from_batch(RecordKind.HOSTS, decode_batch(RecordKind.HOSTS, message))
    samples: dict[str, HostSample] = {}
    for record in records:
        assert isinstance(record, HostSample)
        minute = record.time // _MINUTE_MS
        samples[f"{record.service}|{record.release}|{record.host}|{minute}"] = record
    documents = []
    for key, sample in samples.items():
        body = msgspec.to_builtins(sample)
        body["@timestamp"] = body.pop("time")
        documents.append(
            Document(
                index=indices.HOSTS.for_time(sample.time),
                id=bounded_id(key),
                version=message.offset,
                body=body,
                origin=message.origin,
            )
        )
    return documents


def weights_of(batch: pa.RecordBatch, batch_id: str, share: float) -> npt.NDArray[np.float64]:
    """For how many lines each line of a batch is kept, (n,); 0 for those that are not.

    Errors are kept all. Of the rest a hash chooses, so that a batch that is read again gives the
    same documents; each stands for ``1/share`` lines.

    Args:
        batch: n log lines.
        batch_id: names the batch for ever.
        share: of the lines that are no errors, 0 to 1.
    """
    seed = hashlib.blake2b(batch_id.encode("utf-8", "replace"), digest_size=8).digest()
    rows = np.arange(batch.num_rows, dtype=np.uint64)
    drawn = mixed(rows ^ np.uint64(int.from_bytes(seed))) / 2.0**64
    rest = np.where(drawn < share, 1 / max(share, 1e-9), 0.0)
    column = batch.column("severity")
    is_error = [str(name).lower() in ERRORS for name in column.dictionary.to_pylist()]
    codes = arrow.numbers(column.indices, null=len(is_error)).astype(np.int64)
    return np.where(np.array([*is_error, False])[codes], 1.0, rest)


def _lines(batch: pa.RecordBatch, weights: npt.NDArray[np.float64]) -> list[LogLine]:
    chosen = arrow.where(batch, pa.array(weights > 0))
    records = arrow.records_from_batch(RecordKind.LOGS, chosen)
    return [record for record in records if isinstance(record, LogLine)]


def bounded_id(text: str) -> str:
    """An id that Elasticsearch takes: a long one keeps its beginning and a hash of the whole.

    >>> bounded_id("short"), len(bounded_id("é" * 1000).encode()) <= MAX_ID_BYTES
    ('short', True)
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= MAX_ID_BYTES:
        return text
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return f"{raw[: MAX_ID_BYTES - len(digest) - 1].decode('utf-8', 'ignore')}#{digest}"


Places = list[tuple[str, str]]


def _window_places(window: Window) -> Places:
    key = f"{window.service}|{window.release}|{window.arm}|{window.time}|{window.part}"
    return [(indices.WINDOWS.for_time(window.time), key)]


def _verdict_places(verdict: Verdict) -> Places:
    return [
        (indices.VERDICTS.for_time(verdict.time), f"{verdict.rollout}@{verdict.time}"),
        (indices.ROLLOUTS.for_time(verdict.opened_at), verdict.rollout),
    ]


def _decision_places(decision: Decision) -> Places:
    return [(indices.DECISIONS.for_time(decision.time), decision.id)]


def _answer_places(answer: Answer) -> Places:
    return [(indices.ANSWERS.for_time(answer.time), answer.id)]


def _delivery_places(delivery: Delivery) -> Places:
    return [(indices.DELIVERIES.for_time(delivery.time), delivery.id)]


def _sighting_places(sighting: CrashGroupSighting) -> Places:
    return [(indices.CRASH_GROUPS.for_time(sighting.time), sighting.id)]


def _mark_places(mark: CrashMark) -> Places:
    return [(indices.CRASH_MARKS.for_time(mark.time), mark.id)]


def _dead_letter_places(letter: DeadLetter) -> Places:
    return [(indices.DEADLETTERS.for_time(letter.time), letter.id)]


_DECODERS: dict[str, tuple[type[msgspec.Struct], Callable[[Any], Places]]] = {
    topics.WINDOWS.name: (Window, _window_places),
    topics.VERDICTS.name: (Verdict, _verdict_places),
    topics.DECISIONS.name: (Decision, _decision_places),
    topics.ANSWERS.name: (Answer, _answer_places),
    topics.DELIVERIES.name: (Delivery, _delivery_places),
    topics.CRASH_GROUPS.name: (CrashGroupSighting, _sighting_places),
    topics.CRASH_MARKS.name: (CrashMark, _mark_places),
    topics.DEADLETTERS.name: (DeadLetter, _dead_letter_places),
}

TOPICS: tuple[str, ...] = (*_DECODERS, topics.LOGS.name, topics.HOSTS.name)
"""Every topic that is indexed."""
