"""What was received to the spool: many requests in one entry, each group of records once."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence

import structlog

from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.dead_letters import MAX_PAYLOAD_BYTES
from contracts.errors import Backpressure, TooManyDeadLetters
from contracts.records import Record, RecordKind
from ingest import metrics
from ingest.batch import Batch, kind_of
from ingest.parsers.base import without_last_word
from ingest.receiver.inbox import Inbox, Submission
from ingest.receiver.received import KEY_BYTES, Refused, key_of
from ingest.rows import Rows
from ingest.spool import Message
from ingest.writer import EntryWriter

log = structlog.get_logger()


class Seen:
    """The keys of the last groups, which come again when a sender has missed our answer.

    Args:
        keys: what is known at the start, one key after the other, oldest first.
        limit: so many are kept.
    """

    def __init__(self, keys: bytes, limit: int) -> None:
        self._limit = limit
        self._keys: OrderedDict[bytes, None] = OrderedDict()
        self.add(keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, keys: bytes) -> None:
        """Remember more; the oldest ones are forgotten."""
        for at in range(0, len(keys), KEY_BYTES):
            self._keys[keys[at : at + KEY_BYTES]] = None
        while len(self._keys) > self._limit:
            self._keys.popitem(last=False)


class Intake:
    """Takes what waits in the inbox, in the agent's own thread.

    Args:
        inbox: where the receiver puts it.
        writer: shared with the files.
        seen: the keys that an earlier process left.
        max_records: about so many go into one entry.
        limit: so much that is no record in a row gets no dead letters any more.
    """

    def __init__(
        self,
        inbox: Inbox,
        writer: EntryWriter,
        seen: Seen,
        max_records: int,
        limit: DeadLetterLimit,
    ) -> None:
        self._inbox = inbox
        self._writer = writer
        self._seen = seen
        self._max_records = max_records
        self._letters = DeadLetterCount("receiver", limit)
        self._is_flooded = False

    def step(self) -> bool:
        """Spool what waits, an entry's worth at most, and answer it; False when nothing waits."""
        taken = self._inbox.take(self._max_records)
        if taken:
            self._spool(taken)
        return bool(taken)

    def finish(self) -> None:
        """Take no more, and spool everything that is there."""
        self._inbox.close()
        while self.step():
            pass

    def _spool(self, taken: Sequence[Submission]) -> None:
        batch, repeated = self._batch(taken)
        try:
            if not batch.is_empty:
                self._writer.write(batch)
        except Backpressure as full:
            for submission in taken:
                submission.done.set_exception(Backpressure(str(full)))
            return
        self._seen.add(batch.received)
        self._count(batch)
        for submission, count in zip(taken, repeated, strict=True):
            metrics.REPEATED.inc(count)
            submission.done.set_result(count)

    def _batch(self, taken: Iterable[Submission]) -> tuple[Batch, list[int]]:
        """One batch of all, and how many groups of each submission had been there before."""
        batch, repeated = Batch(), []
        keys: dict[bytes, None] = {}
        records: defaultdict[RecordKind, list[Record]] = defaultdict(list)
        for submission in taken:
            known = 0
            for key, members in submission.received.groups:
                if key and (key in self._seen or key in keys):
                    known += 1
                    continue
                if key:
                    keys[key] = None
                for record in members:
                    records[kind_of(record)].append(record)
            repeated.append(known)
            letters = self._letters_of(submission)
            batch.dead_letters += letters
            batch.count += len(letters)
        for kind, members in records.items():
            batch.add(Rows.of(kind, members))
        batch.received = b"".join(keys)
        return batch, repeated

    def _letters_of(self, submission: Submission) -> list[Message]:
        if submission.received.records:
            self._letters.good(submission.received.records)
            self._is_flooded = False
        refused = submission.received.refused
        return [self._letter(part, submission.source) for part in refused if self._may_write(part)]

    def _may_write(self, part: Refused) -> bool:
        """A sender of nothing but garbage is refused all the same, but no longer kept."""
        try:
            self._letters.bad(part.error.reason)
        except TooManyDeadLetters as error:
            if not self._is_flooded:
                log.warning("received_garbage", found=error.found, reason=error.reason)
            self._is_flooded = True
            metrics.UNKEPT.inc()
            return False
        return True

    def _letter(self, part: Refused, source: str) -> Message:
        line, length = part.payload, len(part.payload)
        if length > MAX_PAYLOAD_BYTES:
            line = without_last_word(line[:MAX_PAYLOAD_BYTES].decode("latin-1")).encode("latin-1")
        return self._writer.letter(
            line,
            identity=f"{source}:{key_of(part.payload).hex()}",
            origin=source,
            reason=part.error.reason,
            detail=part.error.detail,
            service=part.service,
            full_length=length,
        )

    def _count(self, batch: Batch) -> None:
        for kind, rows in batch.rows.items():
            metrics.RECORDS.labels(kind).inc(len(rows))
            self._writer.counters.records += len(rows)
        self._writer.counters.dead_letters += len(batch.dead_letters)
