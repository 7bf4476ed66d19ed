"""Coalmine's own log: one event name and fields per line, to stderr."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def printable(text: str) -> str:
    r"""``text`` in one line of visible letters: no terminal obeys what stands in it.

    Escape sequences, line ends and marks that turn the direction of writing become ``\xNN``.

    >>> printable("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\\x0ac'
    """
    return text.translate(_CONTROLS)


def printable_lines(text: str) -> str:
    """Like ``printable``, but line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def configure(*, as_json: bool | None = None) -> None:
    """Set up structlog for this process: JSON lines, or colours where stderr is a terminal."""
    use_json = not sys.stderr.isatty() if as_json is None else as_json
    for_people: list[Processor] = [_visible, structlog.dev.ConsoleRenderer()]
    renderers: list[Processor] = [structlog.processors.JSONRenderer()] if use_json else for_people
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def quiet() -> None:
    """Set up structlog for a command that tells its results itself: only errors, to stderr."""
    structlog.configure(
        processors=[_visible, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _visible(_: object, __: str, fields: EventDict) -> EventDict:
    return {
        name: printable_lines(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
