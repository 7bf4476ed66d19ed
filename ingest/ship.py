"""From the spool to Kafka: one entry at a time, again and again until it is acknowledged.

One entry at a time is what keeps the order: were a later one accepted while an earlier one failed,
the fences would take the earlier one's second try for something already seen.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from contracts.clock import Clock
from contracts.errors import InvalidRecord, Recoverable
from health.vitals import Vitals
from ingest import metrics
from ingest.checkpoint import Checkpoint
from ingest.files import FileKey
from ingest.sink import Sink
from ingest.spool import Entry, Leftover, Spool

_SAVE_EVERY_S = 0.2
_REREAD_S = 1.0
_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_SHIPPING_LIMIT_S = 90.0
"""A few rounds of one entry, each of which may take its delivery timeout."""

log = structlog.get_logger()


class Shipper(threading.Thread):
    """Sends entries, notes what is acknowledged, deletes it; for ever, whatever Kafka does."""

    def __init__(
        self,
        spool: Spool,
        checkpoint: Checkpoint,
        sink: Sink,
        clock: Clock,
        vitals: Vitals | None = None,
    ) -> None:
        super().__init__(name="shipper", daemon=True)
        self._pulse = (vitals or Vitals(clock)).pulse("shipping", _SHIPPING_LIMIT_S)
        self._spool = spool
        self._checkpoint = checkpoint
        self._sink = sink
        self._clock = clock
        self._stopping = threading.Event()
        self._abandon = threading.Event()
        self._acknowledged: list[Leftover] = []
        self._next_save_s = 0.0
        self._can_save = True
        self._sending_since_s: float | None = None
        self.is_failing = False
        """Whether Kafka did not take what was last offered."""
        self.shipped_entries = 0
        self.shipped_records = 0
        self.failure: BaseException | None = None

    @property
    def sending_s(self) -> float:
        """For how long the entry in hand has been offered; 0 where none is."""
        since_s = self._sending_since_s
        return 0.0 if since_s is None else self._clock.monotonic_s() - since_s

    def run(self) -> None:
        """Thread body."""
        try:
            while not self._abandon.is_set():
                self._pulse.beat()
                entry = self._next_entry()
                if entry is None:
                    self._save()
                    if self._stopping.is_set():
                        break
                elif entry.last_seq <= self._checkpoint.last_seq:
                    self._acknowledge(entry)  # a crash came between note and deletion
                else:
                    self._ship(entry)
            self._save()
        except BaseException as error:  # noqa: BLE001 - the main thread ends the process
            self.failure = error
        finally:
            self._pulse.rest()
            self._sink.close()

    def stop(self, timeout_s: float) -> None:
        """Send what waits, for at most so long; what remains is sent after the next start.

        While Kafka is away there is nothing to wait for.
        """
        self._stopping.set()
        deadline_s = self._clock.monotonic_s() + timeout_s
        while self.is_alive() and not self.is_failing:
            if self._clock.monotonic_s() >= deadline_s:
                break
            self.join(0.1)
        self._abandon.set()
        self.join(1.5)

    def _next_entry(self) -> Entry | None:
        try:
            return self._spool.next_entry(0.1)
        except Recoverable as error:
            log.warning("spool_unreadable", error=str(error))
            self._abandon.wait(_REREAD_S)
            return None

    def _ship(self, entry: Entry) -> None:
        self._sending_since_s = self._clock.monotonic_s()
        backoff_s = _FIRST_BACKOFF_S
        is_first = True
        while not self._abandon.is_set():
            self._pulse.beat()
            try:
                self._sink.deliver(entry.messages, self._abandon.is_set)
            except Recoverable as error:
                metrics.SEND_FAILURES.inc()
                if is_first:
                    log.warning("kafka_unreachable", error=str(error)[:300], seq=entry.seq)
                is_first = False
                self.is_failing = True
                self._save()
                self._abandon.wait(backoff_s)
                backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
            except InvalidRecord as error:
                # its lines are set aside with it, not read again
                self._checkpoint.advance(entry.positions, entry.last_seq, entry.received)
                self._spool.quarantine(entry.seq, str(error))
                self._sending_since_s = None
                return
            else:
                if not is_first:
                    log.info("kafka_reachable", seq=entry.seq)
                self.is_failing = False
                self._note(entry)
                return

    def _note(self, entry: Entry) -> None:
        self._sending_since_s = None
        metrics.SENT_ENTRIES.inc()
        for message in entry.messages:
            metrics.SENT_BATCHES.labels(message.topic).inc()
        self._checkpoint.advance(entry.positions, entry.last_seq, entry.received)
        self._acknowledge(entry)
        self.shipped_entries += 1
        self.shipped_records += entry.records
        if self._clock.monotonic_s() >= self._next_save_s:
            self._save()

    def _acknowledge(self, entry: Entry) -> None:
        self._acknowledged.append(Leftover.of(entry))

    def _save(self) -> None:
        """Positions first, then the entries go: a crash in between sends them once more."""
        if not self._acknowledged:
            return
        began_s = self._clock.monotonic_s()
        try:
            self._checkpoint.save()
            self._spool.remove([done.seq for done in self._acknowledged])
        except OSError as error:
            self._make_room(error)
        else:
            self._acknowledged = []
            self._can_save = True
        # a checkpoint of many files takes long: then it is written less often
        now_s = self._clock.monotonic_s()
        self._next_save_s = now_s + max(_SAVE_EVERY_S, 10 * (now_s - began_s))

    def _make_room(self, error: OSError) -> None:
        """A full disk: delete what can go without the checkpoint, so that it has room again."""
        if self._can_save:
            log.warning("checkpoint_unwritable", error=error.strerror)
        self._can_save = False
        outdated = superseded(self._acknowledged)
        try:
            self._spool.remove(outdated)
        except OSError:
            return  # read-only: everything stays for the next try
        self._acknowledged = [done for done in self._acknowledged if done.seq not in outdated]


def superseded(acknowledged: Sequence[Leftover]) -> list[int]:
    """Entries whose every position is in a later one too: no start needs them any more.

    Args:
        acknowledged: oldest first.
    """
    covered: set[FileKey] = set()
    outdated = []
    for done in reversed(acknowledged):
        keys = {position.key for position in done.positions}
        if done is not acknowledged[-1] and keys <= covered:
            outdated.append(done.seq)
        covered |= keys
    return outdated
