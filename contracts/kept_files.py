"""Small files of names and hashes that commands write and running processes read again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from contracts.errors import ConfigError

T = TypeVar("T")


class KeptFile(Generic[T]):
    """What one file says, read again whenever it changes.

    Args:
        path: of the file.
        read: reads it, or raises ``ConfigError``.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._stamp = _stamp(path)
        self._content = read(path)

    def current(self) -> T:
        """Its content; while it is half-written by hand, the last good one."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            try:
                self._content = self._read(self._path)
            except ConfigError:
                return self._content
            self._stamp = stamp
        return self._content


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; only its owner can read it.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written: {error.strerror}") from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
