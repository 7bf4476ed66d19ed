"""One source of the configuration, ready to work: labels by path, parser, joining rules."""

from __future__ import annotations

import dataclasses
import glob
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import structlog

from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.errors import TooManyDeadLetters
from contracts.records import Crash, LogLine, RecordKind
from ingest.files import is_excluded
from ingest.multiline import JoinRules, starts_with
from ingest.parsers.base import Labels, Parsed, Rejected, decode_text
from ingest.parsers.factory import parser_for
from ingest.rows import Rows
from ingest.settings import FileSource, Format, SourceKind
from ingest.tail import TailRules
from ingest.tracebacks.detect import crash_of

log = structlog.get_logger()

CUT_ATTRIBUTE = "log.truncated_bytes"
_JSON_START = rb"\s*\{"


class Source:
    """Turns lines of its files into records."""

    def __init__(
        self,
        config: FileSource,
        default_host: str,
        limit: DeadLetterLimit = DeadLetterLimit(),  # noqa: B008 - frozen
    ) -> None:
        self.config = config
        self.dead_letters = DeadLetterCount(", ".join(config.paths), limit)
        self.is_stopped = False
        """Whether too much of it was set aside: its files wait."""
        self.tail_rules = _tail_rules(config)
        self._parser = parser_for(config)
        self._from_path = re.compile(config.from_path) if config.from_path else None
        self._fixed = Labels(
            service=config.service, release=config.release, host=config.host or default_host
        )
        self.labels = lru_cache(maxsize=10_000)(self._labels)

    def count(self, lines: int, rejected: Sequence[Rejected]) -> None:
        """Count the lines of a block; too many that are no records stop the source.

        Others are read on. The lines that were read are kept, those to come wait in their files.
        """
        at = 0
        try:
            for line, reason, _ in rejected:
                self.dead_letters.good(line - at)
                self.dead_letters.bad(reason)
                at = line + 1
            self.dead_letters.good(lines - at)
        except TooManyDeadLetters as error:
            if not self.is_stopped:
                log.error(  # noqa: TRY400 - a traceback would say nothing
                    "source_stopped",
                    paths=self.config.paths,
                    found=error.found,
                    reason=error.reason,
                    to_do="mend its format or raise dead_letters, then start the agent again",
                )
            self.is_stopped = True

    def had(self, path: str) -> bool:
        """Whether one of the source's globs matches this path (the file need not be there)."""
        if is_excluded(path, self.config.exclude):
            return False
        return any(_glob_regex(p).fullmatch(path) for p in self.config.paths)

    def known_paths(self, seen: Iterable[str]) -> list[str]:
        """Paths whose files are or were this source's: named in full, or matched and seen."""
        literal = [p for p in self.config.paths if not glob.has_magic(p)]
        return [*literal, *(p for p in seen if p not in literal and self.had(p))]

    def parse(
        self, path: str, lines: Sequence[bytes], cut: dict[int, int], read_time: int
    ) -> tuple[Parsed, Rows]:
        """Records and rejected lines, and the crashes that logs tell of besides.

        Args:
            path: where the lines come from.
            lines: complete records' bytes.
            cut: index to full length of lines that were too long.
            read_time: epoch milliseconds.
        """
        labels = self.labels(path)
        if cut and not self._takes_cut_lines:
            return self._parse_around(path, lines, cut, read_time)
        parsed = self._parser.parse(lines, labels, read_time)
        if cut:
            self._mark(parsed, cut)
        return parsed, self._crashes(parsed.rows, labels)

    @property
    def _takes_cut_lines(self) -> bool:
        is_text = self.config.format in (Format.PLAIN, Format.REGEX)
        is_log = is_text and self.config.kind is SourceKind.LOGS
        return is_log or self.config.format is Format.CRASH_FILE

    def _parse_around(
        self, path: str, lines: Sequence[bytes], cut: dict[int, int], read_time: int
    ) -> tuple[Parsed, Rows]:
        kept = [i for i in range(len(lines)) if i not in cut]
        parsed, crashes = self.parse(path, [lines[i] for i in kept], {}, read_time)
        rejected = [r._replace(line=kept[r.line]) for r in parsed.rejected]
        rejected += [Rejected(i, "line too long", f"{length} bytes") for i, length in cut.items()]
        parsed.rejected = sorted(rejected)
        return parsed, crashes

    @staticmethod
    def _mark(parsed: Parsed, cut: dict[int, int]) -> None:
        refused = {r.line for r in parsed.rejected}
        accepted = [i for i in range(len(parsed.rows) + len(refused)) if i not in refused]
        if parsed.rows.kind is RecordKind.CRASHES:  # have no attributes
            stacks = parsed.rows.column("stacktrace")
            for row, index in enumerate(accepted):
                if index in cut:
                    stacks[row] += f"\n[{CUT_ATTRIBUTE}: {cut[index]}]"
            return
        attributes = parsed.rows.column("attributes")
        for row, index in enumerate(accepted):
            if index in cut:
                attributes[row] = {**attributes[row], CUT_ATTRIBUTE: str(cut[index])}

    def _crashes(self, rows: Rows, labels: Labels) -> Rows:
        crashes: list[Crash] = []
        if self.config.crashes and rows.kind is RecordKind.LOGS:
            crashes = self._crashes_in(rows, labels)
        return Rows.of(RecordKind.CRASHES, crashes)

    @staticmethod
    def _crashes_in(rows: Rows, labels: Labels) -> list[Crash]:
        crashes = []
        joined = [i for i, message in enumerate(rows.column("message")) if "\n" in message]
        for row in joined:
            [record] = rows[row : row + 1].records()
            assert isinstance(record, LogLine)
            own = Labels(record.service, record.release, record.host, labels.arm)
            crash = crash_of(record.message, record.time, own)
            if crash is not None:
                crash.trace = record.trace
                crashes.append(crash)
        return crashes

    def _labels(self, path: str) -> Labels:
        found = self._from_path.search(path) if self._from_path else None
        groups = {k: v for k, v in found.groupdict().items() if v} if found else {}
        # what the user wrote by hand is a default: the path knows better
        return dataclasses.replace(self._fixed, **groups)


def _tail_rules(config: FileSource) -> TailRules:
    join = None
    if config.joins:
        join = _join_rules(config)
    return TailRules(
        max_line_bytes=config.max_line_bytes,
        idle_flush_s=float(config.idle_flush),
        join=join,
        join_timeout_s=float(config.multiline.timeout),
        whole=config.format is Format.CRASH_FILE,
    )


def _join_rules(config: FileSource) -> JoinRules:
    multiline = config.multiline
    if multiline.start:
        starts = starts_with(multiline.start)
        return JoinRules(starts=starts, strict=True, max_lines=multiline.max_lines)
    if config.format is Format.REGEX:
        pattern = re.compile(config.pattern)
        return JoinRules(
            starts=lambda line: pattern.match(decode_text(line)) is not None,
            max_lines=multiline.max_lines,
        )
    if config.format is Format.JSON:
        json_start = re.compile(_JSON_START)
        return JoinRules(
            starts=lambda line: json_start.match(line) is not None, max_lines=multiline.max_lines
        )
    return JoinRules(max_lines=multiline.max_lines)


@lru_cache(maxsize=1000)
def _glob_regex(pattern: str) -> re.Pattern[str]:
    r"""A glob as a regex in which ``*`` stays within one folder.

    >>> bool(_glob_regex("/log/*.log").fullmatch("/log/a.log"))
    True
    """
    text = ""
    i = 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            text, i = text + "(?:.*/)?", i + 3
        elif pattern[i] == "*":
            text, i = text + "[^/]*", i + 1
        elif pattern[i] == "?":
            text, i = text + "[^/]", i + 1
        elif pattern[i] == "[" and "]" in pattern[i + 1 :]:
            end = pattern.index("]", i + 1)
            text, i = text + pattern[i : end + 1].replace("[!", "[^"), end + 1
        else:
            text, i = text + re.escape(pattern[i]), i + 1
    return re.compile(text)
