"""One file, followed: read, split, joined, through truncation, renaming and deletion."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import accumulate

from contracts.clock import Clock
from ingest.files import HEAD_BYTES, FileKey, FilePosition, digest, is_beginning, read_head
from ingest.lines import Lines, LineSplitter
from ingest.multiline import Joined, Joiner, JoinRules, Span

READ_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Block:
    """Complete records' bytes of one file, in order.

    ``start`` is the offset after the record before the first one, ``ends[i]`` the offset just
    after record ``i``; ``cut`` maps the index of a line that was too long to its full length.
    Where several writers' records overlap, ``spans`` has the pieces of those that do not simply
    follow what was given out before, and ``waiting`` the pieces that are in no record yet.
    """

    start: int
    lines: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    cut: dict[int, int] = field(default_factory=dict)

    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    waiting: tuple[Span, ...] = ()

    def start_of(self, index: int) -> int:
        """The offset after the record before the one with this index, or where it begins."""
        if index in self.spans:
            return self.spans[index][0][0]
        if self.spans:
            return max([self.start, *self.ends[:index]])
        return self.ends[index - 1] if index else self.start

    def reached(self, index: int) -> tuple[int, tuple[Span, ...]]:
        """How far the file is read with the records up to this one, and what waits before that."""
        if not self.spans and not self.waiting:
            return self.ends[index], ()
        # a record without spans begins after everything that was given out before it
        fronts = list(accumulate(self.ends, max, initial=self.start))
        offset = fronts[index + 1]
        left = list(self.waiting)
        for at in range(index + 1, len(self.ends)):
            left += self.spans.get(at) or ((fronts[at], self.ends[at]),)
        return offset, tuple(sorted(span for span in left if span[0] < offset))


@dataclass(frozen=True, slots=True)
class TailRules:
    """How the files of one source are read."""

    max_line_bytes: int
    idle_flush_s: float
    join: JoinRules | None
    join_timeout_s: float
    whole: bool = False
    """All that was added is one record, given once the file was at rest for ``idle_flush_s``."""


class TailedFile:
    """Follows one open file from ``offset``; its name may change, its handle does not."""

    def __init__(
        self,
        path: str,
        fd: int,
        rules: TailRules,
        clock: Clock,
        *,
        key: FileKey,
        listed: str,
        offset: int,
        generation: int,
        waiting: tuple[Span, ...] = (),
    ) -> None:
        status = os.fstat(fd)
        self.path = path
        """Where it is now, by the name that was found."""
        self.real_path = _real(path)
        """The same without symbolic links, which may point elsewhere after a stop."""
        self.listed = listed
        """The path by which its source found it first."""
        self.key = key
        self.is_listed = True
        """Whether the source's globs still find it."""
        self.generation = generation
        self.modified_ms = status.st_mtime_ns // 1_000_000
        self.fd = fd
        self._is_at_end = False
        self._checked = (-1, -1)
        self._rules = rules
        self._clock = clock
        self._head = read_head(fd)
        self._restart(offset, waiting)
        self._grew_s = clock.monotonic_s()

    @property
    def idle_s(self) -> float:
        """Seconds since bytes were last read."""
        return self._clock.monotonic_s() - self._grew_s

    @property
    def head(self) -> bytes:
        """The file's first bytes as far as known."""
        return self._head

    @property
    def emitted(self) -> int:
        """Offset after the last record that was given out."""
        return self._emitted

    @property
    def is_at_rest(self) -> bool:
        """Whether it was read to its end and nothing of it waits to be completed."""
        is_joining = self._joiner is not None and self._joiner.has_pending
        waits = bool(self._again) or self._splitter.has_partial or is_joining
        return self._is_at_end and not waits

    def moved_to(self, path: str) -> None:
        """Its name is another now."""
        self.path = path
        self.real_path = _real(path)

    @property
    def reached(self) -> FilePosition:
        """The position to remember when all that was given out is in the spool."""
        return self.position(self._emitted, self._waiting())

    def position(self, offset: int, waiting: tuple[Span, ...] = ()) -> FilePosition:
        """The position when everything before ``offset`` is in the spool but what waits."""
        return FilePosition(
            path=self.real_path,
            device=self.key[0],
            inode=self.key[1],
            head_length=len(self._head),
            head_digest=digest(self._head),
            offset=offset,
            listed=self.listed,
            generation=self.generation,
            waiting=waiting,
        )

    def was_truncated(self) -> bool:
        """Whether the file is shorter than what was read, or begins with other bytes."""
        status = os.fstat(self.fd)
        self.modified_ms = status.st_mtime_ns // 1_000_000
        if status.st_size < self._splitter.offset:
            return True
        seen = (status.st_size, status.st_mtime_ns)
        if seen == self._checked and len(self._head) >= HEAD_BYTES:
            return False
        if read_head(self.fd, len(self._head)) != self._head:
            return True
        self._checked = seen
        return False

    def is_copied_by(self, fd: int) -> bool:
        """Whether an open file is a copy of this one, perhaps unfinished, made before a cut."""
        if is_beginning(fd, self.fd):
            return True
        head = read_head(fd, len(self._head))
        return bool(self._head) and self._head.startswith(head) and self.was_truncated()

    def begin_again(self) -> None:
        """Go to the start of a file that was truncated; call ``drain`` first, or read the copy."""
        self.generation += 1
        self._head = read_head(self.fd)
        self._restart(0, ())

    def read(self) -> Block | None:
        """The records that the next bytes complete; None when nothing was added to the file."""
        if self._rules.whole:
            self._watch_growth()
            return None
        if self._again:
            return self._read_again()
        offset = self._splitter.offset
        data = os.pread(self.fd, READ_BYTES, offset)
        self._is_at_end = not data
        if not data:
            return None
        self._grew_s = self._clock.monotonic_s()
        if len(self._head) < HEAD_BYTES:
            self._head = read_head(self.fd)
        if offset == 0 and data.startswith(_BOM):
            data = b" " * len(_BOM) + data[len(_BOM) :]
        return self._swept(self._block(self._splitter.feed(data)))

    def rest(self) -> Block | None:
        """Records that are taken as complete because nothing came for a while."""
        idle_s = self.idle_s
        if self._rules.whole:
            is_due = not self._is_at_end and idle_s >= self._rules.idle_flush_s
            return self._all_added() if is_due else None
        if self._splitter.has_partial and idle_s >= self._rules.idle_flush_s:
            return self.drain()
        if self._joiner is not None and self._joiner.has_pending:
            partial_waits = self._splitter.has_partial and idle_s < self._rules.idle_flush_s
            if idle_s >= self._rules.join_timeout_s and not partial_waits:
                return self._flushed(Block(self._emitted))
        return None

    def drain(self) -> Block:
        """Everything that waits, as complete: the file is gone, was rotated or truncated."""
        if self._rules.whole:
            return self._all_added()
        return self._flushed(self._block(self._splitter.flush()))

    def finish(self) -> Block:
        """Joined records that wait, as complete; a half line is left for the next start."""
        return self._flushed(Block(self._emitted))

    def close(self) -> None:
        """Close the handle."""
        os.close(self.fd)

    def _restart(self, offset: int, waiting: tuple[Span, ...]) -> None:
        rules = self._rules
        self._splitter = LineSplitter(rules.max_line_bytes, offset)
        self._joiner = Joiner(rules.join, offset) if rules.join is not None else None
        self._emitted = offset
        self._again = waiting
        self._grown: tuple[int, int] | None = None
        self._swept_s = self._clock.monotonic_s()

    def _watch_growth(self) -> None:
        """Note whether a file that is read whole is still being written."""
        status = os.fstat(self.fd)
        self._is_at_end = status.st_size <= self._emitted
        if self._grown != (status.st_size, status.st_mtime_ns):
            self._grown = (status.st_size, status.st_mtime_ns)
            self._grew_s = self._clock.monotonic_s()
            if len(self._head) < HEAD_BYTES:
                self._head = read_head(self.fd)

    def _all_added(self) -> Block:
        """One record of everything after what was given out, as much of it as may be held."""
        block = Block(self._emitted)
        end = os.fstat(self.fd).st_size
        length = end - self._emitted
        data = os.pread(self.fd, min(length, self._rules.max_line_bytes), self._emitted)
        text = data.replace(b"\r\n", b"\n").replace(b"\0", b"").rstrip()
        self._splitter = LineSplitter(self._rules.max_line_bytes, end)
        self._is_at_end = True
        if text:
            full_length = length if length > self._rules.max_line_bytes else None
            self._give(block, text, end, full_length)
        self._emitted = end
        return block

    def _read_again(self) -> Block:
        """What waited when the agent stopped: lines before the offset at which it goes on."""
        block = Block(self._emitted)
        spans, self._again = self._again, ()
        for start, end in spans:
            splitter = LineSplitter(self._rules.max_line_bytes, start)
            lines = splitter.feed(os.pread(self.fd, end - start, start))
            lines = lines.followed_by(splitter.flush())
            if self._joiner is not None:
                self._joiner.pass_over(start)
            self._add(block, lines)
        if self._joiner is not None:
            self._joiner.pass_over(self._splitter.offset)
        block.waiting = self._waiting()
        return block

    def _waiting(self) -> tuple[Span, ...]:
        """Pieces before what was given out that still wait."""
        waiting = [*self._again, *(self._joiner.waiting if self._joiner is not None else ())]
        return tuple(span for span in waiting if span[0] < self._emitted)

    def _swept(self, block: Block) -> Block:
        """The block and, now and then, the records of writers that fell silent."""
        if self._joiner is not None:
            now_s = self._clock.monotonic_s()
            if now_s - self._swept_s >= self._rules.join_timeout_s:
                self._swept_s = now_s
                for joined in self._joiner.sweep():
                    self._give_joined(block, joined)
            block.waiting = self._waiting()
        return block

    def _block(self, split: Lines) -> Block:
        lines = split.lines
        if any(b"\r" in line or b"\0" in line for line in lines):
            lines = [self._clean(line) for line in lines]
        if self._joiner is None and not split.cut and lines and all(lines):
            block = Block(self._emitted, lines, split.ends)
            self._emitted = split.ends[-1]
            return block
        block = Block(self._emitted)
        self._add(block, Lines(lines, split.ends, split.cut))
        return block

    def _add(self, block: Block, split: Lines) -> None:
        lines = split.lines
        if self._joiner is None:
            for index, line in enumerate(lines):
                if line:
                    self._give(block, line, split.ends[index], split.cut.get(index))
        elif split.cut:
            for index, line in enumerate(lines):
                if index in split.cut:
                    self._flushed(block)
                    self._give(block, line, split.ends[index], split.cut[index])
                    self._joiner.pass_over(split.ends[index])
                else:
                    self._join(block, [line], [split.ends[index]])
        else:
            self._join(block, lines, split.ends)

    def _join(self, block: Block, lines: list[bytes], ends: list[int]) -> None:
        assert self._joiner is not None
        for joined in self._joiner.feed(lines, ends):
            self._give_joined(block, joined)

    def _flushed(self, block: Block) -> Block:
        if self._joiner is not None:
            for joined in self._joiner.flush():
                self._give_joined(block, joined)
            block.waiting = self._waiting()
        return block

    def _give_joined(self, block: Block, joined: Joined) -> None:
        spans = joined.spans
        if len(spans) > 1 or (spans and spans[0][0] < self._emitted):
            block.spans[len(block.lines)] = spans
        self._give(block, joined.line, joined.end, None)

    def _give(self, block: Block, line: bytes, end: int, full_length: int | None) -> None:
        if full_length is not None:
            block.cut[len(block.lines)] = full_length
        block.lines.append(line)
        block.ends.append(end)
        self._emitted = max(self._emitted, end)

    @staticmethod
    def _clean(line: bytes) -> bytes:
        # a writer that keeps its offset over a truncation leaves a hole of zeros at the start
        line = line.removesuffix(b"\r")
        return line.lstrip(b"\0") if line[:1] == b"\0" else line


def _real(path: str) -> str:
    real = os.path.realpath(path)
    return path if real == path else real  # one text for both: with many files it counts
