"""What rotation does to a log: renamed, copied and truncated, compressed, and how to find it again.

Nothing here keeps state; ``watch`` decides what to do with what is found.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, BinaryIO

import zstandard

from ingest.files import FileKey, FilePosition, digest

_MIN_HEAD = 64
"""Fewer first bytes do not tell a copy from an old log that began with the same words."""
_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": zstandard.open,
}

Found = tuple[str, os.stat_result]


class Families:
    """Logs and what rotation made of them, by name (``app.log.1``, ``app.log-2026``).

    Each folder is listed once, so that many new logs in one folder cost little; ``renew`` before
    the next question about another moment.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[str]]] = {}

    def renew(self) -> None:
        """List folders anew from now on."""
        self._folders.clear()

    def of(self, original: str) -> list[Found]:
        """Regular files whose names say that they are rotations of ``original``.

        Oldest change first.
        """
        directory = os.path.dirname(original)  # noqa: PTH120 - texts throughout
        if directory not in self._folders:
            self._folders[directory] = _by_original(directory)
        found = []
        for path in self._folders[directory].get(original, []):
            try:
                status = os.stat(path)  # noqa: PTH116 - as above
            except OSError:
                continue  # moved on meanwhile
            if stat.S_ISREG(status.st_mode):
                found.append((path, status))
        return sorted(found, key=lambda item: item[1].st_mtime_ns)


def _by_original(directory: str) -> dict[str, list[str]]:
    try:
        names = os.listdir(directory or ".")  # noqa: PTH208 - as above
    except OSError:
        return {}
    found: dict[str, list[str]] = {}
    for name in names:
        path = os.path.join(directory, name)  # noqa: PTH118 - as above
        for original in set(originals_of(path)):
            found.setdefault(original, []).append(path)
    return found


def is_compressed(path: str) -> bool:
    """Whether the name says so."""
    return os.path.splitext(path)[1] in _OPENERS  # noqa: PTH122 - texts throughout


def find_by_keys(directory: str, keys: Collection[FileKey]) -> dict[FileKey, str]:
    """Paths of those files in ``directory`` that have one of these devices and inodes."""
    inodes = {inode for _, inode in keys}
    found: dict[FileKey, str] = {}
    try:
        with os.scandir(directory or ".") as entries:
            for entry in entries:
                if entry.inode() in inodes:
                    status = entry.stat(follow_symlinks=False)
                    key = (status.st_dev, status.st_ino)
                    if key in keys and stat.S_ISREG(status.st_mode):
                        found[key] = entry.path
    except OSError:
        return found
    return found


def find_copy(
    position: FilePosition, family: Sequence[Found], taken: Collection[FileKey], since_ms: int
) -> Found | None:
    """The file that now has what stood in the file of ``position``: a copy, perhaps compressed.

    Args:
        position: how far the original was read.
        family: rotations of the original, oldest first.
        taken: files that are known and therefore no unread copies.
        since_ms: a copy with a short beginning counts only if it changed after this.
    """
    for path, status in reversed(family):
        if (status.st_dev, status.st_ino) in taken:
            continue
        is_recent = status.st_mtime_ns // 1_000_000 >= since_ms
        if (is_recent or position.head_length >= _MIN_HEAD) and continues(path, position):
            return path, status
    return None


def originals_of(path: str) -> Iterator[str]:
    """Paths of which ``path`` may be a rotation, by its name."""
    directory, name = os.path.split(path)
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 - texts throughout
    for at, letter in enumerate(name):
        if letter in ".-_" and at:
            yield os.path.join(directory, name[:at])  # noqa: PTH118 - as above
            if letter == "-":
                yield os.path.join(directory, name[:at] + suffix)  # noqa: PTH118 - as above


def continues(path: str, position: FilePosition) -> bool:
    """Whether a file begins as remembered and goes at least as far."""
    try:
        with _text(path) as file:
            head = file.read(position.head_length)
            if not head or digest(head) != position.head_digest:
                return False
            if is_compressed(path):  # a seek there stops at the end
                return file.seek(position.offset) == position.offset
            return os.fstat(file.fileno()).st_size >= position.offset
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError):
        return False


def open_plain(path: str) -> int:
    """A descriptor of the file's text: of the file itself, or of a nameless decompressed copy.

    Raises:
        OSError: it cannot be read, or there is no room for the copy.
    """
    if not is_compressed(path):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with tempfile.TemporaryFile() as copy, _text(path) as compressed:
        try:
            shutil.copyfileobj(compressed, copy)
        except (EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
            raise OSError(0, f"damaged: {error}") from error
        copy.flush()
        return os.dup(copy.fileno())


def _text(path: str) -> BinaryIO:
    opener = _OPENERS.get(os.path.splitext(path)[1], open)  # noqa: PTH122 - texts throughout
    file: BinaryIO = opener(path, "rb")
    return file
