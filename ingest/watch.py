"""All files of all sources: found, told apart, followed through rotation, resumed after a stop."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from contracts.clock import Clock
from ingest.files import FileKey, FilePosition, is_excluded, matching_files
from ingest.rotation import (
    Families,
    continues,
    find_by_keys,
    find_copy,
    is_compressed,
    open_plain,
    originals_of,
)
from ingest.settings import StartAt
from ingest.source import Source
from ingest.tail import Block, TailedFile

_GRACE_MS = 2_000
_RETRY_S = 5.0
_MAX_GONE = 10_000

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
        self._since_ms = 0
        self._is_first_start = seen_at == 0
        self._is_first_look = True
        self._files: dict[FileKey, tuple[Source, TailedFile]] = {}
        self._resting: dict[FileKey, tuple[int, int]] = {}
        self._families = Families()
        self._rotated: list[tuple[Source, str, int]] = []
        self._generations: dict[FileKey, int] = {}
        self._orphans: list[tuple[Source, FilePosition]] = []
        self._refused: dict[str, float] = {}
        self._waiting = 0
        self._next_look_s = 0.0
        self._opened: list[FilePosition] = []
        self._gone: list[FileKey] = []
        self._moved: list[FilePosition] = []
        self._max_open = max(1, _open_files_limit() // 2)
        self.possible_losses = 0
        """Files whose end was perhaps not read: cut with no copy left, or gone during a stop."""

    @property
    def open_files(self) -> int:
        """Files that are followed now."""
        return len(self._files)

    def take_changes(self) -> tuple[list[FilePosition], list[FileKey]]:
        """Where reading began in files opened since the last call, and files that are gone."""
        changes = (self._opened, self._gone)
        self._opened, self._gone = [], []
        return changes

    def take_moves(self) -> list[FilePosition]:
        """Where reading goes on after truncations: true once all that was read is in the spool."""
        moves, self._moved = self._moved, []
        return moves

    def look(self) -> None:
        """Find new, renamed and vanished files; cheap when called often."""
        if self._clock.monotonic_s() < self._next_look_s:
            return
        began = time.perf_counter()
        self._since_ms = self._seen_at - _GRACE_MS
        self._seen_at = self._clock.now_ms()
        self._waiting = 0
        self._families.renew()
        # what is known comes first: a new file may be its copy
        listed, unknown = self._look_at_globs()
        if self._is_first_look:
            self._find_renamed([k for k in self._remembered if k not in listed], is_read=False)
        self._forget_resting(listed)
        self._claim_copies()
        if unknown or self._rotated:
            self.keep_copies()
        for source, path in unknown:
            self._open(source, path, is_copy_possible=True)
        self._adopt_all_rotated()
        for key, (_, file) in self._files.items():
            file.is_listed = key in listed
        self._is_first_look = False
        if self._waiting:
            log.warning("files_wait_for_a_handle", files=self._waiting, open=len(self._files))
            return
        # many files make a look slow: then look less often, at most a tenth of the time
        took = time.perf_counter() - began
        self._next_look_s = self._clock.monotonic_s() + took * 10

    def keep_copies(self) -> None:
        """Open the copies of files that were truncated, before they are taken for new files."""
        for source, file in list(self._files.values()):
            try:
                if file.was_truncated():
                    self._follow_copy(source, file)
            except OSError as error:
                self._read_failed(file, error)

    def read(self) -> Iterator[Reading]:
        """One round over all files: what each one's next bytes complete."""
        for source, file in list(self._files.values()):
            if source.is_stopped or self._refused.get(file.path, 0.0) > self._clock.monotonic_s():
                continue
            try:
                yield from self._read_one(source, file)
            except OSError as error:
                self._read_failed(file, error)

    @property
    def stopped_sources(self) -> int:
        """Sources that are not read any more, because too many of their lines are no records."""
        return sum(source.is_stopped for source in self._sources)

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

    def _look_at_globs(self) -> tuple[set[FileKey], list[tuple[Source, str]]]:
        """Keys of all files that the globs find, and those that were never seen."""
        listed: set[FileKey] = set()
        unknown: list[tuple[Source, str]] = []
        for source in self._sources:
            for path, status in matching_files(source.config.paths, source.config.exclude):
                key = (status.st_dev, status.st_ino)
                if key in listed:
                    continue
                listed.add(key)
                if self._by_path.get(path) != key:
                    self._rotated.append((source, path, self._since_ms))
                if self._is_known(source, path, status):
                    self._found(source, path, status)
                else:
                    unknown.append((source, path))
        return listed, unknown

    def _is_known(self, source: Source, path: str, status: os.stat_result) -> bool:
        key = (status.st_dev, status.st_ino)
        remembered = self._remembered.get(key)
        if remembered is None or self._is_resting(key, status) or continues(path, remembered):
            return remembered is not None or key in self._files
        # truncated while nobody looked, or another file with the same inode
        self._leave(source, remembered)
        self._generations[key] = remembered.generation + 1
        return False

    def _leave(self, source: Source, position: FilePosition) -> None:
        """What a position speaks of is elsewhere now, if it had begun at all."""
        del self._remembered[position.key]
        if position.head_length:
            self._orphans.append((source, position))

    def _is_resting(self, key: FileKey, status: os.stat_result) -> bool:
        return self._resting.get(key) == (status.st_size, status.st_mtime_ns)

    def _found(self, source: Source, path: str, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        known = self._files.get(key)
        if known is None:
            if not self._is_resting(key, status):
                self._open(source, path)
        elif known[1].path != path:
            log.info("file_renamed", file=known[1].path, to=path)
            known[1].moved_to(path)
        self._by_path[path] = key

    def _open(
        self,
        source: Source,
        path: str,
        *,
        listed: str = "",
        offset: int | None = None,
        is_in_spool: bool = True,
        is_copy_possible: bool = False,
    ) -> bool:
        if self._clock.monotonic_s() < self._refused.get(path, 0.0) or not self._has_room():
            return False
        try:
            fd = open_plain(path)
        except OSError as error:
            self._refuse(path, error)
            return False
        self._refused.pop(path, None)
        try:
            file = self._begin(source, path, fd, listed, offset, is_copy_possible=is_copy_possible)
        except OSError as error:
            self._refuse(path, error)
            file = None
        if file is None:
            os.close(fd)
            return False
        self._files[file.key] = (source, file)
        self._by_path[path] = file.key
        (self._opened if is_in_spool else self._moved).append(file.position(file.emitted))
        log.info("file_opened", file=path, offset=file.emitted)
        return True

    def _refuse(self, path: str, error: OSError) -> None:
        self._refused[path] = self._clock.monotonic_s() + _RETRY_S
        log.warning("file_unreadable", file=path, error=error.strerror, retry_s=_RETRY_S)

    def _begin(
        self,
        source: Source,
        path: str,
        fd: int,
        listed: str,
        offset: int | None,
        *,
        is_copy_possible: bool,
    ) -> TailedFile | None:
        """The file ready to be read; None when it is open already, or will be read elsewhere."""
        # a compressed file is known by itself, not by the nameless copy that is read
        status = os.stat(path) if is_compressed(path) else os.fstat(fd)  # noqa: PTH116 - as in files
        key = (status.st_dev, status.st_ino)
        remembered = self._remembered.get(key)
        is_new = key not in self._files and remembered is None
        if key in self._files or (is_new and is_copy_possible and self._is_copy(path, fd)):
            return None
        start, generation = self._start(source, fd, key, remembered, offset)
        file = TailedFile(
            path,
            fd,
            source.tail_rules,
            self._clock,
            key=key,
            listed=listed or (remembered.listed if remembered else "") or path,
            offset=start,
            generation=generation,
        )
        self._remembered.pop(key, None)
        self._resting.pop(key, None)
        return file

    def _start(
        self,
        source: Source,
        fd: int,
        key: FileKey,
        remembered: FilePosition | None,
        offset: int | None,
    ) -> tuple[int, int]:
        if remembered is not None:
            return remembered.offset, remembered.generation
        generation = self._generations.pop(key, 0)
        if offset is not None:
            return offset, generation
        is_old = self._is_first_start and self._is_first_look
        if is_old and source.config.start_at is StartAt.END:
            return _last_line_start(fd), generation
        return 0, generation

    def _is_copy(self, path: str, fd: int) -> bool:
        """Whether a new file is what copytruncate makes of a followed one before it cuts that."""
        for original in originals_of(path):
            known = self._files.get(self._by_path.get(original, (0, 0)))
            if known is not None and known[1].is_copied_by(fd):
                return True
        return False

    def _has_room(self) -> bool:
        if len(self._files) < self._max_open:
            return True
        quiet = [(f.idle_s, k) for k, (_, f) in self._files.items() if f.is_listed and f.is_at_rest]
        for _, key in sorted(quiet)[-self._max_open // 4 :]:
            file = self._files[key][1]
            status = os.fstat(file.fd)
            self._remembered[key] = file.position(file.emitted)
            self._resting[key] = (status.st_size, status.st_mtime_ns)
            if file.was_truncated() or status.st_size != file.emitted:
                self._resting[key] = (-1, -1)  # changed just now: the next look opens it again
            self._close(key)
        if not quiet:
            self._waiting += 1
        return bool(quiet)

    def _forget_resting(self, listed: set[FileKey]) -> None:
        missing = [key for key in self._resting if key not in listed]
        for key in missing:
            del self._resting[key]
        self._find_renamed(missing, is_read=True)

    def _read_one(self, source: Source, file: TailedFile) -> Iterator[Reading]:
        if file.was_truncated() and not self._follow_copy(source, file):
            self._count_loss(file.path)
            yield Reading(source, file, file.drain())
            self._begin_again(file)
        block = file.read()
        if block is None:
            is_done = not file.is_listed and file.idle_s >= self._rotate_wait_s
            block = file.drain() if is_done else file.rest()
            if is_done:
                log.info("file_closed", file=file.path)
                self._is_gone(file.key, file.generation)
                self._close(file.key)
        if block is not None and block.lines:
            yield Reading(source, file, block)

    def _follow_copy(self, source: Source, file: TailedFile) -> bool:
        """Copytruncate: the copy has what was not read yet."""
        self._families.renew()
        was_opened = self._claim(source, file.position(file.emitted), is_in_spool=False)
        log.info("file_truncated", file=file.path, has_copy=was_opened)
        if was_opened:
            self._begin_again(file)
        return was_opened

    def _begin_again(self, file: TailedFile) -> None:
        file.begin_again()
        self._moved.append(file.position(0))

    def _claim(self, source: Source, orphan: FilePosition, *, is_in_spool: bool) -> bool:
        """Go on in the copy of a file that was truncated or is gone, and in what came after it."""
        taken = self._files.keys() | self._remembered.keys()
        original = orphan.listed or orphan.path
        family = [
            (path, status)
            for relative in (original, *originals_of(original))
            for path, status in self._families.of(relative)
            if is_compressed(path) or not is_excluded(path, source.config.exclude)
        ]
        copy = find_copy(orphan, family, taken, self._since_ms)
        if copy is None:
            return False
        was_opened = self._open(
            source, copy[0], listed=original, offset=orphan.offset, is_in_spool=is_in_spool
        )
        self._rotated.append((source, original, copy[1].st_mtime_ns // 1_000_000))
        return was_opened

    def _claim_copies(self) -> None:
        orphans, self._orphans = self._orphans, []
        for source, orphan in orphans:
            if not self._claim(source, orphan, is_in_spool=True):
                self._count_loss(orphan.path)

    def _adopt_all_rotated(self) -> None:
        """Look beside every path that has another file than before."""
        rotated, self._rotated = self._rotated, []
        if self._is_first_look:
            for source in self._sources:
                paths = source.known_paths(self._by_path)
                rotated += [(source, path, self._since_ms) for path in paths]
        for source, path, since_ms in rotated:
            self._adopt_rotated(source, path, since_ms)

    def _count_loss(self, path: str) -> None:
        self.possible_losses += 1
        log.warning("lines_may_be_lost", file=path, reason="cut or gone with no copy")

    def _adopt_rotated(self, source: Source, path: str, since_ms: int) -> None:
        """Files that came and were rotated away between two looks: never seen under ``path``."""
        if self._is_first_start and self._is_first_look:
            return
        for sibling, status in self._families.of(path):
            key = (status.st_dev, status.st_ino)
            if is_excluded(sibling, source.config.exclude):
                continue
            is_recent = status.st_mtime_ns // 1_000_000 >= since_ms
            if is_recent and key not in self._files and key not in self._remembered:
                self._open(source, sibling, listed=path, is_copy_possible=status.st_size > 0)

    def _find_renamed(self, keys: Iterable[FileKey], *, is_read: bool) -> None:
        """Files that were renamed out of the globs while they were not open."""
        missing = {key: self._remembered[key] for key in keys}
        directories = {os.path.dirname(p.path) for p in missing.values()}  # noqa: PTH120 - texts throughout
        found = {d: find_by_keys(d, missing.keys()) for d in directories if os.path.isdir(d)}  # noqa: PTH112 - as above
        for key, position in missing.items():
            directory = os.path.dirname(position.path)  # noqa: PTH120 - as above
            listed = position.listed or position.path
            source = next((s for s in self._sources if s.had(listed)), None)
            if directory not in found or source is None:
                continue
            renamed = found[directory].get(key)
            # the inode may be another file's by now
            if renamed is not None and continues(renamed, position):
                self._open(source, renamed, listed=listed)
                continue
            self._is_gone(key, position.generation)
            if is_read:
                del self._remembered[key]
            else:
                self._leave(source, position)

    def _is_gone(self, key: FileKey, generation: int) -> None:
        self._gone.append(key)
        self._opened = [p for p in self._opened if p.key != key]
        # entries that wait in the spool may still speak of it when its inode is used again
        self._generations[key] = generation + 1
        if len(self._generations) > _MAX_GONE:
            del self._generations[next(iter(self._generations))]

    def _read_failed(self, file: TailedFile, error: OSError) -> None:
        log.warning("file_read_failed", file=file.path, error=error.strerror, retry_s=_RETRY_S)
        self._refused[file.path] = self._clock.monotonic_s() + _RETRY_S
        if file.is_listed:  # opened again then, from where it was read to
            self._remembered[file.key] = file.position(file.emitted)
            self._close(file.key)

    def _close(self, key: FileKey) -> None:
        entry = self._files.pop(key, None)
        if entry is not None:
            entry[1].close()


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
