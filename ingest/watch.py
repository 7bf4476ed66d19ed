"""All files of all sources: found, told apart, followed through rotation, resumed after a stop."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from contracts.clock import Clock
from ingest import metrics
from ingest.files import FileKey, FilePosition, is_excluded, matching_files
from ingest.open_files import CHANGED, OpenFiles
from ingest.rotation import (
    Families,
    continues,
    find_by_keys,
    find_copy,
    is_compressed,
    originals_of,
)
from ingest.source import Source
from ingest.tail import Block, TailedFile

_GRACE_MS = 2_000

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
        self.followed = OpenFiles(positions, clock)
        self._seen_at = seen_at
        self._since_ms = 0
        self._is_first_look = True
        self.followed.starts_at_end = seen_at == 0
        self._families = Families()
        self._rotated: list[tuple[Source, str, int]] = []
        self._orphans: list[tuple[Source, FilePosition]] = []
        self._next_look_s = 0.0
        self.possible_losses = 0
        """Files whose end was perhaps not read: cut with no copy left, or gone during a stop."""

    def look(self) -> None:
        """Find new, renamed and vanished files; cheap when called often."""
        if self._clock.monotonic_s() < self._next_look_s:
            return
        began = time.perf_counter()
        self._since_ms = self._seen_at - _GRACE_MS
        self._seen_at = self._clock.now_ms()
        self.followed.waiting = 0
        self._families.renew()
        # what is known comes first: a new file may be its copy
        listed, unknown = self._look_at_globs()
        if self._is_first_look:
            self._find_renamed(
                [k for k in self.followed.remembered if k not in listed], is_read=False
            )
        self._forget_resting(listed)
        self._claim_copies()
        if unknown or self._rotated:
            self.keep_copies()
        for source, path in unknown:
            if self.followed.open(source, path, is_copy_possible=True):
                self._rotated.append((source, path, self._since_ms))
        self._adopt_all_rotated()
        for key, (_, file) in self.followed.files.items():
            file.is_listed = key in listed
        self._families.renew()
        self._is_first_look = False
        if self.followed.waiting:
            log.warning("files_wait_for_a_handle", files=self.followed.waiting)
            return
        self.followed.starts_at_end = False
        # many files make a look slow: then look less often, at most a tenth of the time
        took = time.perf_counter() - began
        self._next_look_s = self._clock.monotonic_s() + took * 10

    def keep_copies(self) -> None:
        """Open the copies of files that were truncated, before they are taken for new files."""
        for source, file in list(self.followed.files.values()):
            self._keep_copy(source, file)

    def _keep_copy(self, source: Source, file: TailedFile) -> None:
        try:
            if file.was_truncated():
                self._follow_copy(source, file)
        except OSError as error:
            self.followed.read_failed(file, error)

    def read(self) -> Iterator[Reading]:
        """One round over all files: what each one's next bytes complete."""
        for source, file in list(self.followed.files.values()):
            if self.followed.is_refused(file.path):
                continue
            if source.is_stopped:
                self._keep_copy(source, file)
                continue
            try:
                yield from self._read_one(source, file)
            except OSError as error:
                self.followed.read_failed(file, error)

    @property
    def stopped_sources(self) -> int:
        """Sources that are not read any more, because too many of their lines are no records."""
        return sum(source.is_stopped for source in self._sources)

    def drain(self) -> Iterator[Reading]:
        """Joined records that still wait for a next line; half lines stay for the next start."""
        for source, file in self.followed.files.values():
            block = file.finish()
            if block.lines:
                yield Reading(source, file, block)

    def close(self) -> None:
        """Close all files."""
        for key in list(self.followed.files):
            self.followed.close(key)

    def _look_at_globs(self) -> tuple[set[FileKey], list[tuple[Source, str]]]:
        """Keys of all files that the globs find, and those that were never seen."""
        listed: set[FileKey] = set()
        unknown: list[tuple[Source, str]] = []
        for source in self._sources:
            for path, status in matching_files(source.config.paths, source.config.exclude):
                key = (status.st_dev, status.st_ino)
                # compressed files are read only in place of a file that was followed
                if key in listed or is_compressed(path):
                    continue
                listed.add(key)
                if self.followed.by_path.get(path, key) != key:
                    self._rotated.append((source, path, self._since_ms))
                if self._is_known(source, path, status):
                    self._found(source, path, status)
                else:
                    unknown.append((source, path))
        return listed, unknown

    def _is_known(self, source: Source, path: str, status: os.stat_result) -> bool:
        key = (status.st_dev, status.st_ino)
        remembered = self.followed.remembered.get(key)
        if remembered is None or self.followed.rests(key, status) or continues(path, remembered):
            return self.followed.knows(key)
        # truncated while nobody looked, or another file with the same inode
        self._leave(source, remembered)
        self.followed.generations[key] = remembered.generation + 1
        return False

    def _leave(self, source: Source, position: FilePosition) -> None:
        """What a position speaks of is elsewhere now, if it had begun at all."""
        del self.followed.remembered[position.key]
        if position.head_length:
            self._orphans.append((source, position))

    def _found(self, source: Source, path: str, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        known = self.followed.files.get(key)
        if known is None:
            if not self.followed.rests(key, status) and not self.followed.open(source, path):
                self.followed.rest_if_read(key, status)
        elif known[1].path != path:
            log.info("file_renamed", file=known[1].path, to=path)
            known[1].moved_to(path)
        self.followed.by_path[path] = key

    def _forget_resting(self, listed: set[FileKey]) -> None:
        missing = [key for key in self.followed.resting if key not in listed]
        for key in missing:
            del self.followed.resting[key]
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
                self.followed.drop(file.key, file.generation)
                self.followed.close(file.key)
        if block is not None:  # without lines it is a part of a long one
            yield Reading(source, file, block)

    def _follow_copy(self, source: Source, file: TailedFile) -> bool:
        """Copytruncate: the copy has what was not read yet."""
        self._families.renew()
        was_opened = self._claim(source, file.reached, is_in_spool=False)
        log.info("file_truncated", file=file.path, has_copy=was_opened)
        if was_opened:
            self._begin_again(file)
        return was_opened

    def _begin_again(self, file: TailedFile) -> None:
        file.begin_again()
        self.followed.moved.append(file.position(0))

    def _claim(self, source: Source, orphan: FilePosition, *, is_in_spool: bool) -> bool:
        """Go on in the copy of a file that was truncated or is gone, and in what came after it."""
        taken = self.followed.files.keys() | self.followed.remembered.keys()
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
        was_opened = self.followed.open(
            source, copy[0], listed=original, left=orphan, is_in_spool=is_in_spool
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
        if self._is_first_look:
            for source in self._sources:
                paths = source.known_paths(self.followed.by_path)
                self._rotated += [(source, path, self._since_ms) for path in paths]
        rotated, self._rotated = self._rotated, []
        for source, path, since_ms in rotated:
            waiting = self.followed.waiting
            self._adopt_rotated(source, path, since_ms)
            if self.followed.waiting > waiting:  # no handle for one of them: look again
                self._rotated.append((source, path, since_ms))

    def _count_loss(self, path: str) -> None:
        self.possible_losses += 1
        metrics.POSSIBLE_LOSSES.inc()
        log.warning("lines_may_be_lost", file=path, reason="cut or gone with no copy")

    def _adopt_rotated(self, source: Source, path: str, since_ms: int) -> None:
        """Files that came and were rotated away between two looks: never seen under ``path``."""
        if self.followed.starts_at_end:
            return  # history
        for sibling, status in self._families.of(path):
            key = (status.st_dev, status.st_ino)
            if is_excluded(sibling, source.config.exclude):
                continue
            is_recent = status.st_mtime_ns // 1_000_000 >= since_ms
            if is_recent and not self.followed.knows(key):
                self.followed.open(
                    source, sibling, listed=path, is_copy_possible=status.st_size > 0
                )

    def _find_renamed(self, keys: Iterable[FileKey], *, is_read: bool) -> None:
        """Files that were renamed out of the globs while they were not open."""
        missing = {key: self.followed.remembered[key] for key in keys}
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
                if not self.followed.open(source, renamed, listed=listed):
                    self.followed.resting[key] = CHANGED  # the next look tries again
                continue
            self.followed.drop(key, position.generation)
            if is_read:
                del self.followed.remembered[key]
            else:
                self._leave(source, position)
