"""Lines to records: stack traces and indented lines are joined to the line they belong to.

Pure and incremental: feed it lines as they are read; it keeps the record that may still grow.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.multiline_rules import EXCEPTION_HEAD, HEADS, STATES, TEXT

MAX_RECORD_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class JoinRules:
    """How one source joins.

    Args:
        starts: says whether a line begins a record; None where any line may.
        strict: every line that does not begin a record continues one (a start regex was given).
        max_lines: a record with so many lines is complete.
    """

    starts: Callable[[bytes], bool] | None = None
    strict: bool = False
    max_lines: int = 1000


def starts_with(pattern: str) -> Callable[[bytes], bool]:
    """A function that says whether a line matches ``pattern`` from its start."""
    compiled = re.compile(pattern.encode())
    return lambda line: compiled.match(line) is not None


@dataclass(frozen=True, slots=True)
class Joined:
    """One record's bytes, and the file offset just after it."""

    line: bytes
    end: int


class Joiner:
    """Joins the lines of one file."""

    def __init__(self, rules: JoinRules) -> None:
        self._rules = rules
        self._lines: list[bytes] = []
        self._end = 0
        self._bytes = 0
        self._state = TEXT
        self._doubtful: deque[tuple[bytes, int]] = deque()

    @property
    def has_pending(self) -> bool:
        """Whether a record waits for lines that may still come."""
        return bool(self._lines)

    def feed(self, lines: Sequence[bytes], ends: Sequence[int]) -> list[Joined]:
        """Take whole lines with the offsets after them; give the records that are complete."""
        complete: list[Joined] = []
        for line, end in zip(lines, ends, strict=True):
            self._take(line, end, complete)
        return complete

    def flush(self) -> list[Joined]:
        """Everything that waits, as complete: the file rests or was rotated."""
        complete: list[Joined] = []
        while self._lines or self._doubtful:
            self._emit(complete)
            self._replay(complete)
        return complete

    def _take(self, line: bytes, end: int, complete: list[Joined]) -> None:
        if not self._lines:
            self._begin(line, end)
            return
        if self._is_full(line):
            self._emit(complete)
            self._replay(complete)
            self._take(line, end, complete)
            return
        then = self._state_after(line)
        if then is not None:
            self._append(line, end, then)
        elif self._may_follow(line):
            self._doubtful.append((line, end))
        else:
            self._emit(complete)
            self._replay(complete)
            self._take(line, end, complete) if self._lines else self._begin(line, end)

    def _is_full(self, line: bytes) -> bool:
        many = len(self._lines) + len(self._doubtful) >= self._rules.max_lines
        return many or self._bytes + len(line) > MAX_RECORD_BYTES

    def _begin(self, line: bytes, end: int) -> None:
        if not line or line.isspace():
            return
        self._lines = [line]
        self._end = end
        self._bytes = len(line)
        self._state = _state_of_head(line)

    def _append(self, line: bytes, end: int, then: str) -> None:
        for earlier, _ in self._doubtful:
            self._lines.append(earlier)
            self._bytes += len(earlier) + 1
        self._doubtful.clear()
        self._lines.append(line)
        self._end = end
        self._bytes += len(line) + 1
        self._state = then

    def _state_after(self, line: bytes) -> str | None:
        """The state if ``line`` continues the record, else None."""
        starts = self._rules.starts
        if starts is not None and starts(line):
            return None
        if self._rules.strict or not line or line.isspace():
            return self._state if self._rules.strict else None
        then = self._by_rule(line)
        if then == TEXT and starts is None and _state_of_head(line) != TEXT:
            # an indented head ("  + Exception Group Traceback") is more than an indented line
            return None
        if starts is not None and not self._doubtful and then in (None, TEXT):
            head = _state_of_head(line)
            if head == TEXT and then is None and EXCEPTION_HEAD.match(line):
                return "message"
            return head if head != TEXT else then
        return then

    def _by_rule(self, line: bytes) -> str | None:
        state = STATES[self._state]
        rules = state.after_blank if self._doubtful else state.next
        return next((rule.then for rule in rules if rule.pattern.match(line)), None)

    def _may_follow(self, line: bytes) -> bool:
        starts = self._rules.starts
        if starts is not None and starts(line):
            return False
        state = STATES[self._state]
        if len(self._doubtful) >= state.doubtful:
            return False
        is_blank = not line or line.isspace()
        return bool(state.after_blank) and (is_blank or state.doubtful > 2)

    def _emit(self, complete: list[Joined]) -> None:
        if self._lines:
            complete.append(Joined(b"\n".join(self._lines), self._end))
        self._lines = []
        self._bytes = 0
        self._state = TEXT

    def _replay(self, complete: list[Joined]) -> None:
        again = list(self._doubtful)
        self._doubtful.clear()
        for line, end in again:
            self._take(line, end, complete)


_HINT = re.compile(
    rb"Traceback \(|panic|Fatal Python|fatal error: |goroutine |Unhandled exc|xception '|PHP |:\d+$"
)


def _state_of_head(line: bytes) -> str:
    # one cheap search spares ordinary lines the whole table
    if _HINT.search(line) is None:
        return TEXT
    for rule in HEADS:
        if rule.pattern.match(line):
            return rule.then
    return TEXT
