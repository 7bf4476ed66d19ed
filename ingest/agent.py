"""The agent's loop: look, read, parse, batch, spool. What is in the spool, ``ship`` sends."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import structlog

from contracts.clock import Clock
from contracts.errors import Backpressure
from contracts.records import HostSample, RecordKind
from ingest import metrics
from ingest.batch import Batch
from ingest.checkpoint import KEYS_BYTES, Checkpoint, take_over
from ingest.hosts import HostSampler
from ingest.key_blocks import KeyBlocks
from ingest.parsers.base import without_last_word
from ingest.receiver.inbox import Inbox
from ingest.receiver.intake import Intake, Seen
from ingest.receiver.received import KEY_BYTES
from ingest.redact import Redactor, redactor_of
from ingest.rows import Rows
from ingest.settings import AgentConfig, BatchSettings
from ingest.source import Source
from ingest.spool import Spool
from ingest.tail import Block, TailedFile
from ingest.watch import Reading, Watcher
from ingest.writer import EntryWriter, first_seq

log = structlog.get_logger()


class Agent:
    """Reads files into the spool, one step at a time; restarting continues where it stopped."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        host: str,
        spool: Spool,
        checkpoint: Checkpoint,
        sampler: HostSampler | None,
        clock: Clock,
        redactor: Redactor | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        redactor = redactor or redactor_of(config.redaction, secrets.token_bytes(32))
        self._key_blocks = KeyBlocks() if redactor.has("private_key") else None
        self._limits: BatchSettings = config.batch
        self._checkpoint = checkpoint
        self._sampler = sampler
        self._clock = clock
        self._batch = Batch()
        self._is_waiting = False
        self._is_unsaved = False
        positions = {p.key: p for p in checkpoint.positions}
        received = checkpoint.received
        for leftover in spool.recover():
            take_over(positions, leftover.positions)
            received += leftover.received
        self._writer = EntryWriter(
            config.agent_id, redactor, spool, first_seq(checkpoint, spool, clock), clock
        )
        self.counters = self._writer.counters
        self._intake = None
        if inbox is not None:
            seen = Seen(received, KEYS_BYTES // KEY_BYTES)
            limits = config.batch.max_records, config.dead_letters.limit
            self._intake = Intake(inbox, self._writer, seen, *limits)
        self._watcher = Watcher(
            [Source(source, host, config.dead_letters.limit) for source in config.files],
            positions.values(),
            checkpoint.seen_at,
            clock,
            rotate_wait_s=float(config.rotate_wait),
        )

    @property
    def is_waiting(self) -> bool:
        """Whether the spool is full, so that files wait."""
        return self._is_waiting

    @property
    def stopped_sources(self) -> int:
        """Sources whose files wait, because too many of their lines are no records."""
        return self._watcher.stopped_sources

    def step(self) -> bool:
        """One round over all files and what was received; True when there was something.

        Never raises for what stands there. While the spool is full nothing is read.
        """
        has_received = self._receive()
        can_read = self._look()
        self._follow_moves()
        if not can_read or ((self._is_full() or self._is_waiting) and not self._flush()):
            self._watcher.keep_copies()
            self._follow_moves()
            return has_received
        found = has_received
        for reading in self._watcher.read():
            found = True
            self._follow_moves()
            self._take(reading)
            self._receive()  # whoever sent it waits for an answer, however many files there are
            if self._is_waiting:
                break
        self._follow_moves()
        self._sample()
        self.counters.possible_losses = self._watcher.possible_losses
        if self._is_due():
            self._flush()
        return found

    def finish(self) -> None:
        """Before a stop: what was read goes to the spool, if there is room."""
        if self._intake is not None:
            self._intake.finish()
        for reading in self._watcher.drain():
            self._take(reading)
        if not self._batch.is_empty and not self._flush():
            log.warning("batch_left_unread", records=self._batch.count)
        self._watcher.close()

    def _receive(self) -> bool:
        return self._intake is not None and self._intake.step()

    def _look(self) -> bool:
        """Find files; False when it cannot be noted where reading begins in them."""
        self._watcher.look()
        opened, gone = self._watcher.followed.take_changes()
        # first what is gone: an opened file may have its inode
        self._checkpoint.forget(gone)
        self._checkpoint.note_opened(opened)
        self._is_unsaved |= bool(opened) or self._checkpoint.is_new
        if self._is_unsaved:
            # a kill before the first acknowledgement must not choose the starting points anew,
            # and what is rotated away meanwhile is found only if its path is known
            try:
                self._checkpoint.save()
            except OSError as error:
                self._wait(f"checkpoint cannot be written: {error.strerror}")
                return False
            self._is_unsaved = False
        return True

    def _follow_moves(self) -> None:
        """Files that go on elsewhere do so in the same entry as what was read before."""
        for position in self._watcher.followed.take_moves():
            self._batch.cover(position, 0, self._clock.monotonic_s())

    def _take(self, reading: Reading) -> None:
        """Parse a block piece by piece, so that a batch never exceeds its limit."""
        block = reading.block
        at = 0
        while at < len(block.lines):
            until = len(block.lines)
            # a full spool does not stop this block: it is in memory already, and bounded
            if not self._is_waiting:
                room = max(1, self._limits.max_records - self._batch.count)
                until = self._cut_by_bytes(block, at, min(at + room, until))
            self._take_piece(reading, at, until)
            at = until
            if self._is_full() and not self._is_waiting:
                self._flush()

    def _cut_by_bytes(self, block: Block, at: int, until: int) -> int:
        room = self._limits.max_bytes - self._batch.bytes_read
        if not block.spans and block.ends[until - 1] - block.start_of(at) <= room:
            return until  # even with newlines and what was passed over
        for index in range(at, until):
            room -= len(block.lines[index])
            if room < 0:
                return max(at + 1, index)
        return until

    def _take_piece(self, reading: Reading, at: int, until: int) -> None:
        block, file, source = reading.block, reading.file, reading.source
        lines: Sequence[bytes] = block.lines[at:until]
        cut = {i - at: n for i, n in block.cut.items() if at <= i < until} if block.cut else {}
        lines = self._unexposed(file, lines, cut)
        # what stands in a file was written when the file was last changed, at the latest
        read_time = min(self._clock.now_ms(), file.modified_ms)
        parsed, crashes = source.parse(file.listed, lines, cut, read_time)
        self._batch.add(parsed.rows)
        self._batch.add(crashes)
        metrics.RECORDS.labels(source.config.kind.record_kind).inc(len(parsed.rows))
        metrics.RECORDS.labels(RecordKind.CRASHES).inc(len(crashes))
        metrics.IGNORED.inc(parsed.ignored)
        for index, reason, detail in parsed.rejected:
            start = block.start_of(at + index)
            self._batch.dead_letters.append(
                self._writer.letter(
                    lines[index],
                    identity=f"{file.key[0]}:{file.key[1]}:{file.generation}:{start}",
                    origin=f"{file.path}:{start}",
                    reason=reason,
                    detail=detail,
                    service=source.labels(file.listed).service,
                    full_length=cut.get(index),
                )
            )
        size = sum(map(len, lines))
        self._batch.count += len(parsed.rejected)
        self._batch.cover(file.position(*block.reached(until - 1)), size, self._clock.monotonic_s())
        self._count(len(lines), size, len(parsed.rows) + len(crashes), len(parsed.rejected))
        self.counters.ignored += parsed.ignored
        source.count(len(lines), parsed.rejected)

    def _unexposed(
        self, file: TailedFile, lines: Sequence[bytes], cut: Mapping[int, int]
    ) -> Sequence[bytes]:
        """The lines without secrets that the redactor would not see: in halves or over lines."""
        if cut:
            halved = {i: without_last_word(lines[i].decode("latin-1")) for i in cut}
            lines = [
                halved[i].encode("latin-1") if i in halved else line for i, line in enumerate(lines)
            ]
        return self._key_blocks.cover(file.key, lines) if self._key_blocks else lines

    def _count(self, lines: int, size: int, records: int, rejected: int) -> None:
        metrics.LINES.inc(lines)
        metrics.READ_BYTES.inc(size)
        self.counters.lines += lines
        self.counters.bytes_read += size
        self.counters.records += records
        self.counters.dead_letters += rejected

    def _sample(self) -> None:
        if self._sampler is None:
            return
        sample = self._sampler.sample_if_due()
        if sample is not None:
            self.add_sample(sample)

    def add_sample(self, sample: HostSample) -> None:
        """Take a sample of this machine into the batch."""
        self._batch.add(Rows.of(RecordKind.HOSTS, [sample]))
        if self._batch.started_s is None:
            self._batch.started_s = self._clock.monotonic_s()

    def _is_full(self) -> bool:
        batch, limits = self._batch, self._limits
        return batch.count >= limits.max_records or batch.bytes_read >= limits.max_bytes

    def _is_due(self) -> bool:
        started = self._batch.started_s
        if self._batch.is_empty or started is None:
            return False
        return self._is_full() or self._clock.monotonic_s() - started >= self._limits.max_age

    def _flush(self) -> bool:
        """Write the batch as one entry; False when the spool is full and the batch stays."""
        if not self._batch.is_empty:
            try:
                self._writer.write(self._batch)
            except Backpressure as full:
                self._wait(str(full))
                return False
            self._batch = Batch()
        self._go_on()
        return True

    def _wait(self, reason: str) -> None:
        if not self._is_waiting:
            log.warning("reading_waits", reason=reason)
            self.counters.pauses += 1
            metrics.PAUSES.inc()
        self._is_waiting = True

    def _go_on(self) -> None:
        if self._is_waiting:
            log.info("reading_goes_on")
        self._is_waiting = False
