"""Bytes to lines: pure, incremental, bounded in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of one file, without their newlines, in order.

    ``ends[i]`` is the file offset just after line ``i`` and its newline; ``cut`` holds the indices
    of lines that were longer than the limit, with their full length in bytes.
    """

    lines: list[bytes]
    ends: list[int]
    cut: dict[int, int]

    def followed_by(self, more: Lines) -> Lines:
        """These lines and the next ones of the file."""
        cut = self.cut | {len(self.lines) + index: length for index, length in more.cut.items()}
        return Lines(self.lines + more.lines, self.ends + more.ends, cut)


class LineSplitter:
    """Splits what is read from one file; keeps the unfinished last line.

    A line above ``max_line_bytes`` is cut there; its rest is read past and never held in memory.
    """

    def __init__(self, max_line_bytes: int, offset: int = 0) -> None:
        self._max = max_line_bytes
        self._offset = offset
        self._head = bytearray()
        self._skipped = 0

    @property
    def offset(self) -> int:
        """File offset up to which bytes were fed."""
        return self._offset

    @property
    def has_partial(self) -> bool:
        """Whether a line has begun that has no newline yet."""
        return bool(self._head)

    def feed(self, data: bytes) -> Lines:
        """Take the next bytes of the file; give the lines that they complete."""
        if self._head and b"\n" in data:
            first, rest = data.split(b"\n", 1)
            return self._feed_singly([first], b"").followed_by(self.feed(rest))
        *whole, rest = data.split(b"\n")
        if max(map(len, whole), default=0) <= self._max:
            # nearly always: no look at each line
            newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
            ends = (newlines + (self._offset + 1)).tolist()
            self._offset += len(data)
            self._extend(rest)
            return Lines(whole, ends, {})
        return self._feed_singly(whole, rest)

    def _feed_singly(self, whole: list[bytes], rest: bytes) -> Lines:
        lines: list[bytes] = []
        ends: list[int] = []
        cut: dict[int, int] = {}
        for piece in whole:
            self._offset += len(piece) + 1
            if self._head or len(piece) > self._max:
                self._extend(piece)
                if self._skipped:
                    cut[len(lines)] = len(self._head) + self._skipped
                line = self._take()
            else:
                line = piece
            lines.append(line)
            ends.append(self._offset)
        self._offset += len(rest)
        self._extend(rest)
        return Lines(lines, ends, cut)

    def flush(self) -> Lines:
        """The unfinished line as if it were whole: its file was rotated or rests."""
        if not self._head:
            return Lines([], [], {})
        cut = {0: len(self._head) + self._skipped} if self._skipped else {}
        return Lines([self._take()], [self._offset], cut)

    def _extend(self, piece: bytes) -> None:
        room = self._max - len(self._head)
        self._head += piece[:room]
        self._skipped += max(0, len(piece) - room)

    def _take(self) -> bytes:
        line = bytes(self._head)
        self._head.clear()
        self._skipped = 0
        return line
