"""Files of log lines to templates: every line gets one, in bounded memory.

Templates that turn out to be one late in a file must be one for its first lines too. So each line
leaves only its template's number, four bytes in a temporary file, and is named at the end.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from coalmine.reading import opened
from streams.templates.headers import header_of, without_headers
from streams.templates.miner import Miner, Template

MOST_TEMPLATES: Final = 10_000
"""More than a program has; lines beyond them share the template ``<*>``."""
_BLOCK_BYTES: Final = 4 << 20
_LONGEST_LINE: Final = 1 << 20
_EXAMPLE_CHARS: Final = 500
_NUMBERS_AT_ONCE: Final = 1 << 16


class Row(NamedTuple):
    """A template of the table, and the first line that had it."""

    template: Template
    example: str


class MinedFiles:
    """The templates of some files; close it, for it holds a temporary file."""

    def __init__(self) -> None:
        self._miner = Miner(MOST_TEMPLATES, is_forgetful=False)
        self._numbers = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._examples: dict[int, str] = {}
        self._lines: list[tuple[Path, int]] = []

    def close(self) -> None:
        """Give the temporary file back."""
        self._numbers.close()

    @property
    def lines(self) -> int:
        """Of all files."""
        return sum(lines for _, lines in self._lines)

    def add(self, path: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Mine a file, plain or compressed; ``-`` is standard input.

        Raises:
            ConfigError: it is missing or damaged.
        """
        before = self.lines
        lines = 0
        header: str | None = None
        with opened(path) as stream:
            for block in _blocks(stream):
                column = _lines_of(block)
                if not lines:
                    header = header_of(column)
                self._mine(column, without_headers(column, header))
                lines += len(column)
                progress(before + lines)
        self._lines.append((path, lines))

    def _mine(self, raw: pa.StringArray, messages: pa.StringArray) -> None:
        numbers = self._miner.mine_column(messages)
        for number, first in zip(*np.unique(numbers, return_index=True), strict=True):
            if number not in self._examples:
                self._examples[int(number)] = raw[int(first)].as_py()[:_EXAMPLE_CHARS]
        self._numbers.write(numbers.astype(np.int32).tobytes())

    def table(self) -> list[Row]:
        """All templates, the commonest first."""
        templates = self._miner.templates
        rows = {templates[n].id: Row(templates[n], self._examples[n]) for n in self._by_age()}
        return sorted(rows.values(), key=lambda row: (-row.template.count, row.template.id))

    def _by_age(self) -> list[int]:
        return sorted(self._examples, reverse=True)

    def assigned(self) -> Iterator[tuple[Path, int, Template]]:
        """File, number in it from 1, and template of every line, in order."""
        templates = self._miner.templates
        numbers = self._spooled()
        for path, lines in self._lines:
            for line in range(1, lines + 1):
                yield path, line, templates[next(numbers)]

    def _spooled(self) -> Iterator[int]:
        self._numbers.seek(0)
        while chunk := self._numbers.read(4 * _NUMBERS_AT_ONCE):
            numbers: npt.NDArray[np.int32] = np.frombuffer(chunk, np.int32)
            yield from numbers.tolist()
        self._numbers.seek(0, io.SEEK_END)


def _blocks(stream: io.BufferedReader) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; what a line has beyond a megabyte is dropped."""
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[: end - 1]
            rest = b""
        rest = (rest + block[end:])[:_LONGEST_LINE]
    if rest:
        yield rest


def _lines_of(block: bytes) -> pa.StringArray:
    text = block.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = pc.split_pattern(pa.array([text], pa.string()), "\n").flatten()
    return pc.utf8_rtrim(lines, "\r") if "\r" in text else lines
