"""Lines to records: stack traces and indented lines are joined to the line they belong to.

Pure and incremental: feed it lines as they are read; it keeps what may still grow. Several writers
may share a file: what stands before each of their lines tells them apart (``prefixes``), and each
has its own record that grows (``multiline_writer``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

import pyarrow as pa
import pyarrow.compute as pc

from ingest.multiline_rules import HINT_ANYWHERE, SUSPECT, SUSPECT_BELOW_STARTS
from ingest.multiline_writer import HEAD_WINDOW, Joined, Line, Span, Writer
from ingest.prefixes import Boundary, boundaries_of

__all__ = ["JoinRules", "Joined", "Joiner", "Span", "starts_with"]

_TIDY_LINES = 64
_MAX_WRITERS = 256
_FEW_LINES = 32
"""Fewer are looked at one by one: Arrow compiles an expression for each call, for as much."""


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


class Joiner:
    """Joins the lines of one file, read from ``offset`` on.

    Records of one writer come in their order, those of several in the order of their completion.
    """

    def __init__(self, rules: JoinRules, offset: int = 0) -> None:
        self._rules = rules
        self._at = offset
        self._number = 0
        self._writers: dict[bytes | None, Writer] = {}
        self._last: Writer | None = None
        self._swept = 0

    @property
    def has_pending(self) -> bool:
        """Whether a record waits for lines that may still come."""
        return any(writer.has_pending for writer in self._writers.values())

    @property
    def waiting(self) -> list[Span]:
        """The pieces of the file that were fed and not given out, in order."""
        writers = {id(writer): writer for writer in self._writers.values()}
        return sorted(span for writer in writers.values() for span in writer.waiting)

    def feed(self, lines: Sequence[bytes], ends: Sequence[int]) -> list[Joined]:
        """Take whole lines with the offsets after them; give the records that are complete."""
        complete: list[Joined] = []
        if self._rules.strict:
            self._feed_each(lines, ends, complete)
            return complete
        suspects, is_quiet = _marks(lines, self._rules)
        at = 0
        for suspect in [*suspects, len(lines)]:
            quiet_until = suspect - HEAD_WINDOW
            while at < min(suspect + 1, len(lines)):
                if at < quiet_until and not self._is_in_trace:
                    self._pass(lines[at:quiet_until], ends[at:quiet_until], complete)
                    at = quiet_until
                else:
                    self._take(lines[at], ends[at], complete, is_quiet=is_quiet[at])
                    at += 1
        return complete

    def pass_over(self, end: int) -> None:
        """Something that is no line for joining stands in the file up to ``end``."""
        self._at = end

    def sweep(self) -> list[Joined]:
        """Records of writers that wrote nothing since the last sweep, as complete."""
        complete: list[Joined] = []
        for key, writer in list(self._writers.items()):
            if writer.seen <= self._swept:
                writer.flush(complete)
                del self._writers[key]
        self._swept = self._number
        return complete

    def flush(self) -> list[Joined]:
        """Everything that waits, as complete: the file rests or was rotated."""
        complete: list[Joined] = []
        self._flush(complete)
        return complete

    def _flush(self, complete: list[Joined]) -> None:
        rest: list[Joined] = []
        for writer in self._writers.values():
            writer.flush(rest)
        complete += sorted(rest, key=lambda joined: joined.spans)
        self._writers.clear()
        self._last = None

    @property
    def _is_in_trace(self) -> bool:
        return any(writer.is_in_trace for writer in self._writers.values())

    def _pass(self, lines: Sequence[bytes], ends: Sequence[int], complete: list[Joined]) -> None:
        """Ordinary lines, too far from the next suspect for it to continue one of them."""
        self._flush(complete)
        self._number += len(lines)
        self._at = ends[-1]
        if all(lines):
            complete += map(Joined, lines, ends)
        else:
            complete += map(Joined, compress(lines, lines), compress(ends, lines))

    def _feed_each(
        self, lines: Sequence[bytes], ends: Sequence[int], complete: list[Joined]
    ) -> None:
        """Lines of a source whose start regex decides alone."""
        starts = self._rules.starts or (lambda _: True)
        writer = self._writer_of(None)
        for text, end in zip(lines, ends, strict=True):
            self._number += 1
            line = Line(text, text, self._at, end, self._number, is_start=starts(text))
            writer.take(line, complete)
            writer.seen = self._number
            self._at = end

    def _take(self, text: bytes, end: int, complete: list[Joined], *, is_quiet: bool) -> None:
        """One line that may belong to a trace: to whom, and does it continue?"""
        self._number += 1
        if self._number % _TIDY_LINES == 0:
            self._tidy(complete)
        starts = self._rules.starts
        is_start = starts is not None and starts(text)
        whole = Line(text, text, self._at, end, self._number, False, is_start, is_quiet)
        self._at = end
        boundaries = boundaries_of(text)
        if boundaries:
            self._take_prefixed(whole, boundaries, complete)
        else:
            self._take_bare(whole, complete)
        assert self._last is not None
        self._last.seen = self._number

    def _take_bare(self, line: Line, complete: list[Joined]) -> None:
        """A line without a prefix belongs to the line before it, or begins a record."""
        last = self._last
        if last is None or last.writer is None or not self._goes_on(last, line, complete):
            if last is not None and last.writer is not None and not last.is_prefixed_throughout:
                last.flush(complete)
            last = self._writer_of(None)
            last.expire(line.number, complete)
        self._last = last
        last.take(line, complete)

    def _take_prefixed(
        self, whole: Line, boundaries: list[Boundary], complete: list[Joined]
    ) -> None:
        """The writer's record goes on, at whichever end of the prefix; else it begins anew."""
        whole_prefix = boundaries[-1]
        for boundary in reversed(boundaries):
            writer = self._writers.get(boundary.writer)
            if writer is None:
                continue
            writer.expire(whole.number, complete)
            line = _behind(whole, boundary, writer.indent)
            is_whole_prefix = boundary is whole_prefix
            # a line held in doubt by another's record could come after a later one of its own
            surely = not is_whole_prefix or boundary.writer != writer.writer
            if writer.level == boundary.level and writer.continues(line, surely=surely):
                self._last = writer
                writer.take(line, complete)
                return
            if is_whole_prefix:
                break
        else:
            last = self._last
            # surely: held in doubt, it could come after a later line of its own writer
            if last is not None and self._goes_on(last, whole, complete, surely=True):
                last.take(whole, complete)
                return
        self._begin(whole, boundaries, complete)

    @staticmethod
    def _goes_on(
        writer: Writer, line: Line, complete: list[Joined], *, surely: bool = False
    ) -> bool:
        """Whether a line continues a record whose lines have no prefix, or only its first one."""
        writer.expire(line.number, complete)
        return not writer.is_prefixed_throughout and writer.continues(line, surely=surely)

    def _begin(self, whole: Line, boundaries: list[Boundary], complete: list[Joined]) -> None:
        if self._last is not None and self._last.ends_bare:
            self._last.flush(complete)  # only the very next line could have continued it
        boundary = boundaries[-1]
        writer = self._writer_of(boundary.writer)
        writer.flush(complete)
        writer.writer, writer.level = boundary.writer, boundary.level
        rest = whole.text[boundary.end :]
        blanks = len(rest) - len(rest.lstrip(b" \t"))
        writer.indent = blanks if blanks > 2 else 1  # levels are padded to a width
        writer.begin(_behind(whole, boundary, writer.indent))
        for shorter in boundaries[:-1]:
            self._replace(shorter.writer, writer, complete)
        self._last = writer

    def _writer_of(self, key: bytes | None) -> Writer:
        writer = self._writers.get(key)
        if writer is None:
            rules = self._rules
            writer = self._writers[key] = Writer(
                rules.max_lines, is_strict=rules.strict, knows_starts=rules.starts is not None
            )
            writer.writer = key
        return writer

    def _replace(self, key: bytes, writer: Writer, complete: list[Joined]) -> None:
        """Lines behind this shorter prefix follow ``writer`` from now on."""
        before = self._writers.get(key)
        if before is not None and before is not writer and before.writer == key:
            before.flush(complete)
        self._writers[key] = writer

    def _tidy(self, complete: list[Joined]) -> None:
        """Drop writers that were silent for long, and the oldest ones when there are too many."""
        by_age = sorted(self._writers, key=lambda key: self._writers[key].seen, reverse=True)
        for rank, key in enumerate(by_age):
            writer = self._writers[key]
            writer.expire(self._number, complete)
            if rank >= _MAX_WRITERS:
                writer.flush(complete)
            if not writer.has_pending:
                del self._writers[key]


def _behind(line: Line, boundary: Boundary, indent: int) -> Line:
    """The same line without its prefix and so many blanks after it."""
    text, _, start, end, number, _, is_start, is_quiet = line
    says = text[boundary.end :]
    blanks = len(says) - len(says.lstrip(b" \t"))
    return Line(text, says[min(indent, blanks) :], start, end, number, True, is_start, is_quiet)


def _marks(lines: Sequence[bytes], rules: JoinRules) -> tuple[list[int], list[bool]]:
    """Indices of the lines that may begin or continue a trace; which are known to do neither."""
    if len(lines) < _FEW_LINES:
        return [], [False] * len(lines)
    texts = pa.array(lines, pa.binary())
    pattern = SUSPECT if rules.starts is None else SUSPECT_BELOW_STARTS
    is_suspect = pc.match_substring_regex(texts, pattern)
    suspects = pc.indices_nonzero(is_suspect).to_pylist()
    first = suspects[0] if suspects else len(lines)
    passed = max(0, first - HEAD_WINDOW)  # nobody asks about these
    hints = pc.match_substring_regex(texts[passed:], HINT_ANYWHERE)
    is_quiet = pc.invert(pc.or_(is_suspect[passed:], hints)).to_pylist()
    return suspects, [False] * passed + is_quiet
