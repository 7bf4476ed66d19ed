"""All files of all sources: found, told apart, followed through rotation, resumed after a stop."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from contracts.clock import Clock
from ingest.files import (
    FileKey,
    FilePosition,
    find_by_key,
    is_same_content,
    matching_files,
    siblings,
)
from ingest.settings import StartAt
from ingest.source import Source
from ingest.tail import Block, TailedFile

_GRACE_MS = 2_000
_MIN_COPY_HEAD = 64
_RETRY_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at one file gave."""

    source: Source
    file: TailedFile
    block: Block


class Watcher:
    """Follows the files of ``sources``.

    Args:
        sources: the first one that matches a file has it.
        positions: how far files were read before the last stop.
        seen_at: epoch milliseconds at which the agent last looked, 0 if never.
        clock: time.
        rotate_wait_s: a file that no glob finds any more is closed after so long without growth.
    """

    def __init__(
        self,
        sources: list[Source],
        positions: Iterable[FilePosition],
        seen_at: int,
        clock: Clock,
        *,
        rotate_wait_s: float,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._rotate_wait_s = rotate_wait_s
        self._remembered = {p.key: p for p in positions}
        self._by_path = {p.listed or p.path: p.key for p in self._remembered.values()}
        self._by_path |= {p.path: p.key for p in self._remembered.values()}
        self._seen_at = seen_at
        self._is_first_start = seen_at == 0
        self._is_first_look = True
        self._files: dict[FileKey, tuple[Source, TailedFile]] = {}
        self._refused: dict[str, float] = {}
        self._next_look_s = 0.0
        self._opened: list[FilePosition] = []
        self._gone: list[FileKey] = []
        _raise_open_files_limit()

    @property
    def open_files(self) -> int:
        """Files that are followed now."""
        return len(self._files)

    def take_changes(self) -> tuple[list[FilePosition], list[FileKey]]:
        """Where reading began in files opened since the last call, and files that are gone."""
        changes = (self._opened, self._gone)
        self._opened, self._gone = [], []
        return changes

    def look(self) -> None:
        """Find new, renamed and vanished files; cheap when called often."""
        if self._clock.monotonic_s() < self._next_look_s:
            return
        began = time.perf_counter()
        listed: set[FileKey] = set()
        now_ms = self._clock.now_ms()
        for source in self._sources:
            for path, status in matching_files(source.config.paths, source.config.exclude):
                key = (status.st_dev, status.st_ino)
                if key not in listed:
                    listed.add(key)
                    self._found(source, path, key)
        if self._is_first_look:
            self._adopt_renamed(listed)
            for source in self._sources:
                for path in source.known_paths(self._by_path):
                    self._adopt_rotated(source, path)
        for key, (_, file) in self._files.items():
            file.is_listed = key in listed
        self._is_first_look = False
        self._seen_at = now_ms
        # many files make a look slow: then look less often, at most a tenth of the time
        took = time.perf_counter() - began
        self._next_look_s = self._clock.monotonic_s() + took * 10

    def read(self) -> Iterator[Reading]:
        """One round over all files: what each one's next bytes complete."""
        for key, (source, file) in list(self._files.items()):
            try:
                yield from self._read_one(source, file)
            except OSError as error:
                log.warning("file_read_failed", file=file.path, error=error.strerror)
                self._close(key)

    def drain(self) -> Iterator[Reading]:
        """Joined records that still wait for a next line; half lines stay for the next start."""
        for source, file in self._files.values():
            block = file.finish()
            if block.lines:
                yield Reading(source, file, block)

    def close(self) -> None:
        """Close all files."""
        for key in list(self._files):
            self._close(key)

    def _found(self, source: Source, path: str, key: FileKey) -> None:
        known = self._files.get(key)
        previous = self._by_path.get(path)
        if known is None:
            self._open(source, path)
        elif known[1].path != path:
            log.info("file_renamed", file=known[1].path, to=path)
            known[1].path = path
        if previous not in (None, key):
            self._adopt_rotated(source, path)
        self._by_path[path] = key

    def _open(
        self, source: Source, path: str, *, listed: str = "", offset: int | None = None
    ) -> None:
        if self._clock.monotonic_s() < self._refused.get(path, 0.0):
            return
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._refused[path] = self._clock.monotonic_s() + _RETRY_S
            log.warning("file_unreadable", file=path, error=error.strerror, retry_s=_RETRY_S)
            return
        self._refused.pop(path, None)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) in self._files:
            os.close(fd)
            return
        remembered = self._remembered.pop((status.st_dev, status.st_ino), None)
        if remembered is not None and not is_same_content(fd, remembered):
            remembered = None  # the inode was used again
        start, generation = self._start(source, fd, status, remembered, offset)
        file = TailedFile(
            path,
            fd,
            source.tail_rules,
            self._clock,
            listed=listed or (remembered.listed if remembered else "") or path,
            offset=start,
            generation=generation,
        )
        self._files[file.key] = (source, file)
        self._by_path[path] = file.key
        self._opened.append(file.position(start))
        log.info("file_opened", file=path, offset=start)

    def _start(
        self,
        source: Source,
        fd: int,
        status: os.stat_result,
        remembered: FilePosition | None,
        offset: int | None,
    ) -> tuple[int, int]:
        if offset is not None:
            return offset, 0
        if remembered is not None:
            if remembered.offset <= status.st_size:
                return remembered.offset, remembered.generation
            return 0, remembered.generation + 1
        is_old = self._is_first_start and self._is_first_look
        if is_old and source.config.start_at is StartAt.END:
            return _last_line_start(fd, status.st_size), 0
        return 0, 0

    def _read_one(self, source: Source, file: TailedFile) -> Iterator[Reading]:
        if file.was_truncated():
            yield from self._truncated(source, file)
        block = file.read()
        if block is None:
            is_done = not file.is_listed and file.idle_s >= self._rotate_wait_s
            block = file.drain() if is_done else file.rest()
            if is_done:
                log.info("file_closed", file=file.path)
                self._gone.append(file.key)
                self._close(file.key)
        if block is not None and block.lines:
            yield Reading(source, file, block)

    def _truncated(self, source: Source, file: TailedFile) -> Iterator[Reading]:
        copy = self._find_copy(source, file)
        log.info("file_truncated", file=file.path, copy=copy)
        if copy is None:
            yield Reading(source, file, file.drain())
        else:
            # copytruncate: the copy has what was not read yet
            self._open(source, copy, listed=file.listed, offset=file.emitted)
        file.begin_again()

    def _find_copy(self, source: Source, file: TailedFile) -> str | None:
        head = file.head
        if len(head) < _MIN_COPY_HEAD:
            return None
        for path, status in reversed(siblings(file.path, source.config.exclude)):
            key = (status.st_dev, status.st_ino)
            is_candidate = key not in self._files and status.st_size >= file.emitted
            if is_candidate and _begins_with(path, head):
                return path
        return None

    def _adopt_rotated(self, source: Source, path: str) -> None:
        """Files that came and were rotated away between two looks: never seen under ``path``."""
        if self._is_first_start and self._is_first_look:
            return
        since_ms = self._seen_at - _GRACE_MS
        for sibling, status in siblings(path, source.config.exclude):
            key = (status.st_dev, status.st_ino)
            is_recent = status.st_mtime_ns // 1_000_000 >= since_ms
            if is_recent and key not in self._files and key not in self._remembered:
                self._open(source, sibling, listed=path)

    def _adopt_renamed(self, listed: set[FileKey]) -> None:
        """Files that were renamed out of the globs while the agent was stopped."""
        for key, position in list(self._remembered.items()):
            if key in listed:
                continue
            directory = os.path.dirname(position.path)  # noqa: PTH120 - texts throughout
            renamed = find_by_key(directory, key)
            found_as = position.listed or position.path
            source = next((s for s in self._sources if s.had(found_as)), None)
            if renamed is not None and source is not None:
                self._open(source, renamed, listed=found_as)
            elif renamed is None and os.path.isdir(directory):  # noqa: PTH112 - as above
                self._gone.append(key)

    def _close(self, key: FileKey) -> None:
        entry = self._files.pop(key, None)
        if entry is not None:
            entry[1].close()


def _begins_with(path: str, head: bytes) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as in files
            return file.read(len(head)) == head
    except OSError:
        return False


def _last_line_start(fd: int, size: int) -> int:
    """Offset after the last newline, so that a line which is being written is read whole."""
    start = max(0, size - 64 * 1024)
    tail = os.pread(fd, size - start, start)
    return start + tail.rfind(b"\n") + 1 if b"\n" in tail else size


def _raise_open_files_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
