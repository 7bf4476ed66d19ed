"""What every trace parser gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.records import Frame

MAX_FRAMES = 200
_LARGEST_LINE = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Traceback:
    """One failure: the exception that ended it, and its frames, outermost first."""

    runtime: str
    exception_type: str
    exception_message: str = ""
    frames: list[Frame] = field(default_factory=list)
    thread: str = ""
    text: str = ""
    """What of the text is to be kept, where not all of it may leave the machine."""


def frames_of(
    text: str, pattern: re.Pattern[str], library: re.Pattern[str], *, innermost_first: bool
) -> list[Frame]:
    """A frame for each line that ``pattern`` matches (groups ``module function file line``).

    Args:
        text: the trace.
        pattern: matched anywhere, multi-line; groups that do not take part are empty.
        library: a frame whose file or module matches is not the application's own.
        innermost_first: how the runtime prints; the result is outermost first always.
    """
    frames = [_frame(m.groupdict(default=""), library) for m in pattern.finditer(text)]
    if innermost_first:
        frames.reverse()
    return frames[-MAX_FRAMES:]


def _frame(groups: dict[str, str], library: re.Pattern[str]) -> Frame:
    line = groups.get("line", "")
    number = int(line) if line.isdigit() and len(line) <= 10 else None
    file, module = groups.get("file", ""), groups.get("module", "")
    function = groups.get("function", "")
    where = f"{module}.{function}" if module and not file.startswith("/") else file or function
    return Frame(
        module=module,
        function=function,
        file=file,
        line=number if number is None or number <= _LARGEST_LINE else None,
        in_app=not (library.search(file) or library.search(where)),
    )


def split_exception(text: str) -> tuple[str, str]:
    """Type and message of ``pkg.Type: message``.

    >>> split_exception("java.io.IOException: no disk")
    ('java.io.IOException', 'no disk')
    """
    name, _, message = text.strip().partition(":")
    return name.strip(), message.strip()


def last(items: Iterable[re.Match[str]]) -> re.Match[str] | None:
    """The last match, if any."""
    found = None
    for found in items:  # noqa: B007 - the last one is wanted
        pass
    return found
