"""Files that a user names: plain or compressed, or standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.recordings import decompressed, readable

STDIN = Path("-")


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The plain bytes of a file, for as long as the context lasts; ``-`` is standard input.

    Raises:
        ConfigError: the file is missing or damaged, also where that shows only while it is read.
    """
    with readable(path), _raw(path) as stream:
        yield decompressed(stream)


def _raw(path: Path) -> io.BufferedReader:
    return open(sys.stdin.fileno(), "rb", closefd=False) if path == STDIN else path.open("rb")
