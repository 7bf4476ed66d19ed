"""Batches to entries of the spool: numbered, without secrets, what does not fit set aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.records import Record
from ingest import metrics
from ingest.batch import Batch, build_entry, bytes_of, kind_of
from ingest.checkpoint import Checkpoint
from ingest.dead_letters import dead_letter
from ingest.redact import Redactor
from ingest.spool import Message, Spool


@dataclass(slots=True)
class Counters:
    """What this process did so far."""

    lines: int = 0
    bytes_read: int = 0
    records: int = 0
    dead_letters: int = 0
    ignored: int = 0
    """Lines in sources of crashes that show no failure."""
    entries: int = 0
    pauses: int = 0
    """Times at which reading began to wait because the spool or its disk was full."""
    possible_losses: int = 0
    """Files whose end was perhaps not read: cut with no copy left, or gone during a stop."""
    redacted: Counter[str] = field(default_factory=Counter)
    """Secrets that were replaced, by rule."""


class EntryWriter:
    """The one place that numbers entries; for one thread.

    Args:
        agent: the name under which the fences know the numbers.
        redactor: takes the secrets out of records and dead letters.
        spool: takes the entries.
        next_seq: number of the next entry, above every one that was used.
        clock: gives dead letters their time.
    """

    def __init__(
        self, agent: str, redactor: Redactor, spool: Spool, next_seq: int, clock: Clock
    ) -> None:
        self._agent = agent
        self._redactor = redactor
        self._spool = spool
        self._next_seq = next_seq
        self._clock = clock
        self.counters = Counters()

    def write(self, batch: Batch) -> None:
        """Write ``batch`` durably as one entry.

        Raises:
            Backpressure: the spool or its disk is full; nothing was written.
        """
        redacted: Counter[str] = Counter()
        entry = build_entry(
            batch,
            self._agent,
            self._next_seq,
            self._refuse,
            lambda records: self._redactor.batch(records, redacted),
        )
        self._spool.append(entry)
        self._next_seq = entry.last_seq + 1
        self.counters.entries += 1
        self._note_redacted(redacted)

    def letter(
        self,
        line: bytes,
        *,
        identity: str,
        origin: str,
        reason: str,
        detail: str,
        service: str,
        full_length: int | None = None,
    ) -> Message:
        """The dead letter of ``line``, without its secrets; see ``dead_letter``."""
        metrics.DEAD_LETTERS.labels(metrics.reason_label(reason)).inc()
        found: Counter[str] = Counter()
        quoted = self._redactor.rejected(detail, line, found)
        self._note_redacted(found)
        return dead_letter(
            agent=self._agent,
            identity=identity,
            origin=origin,
            reason=reason,
            time=self._clock.now_ms(),
            service=service,
            full_length=full_length,
            **quoted,
        )

    def _refuse(self, record: Record, detail: str) -> Message:
        line = bytes_of(record)
        kind = kind_of(record)
        return self.letter(
            line,
            identity=f"{kind}:{record.time}:{line[:200]!r}",
            origin=f"{self._agent}:{kind}",
            reason="value does not fit its column",
            detail=detail,
            service=self._redactor.text(record.service, Counter()),
        )

    def _note_redacted(self, found: Counter[str]) -> None:
        self.counters.redacted += found
        for rule, count in found.items():
            metrics.REDACTED.labels(rule).inc(count)


def first_seq(checkpoint: Checkpoint, spool: Spool, clock: Clock) -> int:
    """The next sequence number: above every one that was ever used under this agent's name.

    Without a checkpoint the wall clock gives it (microseconds), so that an agent whose state was
    deleted does not start below what the fences have seen: they would drop everything it sends.
    """
    used = max(checkpoint.last_seq, spool.highest_seq())
    return used + 1 if used else clock.now_ms() * 1000
