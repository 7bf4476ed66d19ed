"""Coalmine's own log: one event name and fields per line, to stderr."""

from __future__ import annotations

import sys

import structlog


def configure(*, as_json: bool | None = None) -> None:
    """Set up structlog for this process: JSON lines, or colours where stderr is a terminal."""
    use_json = not sys.stderr.isatty() if as_json is None else as_json
    renderer = structlog.processors.JSONRenderer() if use_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
