"""What is known to be in Kafka: the last sequence number and how far each file was read."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from contracts.clock import Clock
from contracts.errors import ConfigError
from ingest.files import FileKey, FilePosition, write_durably

KEYS_BYTES = 128 * 1024
"""So much of the keys of what came over HTTP is kept: 16,384 of them."""


class Snapshot(msgspec.Struct, kw_only=True):
    """The checkpoint's file."""

    version: int = 1
    last_seq: int
    """Every entry up to here is acknowledged."""
    seen_at: int
    """Epoch milliseconds at which the agent last looked at its files."""
    files: list[FilePosition] = []
    received: bytes = b""
    """Keys of what came over HTTP last, oldest first."""


def take_over(known: dict[FileKey, FilePosition], later: Iterable[FilePosition]) -> None:
    """Update positions with those of a later entry, except of files that have begun anew since."""
    for position in later:
        present = known.get(position.key)
        if present is None or present.generation <= position.generation:
            known[position.key] = position


class Checkpoint:
    """Positions that Kafka has acknowledged; saved whole, atomically."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self.is_new = not path.exists()
        snapshot = self._load()
        self.last_seq = snapshot.last_seq
        self.seen_at = snapshot.seen_at
        self.received = snapshot.received
        self._files: dict[FileKey, FilePosition] = {p.key: p for p in snapshot.files}

    @property
    def positions(self) -> list[FilePosition]:
        """How far each file was read."""
        with self._lock:
            return list(self._files.values())

    def advance(
        self, positions: Iterable[FilePosition], last_seq: int, received: bytes = b""
    ) -> None:
        """Take over what one acknowledged entry covers (not yet saved)."""
        with self._lock:
            if received:
                self.received = (self.received + received)[-KEYS_BYTES:]
            take_over(self._files, positions)
            self.last_seq = max(self.last_seq, last_seq)

    def note_opened(self, positions: Iterable[FilePosition]) -> None:
        """Remember where reading began in files that were not known, or that began anew."""
        with self._lock:
            for position in positions:
                known = self._files.get(position.key)
                if known is None or known.generation < position.generation:
                    self._files[position.key] = position

    def forget(self, keys: Iterable[FileKey]) -> None:
        """Drop files that are gone."""
        with self._lock:
            for key in keys:
                self._files.pop(key, None)

    def save(self) -> None:
        """Write durably."""
        with self._lock:
            self.seen_at = self._clock.now_ms()
            snapshot = Snapshot(
                last_seq=self.last_seq,
                seen_at=self.seen_at,
                files=list(self._files.values()),
                received=self.received,
            )
        write_durably(self._path, msgspec.json.encode(snapshot))
        self.is_new = False

    def _load(self) -> Snapshot:
        if self.is_new:
            return Snapshot(last_seq=0, seen_at=0)
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Snapshot)
        except (OSError, msgspec.DecodeError) as error:
            # going on from nothing would count every line a second time
            expected = f"the checkpoint cannot be read ({error}); remove it to read all files anew"
            raise ConfigError(str(self._path), expected) from error
