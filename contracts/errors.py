"""The error tree: which exception means what to the loop that catches it."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding the bytes of strangers may raise; the last one for what is nested too deeply."""


class CoalmineError(Exception):
    """Root of every error that Coalmine raises on purpose; ``exit_code`` is the command's."""

    exit_code = 1


class Backpressure(CoalmineError):
    """A downstream part is full: wait, then offer the same work again."""


class Recoverable(CoalmineError):
    """A passing fault (a server away, a timeout): retry with backoff."""


class Fatal(CoalmineError):
    """This process cannot go on: stop it and let the supervisor start it anew."""


class TooManyDeadLetters(Fatal):
    """So much was set aside that the fault is likely our own: stop, before all of it is.

    Args:
        stage: the part that stops.
        found: what was seen, in words, for example ``10000 records in a row``.
        reason: that of the last dead letter.
    """

    exit_code = 3

    def __init__(self, stage: str, found: str, reason: str) -> None:
        super().__init__(
            f"{stage} stopped: {found} became dead letters, the last one for {reason!r}. "
            "See coalmine deadletters list; COALMINE_DEADLETTERS_CONSECUTIVE and "
            "COALMINE_DEADLETTERS_SHARE allow more"
        )
        self.stage = stage
        self.found = found
        self.reason = reason


class InvalidRecord(CoalmineError):
    """One record cannot be used: it becomes a dead letter and the rest goes on.

    Args:
        reason: a short stable cause, for example ``not json`` (a metric label, so no values in it).
        detail: what exactly was found and what was expected.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class ConfigError(CoalmineError):
    """A file or setting that a user wrote is wrong; the message is one plain sentence.

    Args:
        source: the file (or environment variable) it stands in.
        line: line in that file, counted from 1, or None where there is none.
        field: dotted path of the field, for example ``metrics[1].tolerance``.
        value: what was found.
        expected: what was expected, in words.
    """

    exit_code = 2

    def __init__(
        self,
        source: str,
        expected: str,
        *,
        line: int | None = None,
        field: str = "",
        value: object = None,
    ) -> None:
        place = f"{source}:{line}" if line else source
        what = f" {field}:" if field else ""
        found = f", found {value!r}" if value is not None else ""
        super().__init__(f"{place}:{what} {expected}{found}")
        self.source = source
        self.line = line
        self.field = field
        self.value = value
        self.expected = expected
