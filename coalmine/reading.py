"""Files that a user names: plain or compressed, or standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import ConfigError
from streams.recordings import decompressed

STDIN = Path("-")
_UNREADABLE = (OSError, ValueError, EOFError)


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The plain bytes of a file, for as long as the context lasts; ``-`` is standard input.

    Raises:
        ConfigError: the file is missing or damaged, also where that shows only while it is read.
    """
    try:
        with _raw(path) as stream:
            yield decompressed(stream)
    except _UNREADABLE as error:
        cause = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ConfigError(str(path), f"cannot be read: {cause or 'it is damaged'}") from error


def _raw(path: Path) -> io.BufferedReader:
    return open(sys.stdin.fileno(), "rb", closefd=False) if path == STDIN else path.open("rb")
