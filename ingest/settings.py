"""What an agent is told: one YAML file, checked wholly before the first line is read."""

from __future__ import annotations

import re
import socket
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from contracts.config import Seconds, load
from contracts.dead_letter_limit import DeadLetterLimit
from contracts.errors import ConfigError
from contracts.records import RecordKind
from ingest.receiver.settings import ReceiverSettings, check_receiver
from ingest.redaction_rules import NAMES, own_rules

_RULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
SHORTEST_ROTATE_WAIT_S = 10.0
_LABELS = ("service", "release", "host", "arm")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file; unknown words in it are errors."""


class Format(StrEnum):
    """How one line is written."""

    JSON = "json"
    COMBINED = "combined"
    LOGFMT = "logfmt"
    REGEX = "regex"
    PLAIN = "plain"
    CRASH_FILE = "crash_file"
    """One failure to a file: read whole once it rests."""


class SourceKind(StrEnum):
    """What the lines of a source become."""

    EVENTS = "events"
    LOGS = "logs"
    CRASHES = "crashes"

    @property
    def record_kind(self) -> RecordKind:
        """The telemetry stream of these lines."""
        return RecordKind(self.value)


class TimeSource(StrEnum):
    """Where a record's time comes from: its own field, or the moment it was read."""

    FIELD = "field"
    INGEST = "ingest"


class Joining(StrEnum):
    """Whether lines that belong together become one record."""

    AUTO = "auto"
    NONE = "none"


class StartAt(StrEnum):
    """Where to begin in a file that is there when the agent starts for the first time."""

    BEGINNING = "beginning"
    END = "end"


class BatchSettings(_Section, frozen=True):
    """When a batch is full: whichever limit comes first."""

    max_records: int = 2000
    max_bytes: int = 512 * 1024
    """Bytes of log lines in one batch; keeps messages below Kafka's own limit of 1 MiB."""
    max_age: Seconds = Seconds(0.5)


class SpoolSettings(_Section, frozen=True):
    """The disk queue between reading and Kafka; when it is full, reading waits."""

    max_bytes: int = 1024 * 1024 * 1024


class DeadLetterSettings(_Section, frozen=True):
    """How many of a source's lines may be no records before the source is stopped; 0: any."""

    share: float = DeadLetterLimit.share
    """Largest share of the last ``of_last`` lines."""
    of_last: int = DeadLetterLimit.of_last
    consecutive: int = DeadLetterLimit.consecutive
    """In a row."""

    @property
    def limit(self) -> DeadLetterLimit:
        """The same, for counting."""
        return DeadLetterLimit(self.share, self.of_last, self.consecutive)


class MultilineSettings(_Section, frozen=True):
    """How lines are joined into one record."""

    mode: Joining | None = None
    """Default: ``auto`` for logs and crashes, ``none`` for events."""
    start: str = ""
    """Regex: a line that matches begins a record, every other line continues it."""
    timeout: Seconds = Seconds(1.0)
    """A record that gets no further line for so long is complete."""
    max_lines: int = 1000


class FileSource(_Section, frozen=True):
    """Files of one shape."""

    paths: list[str]
    exclude: tuple[str, ...] = ("*.gz", "*.zst", "*.xz", "*.bz2")
    kind: SourceKind = SourceKind.EVENTS
    format: Format = Format.JSON
    fields: dict[str, str] = {}
    """Their field name to ours, for example ``{ts: time, ms: duration_ms}``."""
    pattern: str = ""
    time: TimeSource | None = None
    """Default: ``field``; ``ingest`` for plain lines, which have none."""
    time_format: str = ""
    timezone: str = "UTC"
    """Zone of times that name none."""
    service: str = ""
    release: str = ""
    host: str = ""
    from_path: str = ""
    multiline: MultilineSettings = MultilineSettings()
    start_at: StartAt = StartAt.BEGINNING
    crashes: bool = False
    """Tracebacks in these logs also become crash records."""
    max_line_bytes: int = 256 * 1024
    idle_flush: Seconds = Seconds(5.0)
    """A last line without a newline, or a crash file, is taken as whole after so long at rest."""

    @property
    def joins(self) -> bool:
        """Whether lines are joined into records."""
        mode = self.multiline.mode
        if self.format is Format.CRASH_FILE:
            return False
        if mode is None:
            by_kind = self.kind is not SourceKind.EVENTS and self.format is not Format.COMBINED
            return bool(self.multiline.start) or by_kind
        return mode is Joining.AUTO

    @property
    def time_source(self) -> TimeSource:
        """Where times come from, the default filled in."""
        if self.time is not None:
            return self.time
        return TimeSource.INGEST if self.format is Format.PLAIN else TimeSource.FIELD


class HostSettings(_Section, frozen=True):
    """Samples of this machine's load, labelled with what runs on it."""

    every: Seconds = Seconds(10.0)
    service: str = ""
    release: str = ""


class RedactionSettings(_Section, frozen=True):
    """What is replaced before anything leaves this machine."""

    without: tuple[str, ...] = ()
    """Built-in rules that are not wanted, by name."""
    rules: dict[str, str] = {}
    """Own rules: name to pattern (RE2), for example ``{customer: 'cust-[0-9]{6}'}``."""
    key: str = ""
    """``${env:NAME}`` or ``${file:/path}``: key of the pseudonyms of users and sessions. Agents
    with the same key give one user one pseudonym. Default: a key of its own, in ``state_dir``.
    """


class AgentConfig(_Section, frozen=True):
    """The whole file of one agent."""

    agent: str = ""
    """Default: the host's name. Stays the same for ever: it keys what the fences remember."""
    state_dir: Path = Path("state/agent")
    batch: BatchSettings = BatchSettings()
    spool: SpoolSettings = SpoolSettings()
    poll_interval: Seconds = Seconds(0.15)
    rotate_wait: Seconds = Seconds(300.0)
    """A file that was renamed or deleted is closed after so long without growth."""
    files: list[FileSource] = []
    hosts: HostSettings | None = None
    receiver: ReceiverSettings | None = None
    redaction: RedactionSettings = RedactionSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()

    @property
    def agent_id(self) -> str:
        """The agent's name, the default filled in."""
        return self.agent or socket.gethostname()


def load_agent_config(path: Path) -> AgentConfig:
    """The agent's settings from ``path``.

    Raises:
        ConfigError: one sentence with file, line, field, value and what was expected.
    """
    config = load(path, AgentConfig)
    _check_limits(config, str(path))
    _check_redaction(config.redaction, str(path))
    if config.receiver is not None:
        check_receiver(config.receiver, str(path))
    for index, source in enumerate(config.files):
        _check_source(source, str(path), f"files[{index}]")
    return config


def _check_limits(config: AgentConfig, path: str) -> None:
    limits = {
        "batch.max_records": (config.batch.max_records, 1, 100_000),
        "batch.max_bytes": (config.batch.max_bytes, 1024, 768 * 1024),
        "dead_letters.share": (config.dead_letters.share, 0, 1),
        "dead_letters.of_last": (config.dead_letters.of_last, 1, 1_000_000),
        "dead_letters.consecutive": (config.dead_letters.consecutive, 0, 1 << 50),
        "spool.max_bytes": (config.spool.max_bytes, 1024 * 1024, 1 << 50),
    }
    for field, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ConfigError(path, f"expected {low} to {high}", field=field, value=value)
    if config.rotate_wait < SHORTEST_ROTATE_WAIT_S:
        # a file that was closed sooner would be taken for a new one at the next rotation
        expected = f"expected at least {SHORTEST_ROTATE_WAIT_S:g} seconds"
        raise ConfigError(path, expected, field="rotate_wait", value=float(config.rotate_wait))
    if not config.files and config.hosts is None and config.receiver is None:
        raise ConfigError(path, "expected at least one source", field="files")


def _check_redaction(redaction: RedactionSettings, path: str) -> None:
    for name in redaction.without:
        if name not in NAMES:
            expected = f"expected names out of {', '.join(NAMES)}"
            raise ConfigError(path, expected, field="redaction.without", value=name)
    for name, pattern in redaction.rules.items():
        field = f"redaction.rules.{name}"
        if not _RULE_NAME.fullmatch(name) or name in NAMES:
            expected = "expected a new name of small letters, digits and underscores"
            raise ConfigError(path, expected, field=field)
        try:
            own_rules({name: pattern})
        except ValueError as error:
            raise ConfigError(path, str(error), field=field, value=pattern) from error


def _check_source(source: FileSource, path: str, field: str) -> None:
    if not source.paths:
        raise ConfigError(path, "expected at least one path or glob", field=f"{field}.paths")
    pattern = _regex(source.pattern, path, f"{field}.pattern")
    _regex(source.multiline.start, path, f"{field}.multiline.start")
    if source.format is Format.REGEX and not pattern.groupindex:
        expected = "format regex needs a pattern with named groups, such as (?P<message>.*)"
        raise ConfigError(path, expected, field=f"{field}.pattern", value=source.pattern)
    if source.format is Format.COMBINED and source.kind is not SourceKind.EVENTS:
        found = source.kind.value
        raise ConfigError(path, "access logs are events", field=f"{field}.kind", value=found)
    if source.format is Format.PLAIN and source.kind is SourceKind.EVENTS:
        expected = "plain lines are logs or crashes"
        raise ConfigError(path, expected, field=f"{field}.kind", value=source.kind.value)
    if source.format is Format.CRASH_FILE and source.kind is not SourceKind.CRASHES:
        expected = "crash files need kind: crashes"
        raise ConfigError(path, expected, field=f"{field}.kind", value=source.kind.value)
    _check_from_path(source, path, f"{field}.from_path")
    _check_zone(source.timezone, path, f"{field}.timezone")
    if source.max_line_bytes < 64:
        expected = "expected at least 64"
        found_limit = source.max_line_bytes
        raise ConfigError(path, expected, field=f"{field}.max_line_bytes", value=found_limit)


def _check_from_path(source: FileSource, path: str, field: str) -> None:
    groups = _regex(source.from_path, path, field).groupindex
    if source.from_path and (not groups or set(groups) - set(_LABELS)):
        expected = f"expected named groups out of {', '.join(_LABELS)}"
        raise ConfigError(path, expected, field=field, value=source.from_path)


def _check_zone(name: str, path: str, field: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        expected = "expected a time zone such as Europe/Berlin"
        raise ConfigError(path, expected, field=field, value=name) from error


def _regex(text: str, path: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(path, f"not a regex: {error}", field=field, value=text) from error
