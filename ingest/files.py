"""Which files there are, and which file is which: device, inode and first bytes."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

HEAD_BYTES = 1024
"""So many first bytes tell files apart; shorter files are known by what they have so far."""

FileKey = tuple[int, int]
"""Device and inode."""


class FilePosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far one file was read: everything before ``offset`` is in the spool or in Kafka."""

    path: str
    device: int
    inode: int
    head_length: int
    head_digest: str
    offset: int
    listed: str = ""
    """The path by which the globs found it first: labels come from there, whatever its name now."""
    generation: int = 0
    """Grows each time the file is truncated."""
    waiting: tuple[tuple[int, int], ...] = ()
    """Pieces before ``offset`` that are not: they belong to records that were still growing."""

    @property
    def key(self) -> FileKey:
        """Device and inode."""
        return (self.device, self.inode)


def digest(head: bytes) -> str:
    """Short stable hash of a file's first bytes."""
    return hashlib.blake2b(head, digest_size=12).hexdigest()


def read_head(fd: int, length: int = HEAD_BYTES) -> bytes:
    """The first bytes of an open file, at most ``length``."""
    return os.pread(fd, length, 0)


def is_same_content(fd: int, position: FilePosition) -> bool:
    """Whether an open file begins as the one that ``position`` speaks of."""
    head = read_head(fd, position.head_length)
    return len(head) == position.head_length and digest(head) == position.head_digest


def is_beginning(part: int, whole: int) -> bool:
    """Whether an open file is what another begins with (its first 64 KiB suffice)."""
    size = os.fstat(part).st_size
    if size > os.fstat(whole).st_size:
        return False
    length = min(size, 64 * 1024)
    return os.pread(part, length, 0) == os.pread(whole, length, 0)


def matching_files(
    patterns: Sequence[str], exclude: Sequence[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """Paths and status of the regular files that match; what vanishes meanwhile is left out."""
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.expanduser(pattern), recursive=True)):  # noqa: PTH111, PTH207 - texts: faster with many files
            if is_excluded(path, exclude):
                continue
            try:
                status = os.stat(path)  # noqa: PTH116 - as above
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status


def is_excluded(path: str, exclude: Sequence[str]) -> bool:
    """Whether a path or its last part matches one of the globs."""
    name = os.path.basename(path)  # noqa: PTH119 - as above
    return any(fnmatch.fnmatch(name, e) or fnmatch.fnmatch(path, e) for e in exclude)


def write_durably(path: str | Path, payload: bytes) -> None:
    """Write a file whole or not at all: temporary name, fsync, rename, fsync of the directory."""
    # no Path is made of a name that is new each time: it would intern the name, and Python's table
    # of interned texts grows by those that are gone too
    path = os.fspath(path)
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:  # noqa: PTH123 - a text, see above
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - a text, see above
    except OSError:
        remove_if_there(temporary)
        raise
    sync_directory(os.path.dirname(path) or ".")  # noqa: PTH120 - a text, see above


def read_whole(path: str) -> bytes:
    """The bytes of a file that ``write_durably`` wrote."""
    with open(path, "rb") as file:  # noqa: PTH123 - a text, see ``write_durably``
        return file.read()


def remove_if_there(path: str) -> None:
    """Delete a file; nothing where there is none."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a text, see ``write_durably``


def sync_directory(directory: str | Path) -> None:
    """Make renames and deletions in ``directory`` durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
