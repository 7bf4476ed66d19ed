"""The disk queue: what will be sent, written durably before it is sent, deleted when Kafka has it.

One file is one entry: the messages of one flush and the file positions they cover. After a crash
the same bytes go out again under the same sequence numbers, so that readers can drop what they saw.
"""

from __future__ import annotations

import errno
import struct
import threading
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from contracts.errors import Backpressure, InvalidRecord
from ingest.files import FilePosition, sync_directory, write_durably

_HEADER = struct.Struct("<4sIQ")
_MAGIC = b"CMS1"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

log = structlog.get_logger()


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One Kafka message, ready to send."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = []


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One flush. Its telemetry messages carry the sequence numbers ``seq`` to ``last_seq``."""

    seq: int
    last_seq: int
    positions: list[FilePosition]
    messages: list[Message]
    records: int = 0


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a start finds: an entry that was written but perhaps not acknowledged."""

    seq: int
    last_seq: int
    positions: list[FilePosition]


_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Bytes of an entry's file: magic, CRC-32, length, msgpack."""
    payload = msgspec.msgpack.encode(entry)
    return _HEADER.pack(_MAGIC, zlib.crc32(payload), len(payload)) + payload


def decode_entry(data: bytes) -> Entry:
    """The entry in a file's bytes.

    Raises:
        InvalidRecord: too short, another format, a wrong checksum, or not an entry.
    """
    if len(data) < _HEADER.size:
        raise InvalidRecord("entry too short", f"{len(data)} bytes")
    magic, checksum, length = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if magic != _MAGIC:
        raise InvalidRecord("not a spool entry", repr(magic))
    if len(payload) != length or zlib.crc32(payload) != checksum:
        raise InvalidRecord("wrong checksum", f"{len(payload)} of {length} bytes")
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidRecord("not a spool entry", str(error)) from error


class Spool:
    """Entries of one agent in one directory, oldest first. Safe for one writer and one reader.

    Args:
        directory: made when it is not there.
        max_bytes: above this, ``append`` raises ``Backpressure``.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._sizes: dict[int, int] = {}
        self._queue: deque[int] = deque()
        self._changed = threading.Condition()
        self.quarantined = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries."""
        with self._changed:
            return sum(self._sizes.values())

    @property
    def entries(self) -> int:
        """Entries that wait, or that Kafka has and that are not deleted yet."""
        with self._changed:
            return len(self._sizes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._queue

    def recover(self) -> list[Leftover]:
        """Entries that an earlier process left, oldest first; corrupt ones are set aside."""
        leftovers: list[Leftover] = []
        for path in self._directory.glob("*.tmp"):
            path.unlink()
        for path in sorted(self._directory.glob("*.entry")):
            try:
                data = path.read_bytes()
                entry = decode_entry(data)
            except (InvalidRecord, OSError) as error:
                self._set_aside(path, str(error))
                continue
            leftovers.append(Leftover(entry.seq, entry.last_seq, entry.positions))
            self._sizes[entry.seq] = len(data)
            self._queue.append(entry.seq)
        return leftovers

    def highest_seq(self) -> int:
        """The highest number that any file here, quarantined ones included, may have used."""
        names = [*self._directory.glob("*.entry"), *self._directory.glob("quarantine/*.entry")]
        numbers = [part for path in names for part in path.stem.split("-") if part.isdigit()]
        return max((int(number) for number in numbers), default=0)

    def append(self, entry: Entry) -> None:
        """Write an entry durably, then queue it.

        Raises:
            Backpressure: the spool or its disk is full; nothing was written.
        """
        data = encode_entry(entry)
        with self._changed:
            used = sum(self._sizes.values())
        if used and used + len(data) > self._max_bytes:
            raise Backpressure(f"spool is full: {used} bytes wait")
        try:
            write_durably(self._path(entry.seq, entry.last_seq), data)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise Backpressure(f"spool cannot be written: {error.strerror}") from error
            raise
        with self._changed:
            self._sizes[entry.seq] = len(data)
            self._queue.append(entry.seq)
            self._changed.notify_all()

    def next_entry(self, timeout_s: float) -> Entry | None:
        """The oldest entry not yet given, or None when none comes in time."""
        with self._changed:
            if not self._queue:
                self._changed.wait(timeout_s)
            if not self._queue:
                return None
            seq = self._queue.popleft()
        path = self._find(seq)
        try:
            return decode_entry(path.read_bytes())
        except (InvalidRecord, OSError) as error:
            self.quarantine(seq, str(error))
            return None

    def remove(self, seqs: list[int]) -> None:
        """Forget entries that Kafka has and whose positions are in the checkpoint."""
        for seq in seqs:
            self._find(seq).unlink(missing_ok=True)
        sync_directory(self._directory)
        with self._changed:
            for seq in seqs:
                self._sizes.pop(seq, None)
                if seq in self._queue:
                    self._queue.remove(seq)

    def quarantine(self, seq: int, reason: str) -> None:
        """Set an entry aside that can never be sent; the rest goes on."""
        self._set_aside(self._find(seq), reason)
        with self._changed:
            self._sizes.pop(seq, None)

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self._directory / "quarantine"
        target.mkdir(exist_ok=True)
        self.quarantined += 1
        log.error("spool_entry_quarantined", file=path.name, reason=reason)
        try:
            path.rename(target / path.name)
            (target / f"{path.name}.reason").write_text(reason + "\n", encoding="utf-8")
        except OSError as error:
            log.error("spool_quarantine_failed", file=path.name, reason=str(error))  # noqa: TRY400 - own log, no traceback

    def _path(self, seq: int, last_seq: int) -> Path:
        return self._directory / f"{seq:020d}-{last_seq:020d}.entry"

    def _find(self, seq: int) -> Path:
        return next(self._directory.glob(f"{seq:020d}-*.entry"), self._path(seq, seq))
