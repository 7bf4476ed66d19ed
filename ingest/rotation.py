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

from ingest.files import FileKey, FilePosition, digest, is_excluded

_MIN_HEAD = 64
"""Fewer first bytes do not tell a copy from an old log that began with the same words."""
_CHUNK = 64 * 1024
_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": zstandard.open,
}

Found = tuple[str, os.stat_result]


def siblings(path: str, exclude: Sequence[str]) -> list[Found]:
    """Files beside ``path`` that rotation may have made of it (``app.log.1``, ``app.log-2026``).

    Oldest change first.
    """
    found = [(p, status) for p, status in _family(path) if not is_excluded(p, exclude)]
    return sorted(found, key=lambda item: item[1].st_mtime_ns)


def compressed_siblings(path: str) -> list[Found]:
    """Those that were compressed besides, whether or not the source excludes them."""
    found = [(p, status) for p, status in _family(path) if is_compressed(p)]
    return sorted(found, key=lambda item: item[1].st_mtime_ns)


def is_rotation_of(name: str, original: str) -> bool:
    """Whether one file name is what rotation may have made of the other."""
    stem, _, suffix = original.rpartition(".")
    return name.startswith((f"{original}.", f"{original}-", f"{original}_")) or (
        bool(stem) and name.startswith(f"{stem}-") and name.endswith(suffix)
    )


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
    position: FilePosition, exclude: Sequence[str], taken: Collection[FileKey], since_ms: int
) -> Found | None:
    """The file that now has what stood in the file of ``position``: a copy, perhaps compressed.

    Args:
        position: how far the original was read.
        exclude: globs of names that are no logs.
        taken: files that are known and therefore no unread copies.
        since_ms: a copy with a short beginning counts only if it changed after this.
    """
    original = position.listed or position.path
    candidates = [*compressed_siblings(original), *siblings(original, exclude)]
    for path, status in reversed(candidates):
        if (status.st_dev, status.st_ino) in taken:
            continue
        is_recent = status.st_mtime_ns // 1_000_000 >= since_ms
        if (is_recent or position.head_length >= _MIN_HEAD) and _continues(path, position):
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


def is_same_so_far(one: int, other: int) -> bool:
    """Whether two open files begin with the same bytes, as far as both go (64 KiB suffice)."""
    length = min(os.fstat(one).st_size, os.fstat(other).st_size, _CHUNK)
    return os.pread(one, length, 0) == os.pread(other, length, 0)


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


def _family(path: str) -> Iterator[Found]:
    directory, name = os.path.split(path)
    try:
        with os.scandir(directory or ".") as entries:
            named = [e for e in entries if is_rotation_of(e.name, name)]
    except OSError:
        return
    for entry in named:
        try:
            status = entry.stat()
        except OSError:
            continue  # moved on meanwhile
        if stat.S_ISREG(status.st_mode):
            yield entry.path, status


def _continues(path: str, position: FilePosition) -> bool:
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


def _text(path: str) -> BinaryIO:
    opener = _OPENERS.get(os.path.splitext(path)[1], open)  # noqa: PTH122 - texts throughout
    file: BinaryIO = opener(path, "rb")
    return file
