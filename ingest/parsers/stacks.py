"""Stack traces that loggers write into fields: many names, some of them nested, to one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

_PARENTS = ("exception", "error", "err", "exc", "thrown", "exc_info")
_KINDS = ("type", "class", "name", "kind", "exception_class", "exc_type")
_MESSAGES = ("message", "msg", "value", "exception_message", "exc_value")
_STACKS = ("stacktrace", "stack_trace", "stack", "backtrace", "traceback", "extendedStackTrace")


def _names(parts: Sequence[str], *alone: str) -> tuple[str, ...]:
    return (*(f"{parent}.{part}" for parent, part in product(_PARENTS, parts)), *alone)


_KIND_NAMES = _names(_KINDS, "exc_type")
_MESSAGE_NAMES = _names(_MESSAGES, "error")
_STACK_NAMES = _names(_STACKS, *_STACKS[:-1], "exc_info", "exception", "error", "err", "@x")
_ANY = frozenset(_STACK_NAMES)
_FRAME = ("at ", 'File "')
"""What a stack of one line begins with."""


class Reported(NamedTuple):
    """A failure as fields tell of it; type and message are empty where only the stack is given."""

    stack: str
    kind: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        """The stack as the runtime prints it, with the exception's line."""
        if not self.kind or self.kind.rpartition(".")[2] in self.stack:
            return self.stack
        line = f"{self.kind}: {self.message}" if self.message else self.kind
        frames = self.stack.rstrip("\n")
        if frames.lstrip().startswith('File "'):
            indented = frames if frames[:1].isspace() else f"  {frames}"
            return f"Traceback (most recent call last):\n{indented}\n{line}"
        if frames.startswith("Traceback "):
            return f"{frames}\n{line}"
        return f"{line}\n{frames}"


def reported_in(fields: Mapping[str, Any]) -> Reported | None:
    r"""The failure that the fields of one record tell of; None where no field holds a stack.

    Args:
        fields: nested names dotted, ``attributes`` as one object.

    >>> reported_in({"error.type": "IOError", "error.stack": "at a (a.js:1:2)\nat b"}).kind
    'IOError'
    """
    attributes = fields.get("attributes")
    if isinstance(attributes, Mapping) and not _ANY.isdisjoint(attributes):
        fields = {**attributes, **fields}
    if _ANY.isdisjoint(fields):
        return None
    stacks = (_stack(fields.get(name)) for name in _STACK_NAMES)
    stack = next((s for s in stacks if "\n" in s or s.lstrip().startswith(_FRAME)), "")
    if not stack:
        return None
    return Reported(stack, _text(fields, _KIND_NAMES), _text(fields, _MESSAGE_NAMES))


def _text(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first value on one line."""
    values = (fields.get(name) for name in names)
    return next((v for v in values if isinstance(v, str) and v and "\n" not in v), "")


def _stack(value: object) -> str:
    """A stack as text: one text, a list of lines, or the list of objects that structlog writes."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        return ""
    if all(isinstance(line, str) for line in value):
        return "\n".join(value)
    last = value[0]
    frames = last.get("frames") if isinstance(last, dict) else None
    if not isinstance(frames, list) or not all(isinstance(f, dict) for f in frames):
        return ""
    calls = [
        f'  File "{f.get("filename", "")}", line {f.get("lineno", 0)}, in {f.get("name", "")}'
        for f in frames
    ]
    ending = f"{last.get('exc_type', '')}: {last.get('exc_value', '')}"
    return "\n".join(["Traceback (most recent call last):", *calls, ending])
