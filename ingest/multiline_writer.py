"""The lines of one writer, joined: which line continues the record before it."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from ingest.multiline_rules import (
    CATCH_ALL,
    EXCEPTION,
    EXCEPTION_HEAD,
    HEADS,
    HINT,
    STATES,
    TEXT,
)

MAX_RECORD_BYTES = 512 * 1024
HEAD_WINDOW = 128
"""So many lines of a file, other writers' included, may stand between a record and its trace."""
TRACE_WINDOW = 1000
"""The same within a trace."""
_QUIET = frozenset({TEXT, EXCEPTION})

Span = tuple[int, int]
"""Offsets in a file: where a piece begins, and just after it."""


class Line(NamedTuple):
    """One line of a file.

    ``says`` is its text without the prefix that its writer puts before each line, ``is_start``
    whether it begins a record by the rules of its source.
    """

    text: bytes
    says: bytes
    start: int
    end: int
    number: int
    """Its place among the lines of the file."""
    is_prefixed: bool = False
    is_start: bool = False
    is_quiet: bool = False
    """Known to begin no trace, and not to be the second line of one."""

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing."""
        return not self.says or self.says.isspace()


class Joined(NamedTuple):
    """One record's bytes, and the file offset just after its last line.

    ``spans`` are the pieces of the file that it is made of; empty where it is one piece that
    follows the record given out before it.
    """

    line: bytes
    end: int
    spans: tuple[Span, ...] = ()


class Writer:
    """Joins the lines of one writer: keeps the record that may still grow.

    Args:
        max_lines: a record with so many lines is complete.
        is_strict: every line that does not begin a record continues one.
        knows_starts: whether the source says which lines begin a record.
    """

    def __init__(self, max_lines: int, *, is_strict: bool, knows_starts: bool) -> None:
        self._max_lines = max_lines
        self._is_strict = is_strict
        self._knows_starts = knows_starts
        self._lines: list[Line] = []
        self._bytes = 0
        self._state = TEXT
        self._doubtful: deque[Line] = deque()
        self.writer: bytes | None = None
        """Its prefix without times and levels; None for lines that have none."""
        self.level = b""
        self.indent = 1
        """Blanks between the prefix and the text of its record's first line."""
        self.seen = 0
        """Number of the last line that came to it."""

    @property
    def has_pending(self) -> bool:
        """Whether a record waits for lines that may still come."""
        return bool(self._lines)

    @property
    def is_in_trace(self) -> bool:
        """Whether the record is a trace, so that any next line may belong to it."""
        return bool(self._lines) and self._state not in _QUIET

    @property
    def is_prefixed_throughout(self) -> bool:
        """Whether its record has several lines, each behind the prefix."""
        return len(self._lines) > 1 and self._lines[-1].is_prefixed

    @property
    def ends_bare(self) -> bool:
        """Whether its record's last line has no prefix."""
        return bool(self._lines) and not self._lines[-1].is_prefixed

    @property
    def waiting(self) -> list[Span]:
        """The pieces of the file that wait."""
        return [(line.start, line.end) for line in (*self._lines, *self._doubtful)]

    def continues(self, line: Line, *, surely: bool = False) -> bool:
        """Whether ``line`` would continue the record, or may do so if a later one does.

        Args:
            line: the next one.
            surely: not by a rule that takes any line, and not perhaps.
        """
        if not self._lines:
            return False
        then = self._state_after(line)
        if then is not None:
            return not (surely and (self._state, then) in CATCH_ALL)
        return not surely and self._may_follow(line)

    def take(self, line: Line, complete: list[Joined]) -> None:
        """The next line, which continues the record or begins another."""
        if not self._lines:
            self.begin(line)
            return
        if self._is_full(line):
            self._complete_for(line, complete)
            return
        then = self._state_after(line)
        if then is not None:
            self._append(line, then)
        elif self._may_follow(line):
            self._doubtful.append(line)
        else:
            self._complete_for(line, complete)

    def begin(self, line: Line) -> None:
        """Start a record with ``line``; nothing may wait."""
        if not line.text or line.text.isspace():
            return
        self._lines = [line]
        self._bytes = len(line.text)
        self._state = _state_of_first(line)

    def flush(self, complete: list[Joined]) -> None:
        """Everything that waits, as complete."""
        while self._lines:
            self._emit(complete)
            self._replay(complete)

    def expire(self, number: int, complete: list[Joined]) -> None:
        """Take as complete what was not continued for too many lines before line ``number``."""
        while self._lines:
            window = TRACE_WINDOW if self.is_in_trace else HEAD_WINDOW
            if number - self._lines[-1].number <= window:
                return
            self._emit(complete)
            self._replay(complete)

    def _complete_for(self, line: Line, complete: list[Joined]) -> None:
        self._emit(complete)
        self._replay(complete)
        self.take(line, complete)

    def _is_full(self, line: Line) -> bool:
        many = len(self._lines) + len(self._doubtful) >= self._max_lines
        return many or self._bytes + len(line.says) > MAX_RECORD_BYTES

    def _append(self, line: Line, then: str) -> None:
        for earlier in (*self._doubtful, line):
            self._lines.append(earlier)
            self._bytes += len(earlier.says) + 1
        self._doubtful.clear()
        self._state = then

    def _state_after(self, line: Line) -> str | None:
        """The state if ``line`` continues the record, else None."""
        if line.is_start and not line.is_prefixed:
            return None
        if self._is_strict or line.is_blank:
            return self._state if self._is_strict else None
        if line.is_prefixed and line.is_quiet and self._state == TEXT:
            return None  # as the rules would say
        then = self._by_rule(line.says)
        if line.is_prefixed:
            # one more line of an indented list, or a message that begins with a blank
            return None if then == self._state == TEXT else then
        if self._knows_starts:
            return self._below_start(line.says, then)
        # an indented head ("  + Exception Group Traceback") is more than an indented line
        return None if then == TEXT and _state_of_first(line) != TEXT else then

    def _below_start(self, says: bytes, then: str | None) -> str | None:
        """What the rules say, and traces too continue a line that is known to be a start."""
        if self._doubtful or then not in {None, TEXT}:
            return then
        head = state_of_head(says)
        if head in _QUIET and then is None and EXCEPTION_HEAD.match(says):
            return "message"
        return head if head not in _QUIET else then

    def _by_rule(self, says: bytes) -> str | None:
        state = STATES[self._state]
        rules = state.after_blank if self._doubtful else state.next
        return next((rule.then for rule in rules if rule.pattern.match(says)), None)

    def _may_follow(self, line: Line) -> bool:
        if line.is_start and not line.is_prefixed:
            return False
        state = STATES[self._state]
        if len(self._doubtful) >= state.doubtful:
            return False
        if not state.after_blank:
            return False
        return line.is_blank or (state.takes_text and _state_of_first(line) == TEXT)

    def _emit(self, complete: list[Joined]) -> None:
        if self._lines:
            first, *rest = self._lines
            text = b"\n".join([first.text, *[line.says for line in rest]]) if rest else first.text
            complete.append(Joined(text, self._lines[-1].end, _spans(self._lines)))
        self._lines = []
        self._bytes = 0
        self._state = TEXT

    def _replay(self, complete: list[Joined]) -> None:
        again = list(self._doubtful)
        self._doubtful.clear()
        for line in again:
            self.take(line, complete)


def _spans(lines: list[Line]) -> tuple[Span, ...]:
    """The pieces that ``lines`` are made of, neighbours as one."""
    if len(lines) == 1:
        return ((lines[0].start, lines[0].end),)
    spans: list[Span] = []
    for line in lines:
        if spans and spans[-1][1] == line.start:
            spans[-1] = (spans[-1][0], line.end)
        else:
            spans.append((line.start, line.end))
    return tuple(spans)


_HINT = re.compile(HINT)


def _state_of_first(line: Line) -> str:
    return TEXT if line.is_quiet else state_of_head(line.says)


def state_of_head(says: bytes) -> str:
    """The state after the first line of a trace; ``TEXT`` after any other line."""
    # one cheap search spares ordinary lines the whole table
    if _HINT.search(says) is None:
        return TEXT
    return next((rule.then for rule in HEADS if rule.pattern.match(says)), TEXT)
