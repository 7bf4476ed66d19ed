"""The disk queue: what will be sent, written durably before it is sent, deleted when Kafka has it.

One file is one entry: the messages of one flush and the file positions they cover. After a crash
the same bytes go out again under the same sequence numbers, so that readers can drop what they saw.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from contracts.errors import Backpressure, ConfigError, InvalidRecord, Recoverable
from ingest.files import FilePosition, read_whole, remove_if_there, sync_directory, write_durably

_HEADER = struct.Struct("<4sIQ")
_MAGIC = b"CMS1"
QUARANTINE = "quarantine"
_READ_TRIES = 5

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
    received: bytes = b""
    """Keys of what came over HTTP, see ``ingest.receiver.received``."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a start finds: an entry that was written but perhaps not acknowledged."""

    seq: int
    last_seq: int
    positions: list[FilePosition]
    received: bytes = b""

    @classmethod
    def of(cls, entry: Entry) -> Leftover:
        """What to remember of an entry."""
        return cls(entry.seq, entry.last_seq, entry.positions, entry.received)


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
        self._paths: dict[int, str] = {}  # no Path: see write_durably
        self._queue: deque[int] = deque()
        self._tries: Counter[int] = Counter()
        self._changed = threading.Condition()
        self.quarantined = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(str(directory), f"cannot be made: {error.strerror}") from error

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
            leftovers.append(Leftover.of(entry))
            self._add(entry.seq, str(path), len(data))
        return leftovers

    def highest_seq(self) -> int:
        """The highest number that any file here, quarantined ones included, may have used."""
        names = [*self._directory.glob("*.entry"), *self._directory.glob(f"{QUARANTINE}/*.entry")]
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
        path = f"{self._directory}/{entry.seq:020d}-{entry.last_seq:020d}.entry"
        try:
            write_durably(path, data)
        except OSError as error:
            # it may stand there and yet not be durable; the next try may have another last_seq
            with suppress(OSError):
                remove_if_there(path)
            raise Backpressure(f"spool cannot be written: {error.strerror}") from error
        with self._changed:
            self._add(entry.seq, path, len(data))
            self._changed.notify_all()

    def next_entry(self, timeout_s: float) -> Entry | None:
        """The oldest entry not yet given, or None when none comes in time.

        Raises:
            Recoverable: the disk does not give it; ask again a little later.
        """
        with self._changed:
            if not self._queue:
                self._changed.wait(timeout_s)
            if not self._queue:
                return None
            seq = self._queue.popleft()
        try:
            return decode_entry(read_whole(self._paths[seq]))
        except InvalidRecord as error:
            self.quarantine(seq, str(error))
        except OSError as error:
            self._tries[seq] += 1
            if self._tries[seq] < _READ_TRIES:
                with self._changed:
                    self._queue.appendleft(seq)
                raise Recoverable(f"spool entry {seq}: {error.strerror}") from error
            self.quarantine(seq, str(error))
        return None

    def remove(self, seqs: list[int]) -> None:
        """Forget entries that Kafka has and whose positions are in the checkpoint."""
        for seq in seqs:
            if seq in self._paths:
                remove_if_there(self._paths[seq])
        sync_directory(self._directory)
        with self._changed:
            for seq in seqs:
                self._forget(seq)

    def quarantine(self, seq: int, reason: str) -> None:
        """Set an entry aside that can never be sent; the rest goes on."""
        self._set_aside(Path(self._paths[seq]), reason)
        with self._changed:
            self._forget(seq)

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self._directory / QUARANTINE
        self.quarantined += 1
        log.error("spool_entry_quarantined", file=path.name, reason=reason)
        try:
            target.mkdir(exist_ok=True)
            path.rename(target / path.name)
            (target / f"{path.name}.reason").write_text(reason + "\n", encoding="utf-8")
        except OSError as error:
            log.error("spool_quarantine_failed", file=path.name, reason=str(error))  # noqa: TRY400 - own log, no traceback

    def _add(self, seq: int, path: str, size_bytes: int) -> None:
        self._paths[seq] = path
        self._sizes[seq] = size_bytes
        self._queue.append(seq)

    def _forget(self, seq: int) -> None:
        self._paths.pop(seq, None)
        self._sizes.pop(seq, None)
        if seq in self._queue:
            self._queue.remove(seq)
