"""The files an agent has open, those that rest, and where it left all the others."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

import structlog

from contracts.clock import Clock
from ingest.files import FileKey, FilePosition
from ingest.multiline import Span
from ingest.rotation import is_compressed, open_plain, originals_of
from ingest.settings import SHORTEST_ROTATE_WAIT_S, StartAt
from ingest.source import Source
from ingest.tail import TailedFile

_RETRY_S = 5.0
_MAX_GONE = 10_000
CHANGED = (-1, -1)
"""Status of a file at rest that is to be opened again."""

log = structlog.get_logger()


class OpenFiles:
    """Opens files once each, where reading went so far; closes what rests when there are too many.

    Args:
        positions: how far files were read before the last stop.
        clock: time.
    """

    def __init__(self, positions: Iterable[FilePosition], clock: Clock) -> None:
        self._clock = clock
        self.files: dict[FileKey, tuple[Source, TailedFile]] = {}
        """What is open, with the source that has it."""
        self.remembered = {p.key: p for p in positions}
        """How far files were read that are not open."""
        self.by_path = {p.listed or p.path: p.key for p in self.remembered.values()}
        self.by_path |= {p.path: p.key for p in self.remembered.values()}
        self.resting: dict[FileKey, tuple[int, int]] = {}
        """Size and time of change of files that were read to their end and closed to make room."""
        self.generations: dict[FileKey, int] = {}
        """What the next file with this device and inode begins with."""
        self.starts_at_end = False
        """Whether files that are found now were there before the agent's first start."""
        self.waiting = 0
        """Files that could not be opened since this was last set to 0: too many are open."""
        self.moved: list[FilePosition] = []
        self._opened: list[FilePosition] = []
        self._gone: list[FileKey] = []
        self._refused: dict[str, float] = {}
        self._max_open = max(1, _open_files_limit() // 2)

    def knows(self, key: FileKey) -> bool:
        """Whether a file is open or remembered."""
        return key in self.files or key in self.remembered

    def is_refused(self, path: str) -> bool:
        """Whether a file failed just now and is left alone for a while."""
        return self._refused.get(path, 0.0) > self._clock.monotonic_s()

    def take_changes(self) -> tuple[list[FilePosition], list[FileKey]]:
        """Where reading began in files opened since the last call, and files that are gone."""
        changes = (self._opened, self._gone)
        self._opened, self._gone = [], []
        return changes

    def take_moves(self) -> list[FilePosition]:
        """Where reading goes on after truncations: true once all that was read is in the spool."""
        moves, self.moved = self.moved, []
        return moves

    def open(
        self,
        source: Source,
        path: str,
        *,
        listed: str = "",
        left: FilePosition | None = None,
        is_in_spool: bool = True,
        is_copy_possible: bool = False,
    ) -> bool:
        """Open a file unless it is open, refused, beyond the limit or a copy of an open one.

        Args:
            source: who has it.
            path: where it is.
            listed: the path by which it was found first, if another.
            left: how far it was read under another key; None for where it was left, or its
                beginning.
            is_in_spool: whether everything before that is in the spool already.
            is_copy_possible: whether it may be what copytruncate makes of an open file.
        """
        # a copy of a file that was cut has nobody else to read it: the limit is half of what can be
        if self.is_refused(path) or (left is None and not self.has_room()):
            return False
        try:
            fd = open_plain(path)
        except OSError as error:
            self._refuse(path, error)
            return False
        self._refused.pop(path, None)
        try:
            file = self._begin(source, path, fd, listed, left, is_copy_possible=is_copy_possible)
        except OSError as error:
            self._refuse(path, error)
            file = None
        if file is None:
            os.close(fd)
            return False
        self.files[file.key] = (source, file)
        self.by_path[path] = file.key
        (self._opened if is_in_spool else self.moved).append(file.reached)
        log.info("file_opened", file=path, offset=file.emitted)
        return True

    def has_room(self) -> bool:
        """Whether one more file may be opened; makes room by closing what rests."""
        if len(self.files) < self._max_open:
            return True
        if self.waiting:  # looked for already
            self.waiting += 1
            return False
        resting = [f for _, f in self.files.values() if f.is_at_rest]
        listed = [f for f in resting if f.is_listed]
        rotated = [f for f in resting if not f.is_listed and f.idle_s >= SHORTEST_ROTATE_WAIT_S]
        quiet = sorted(listed or rotated, key=lambda f: f.idle_s)[-self._max_open // 4 :]
        for file in quiet:
            self._rest(file) if file.is_listed else self.drop(file.key, file.generation)
            self.close(file.key)
        self.waiting += not quiet
        return bool(quiet)

    def _rest(self, file: TailedFile) -> None:
        status = os.fstat(file.fd)
        self.remembered[file.key] = file.reached
        self.resting[file.key] = (status.st_size, status.st_mtime_ns)
        if file.was_truncated() or status.st_size != file.emitted:
            self.resting[file.key] = CHANGED  # just now: the next look opens it again

    def rests(self, key: FileKey, status: os.stat_result) -> bool:
        """Whether a file rests and was not changed since."""
        return self.resting.get(key) == (status.st_size, status.st_mtime_ns)

    def rest_if_read(self, key: FileKey, status: os.stat_result) -> None:
        """Let a remembered file that could not be opened rest, if it was read to its end."""
        remembered = self.remembered.get(key)
        is_read = remembered is not None and remembered.offset == status.st_size
        if is_read and remembered is not None and not remembered.waiting:
            self.resting[key] = (status.st_size, status.st_mtime_ns)

    def drop(self, key: FileKey, generation: int) -> None:
        """Note that a file is gone for good."""
        self._gone.append(key)
        self._opened = [p for p in self._opened if p.key != key]
        # entries that wait in the spool may still speak of it when its inode is used again
        self.generations[key] = generation + 1
        if len(self.generations) > _MAX_GONE:
            del self.generations[next(iter(self.generations))]

    def read_failed(self, file: TailedFile, error: OSError) -> None:
        """Leave a file alone for a while; a listed one is opened anew then, where it was left."""
        log.warning("file_read_failed", file=file.path, error=error.strerror, retry_s=_RETRY_S)
        self._refused[file.path] = self._clock.monotonic_s() + _RETRY_S
        if file.is_listed:  # opened again then, from where it was read to
            self.remembered[file.key] = file.reached
            self.close(file.key)

    def close(self, key: FileKey) -> None:
        """Close one file."""
        entry = self.files.pop(key, None)
        if entry is not None:
            entry[1].close()

    def _refuse(self, path: str, error: OSError) -> None:
        self._refused[path] = self._clock.monotonic_s() + _RETRY_S
        log.warning("file_unreadable", file=path, error=error.strerror, retry_s=_RETRY_S)

    def _begin(
        self,
        source: Source,
        path: str,
        fd: int,
        listed: str,
        left: FilePosition | None,
        *,
        is_copy_possible: bool,
    ) -> TailedFile | None:
        """The file ready to be read; None when it is open already, or will be read elsewhere."""
        # a compressed file is known by itself, not by the nameless copy that is read
        status = os.stat(path) if is_compressed(path) else os.fstat(fd)  # noqa: PTH116 - as in files
        key = (status.st_dev, status.st_ino)
        remembered = self.remembered.get(key)
        is_new = key not in self.files and remembered is None
        if key in self.files or (is_new and is_copy_possible and self._is_copy(path, fd)):
            return None
        start, waiting, generation = self._start(source, fd, key, remembered, left)
        file = TailedFile(
            path,
            fd,
            source.tail_rules,
            self._clock,
            key=key,
            listed=listed or (remembered.listed if remembered else "") or path,
            offset=start,
            generation=generation,
            waiting=waiting,
        )
        self.remembered.pop(key, None)
        self.resting.pop(key, None)
        return file

    def _start(
        self,
        source: Source,
        fd: int,
        key: FileKey,
        remembered: FilePosition | None,
        left: FilePosition | None,
    ) -> tuple[int, tuple[Span, ...], int]:
        """Offset, pieces before it that are to be read again, generation."""
        if remembered is not None:
            return remembered.offset, remembered.waiting, remembered.generation
        generation = self.generations.pop(key, 0)
        if left is not None:
            return left.offset, left.waiting, generation
        if self.starts_at_end and source.config.start_at is StartAt.END:
            is_whole = source.tail_rules.whole
            start = os.fstat(fd).st_size if is_whole else _last_line_start(fd)
            return start, (), generation
        return 0, (), generation

    def _is_copy(self, path: str, fd: int) -> bool:
        """Whether a new file is what copytruncate makes of a followed one before it cuts that."""
        for original in originals_of(path):
            known = self.files.get(self.by_path.get(original, (0, 0)))
            if known is not None and known[1].is_copied_by(fd):
                return True
        return False


def _last_line_start(fd: int) -> int:
    """Offset after the last newline, so that a line which is being written is read whole."""
    size = os.fstat(fd).st_size
    start = max(0, size - 64 * 1024)
    tail = os.pread(fd, size - start, start)
    return start + tail.rfind(b"\n") + 1 if b"\n" in tail else size


def _open_files_limit() -> int:
    """How many files this process may open, raised as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
