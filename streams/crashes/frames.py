"""Stack traces as text → calls and exceptions, whatever runtime wrote them.

The formats themselves stand in ``runtimes.py``; here is the one loop that reads them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from contracts.records import Frame
from streams.crashes.names import clean_function, clean_module, module_of_file
from streams.crashes.runtimes import GRAMMARS, Grammar

_LINE_LIMIT = 4_096
"""Characters of a line: a longer one is data, not a call."""

_TRACE_LINES = 2_000
"""Lines of a trace that are read: deeper is a recursion, and its ends tell as much."""

_OTHER_GOROUTINES = re.compile(r"\n\s*\ngoroutine \d+ \[")


@dataclass(frozen=True, slots=True)
class Call:
    """One frame, cleaned: the same in every release and on every host unless its code changed."""

    module: str
    function: str
    is_in_app: bool

    @property
    def name(self) -> str:
        """``module.function``, or what is known of it."""
        return (
            f"{self.module}.{self.function}"
            if self.module and self.function
            else (self.module or self.function)
        )


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain, as its line says it."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace: calls outermost first, the root cause's calls last; exceptions as written."""

    calls: tuple[Call, ...]
    raised: tuple[Raised, ...]


def read_trace(runtime: str, stacktrace: str) -> Trace:
    r"""Every call and exception that the text of a trace names; empty for what no grammar knows.

    >>> trace = read_trace("java", "a.B: x\n  at shop.Cart.pay(Cart.java:7)")
    >>> trace.calls
    (Call(module='shop.Cart', function='pay', is_in_app=True),)
    """
    grammar = GRAMMARS.get(runtime)
    if grammar is None:
        return Trace((), ())
    sections: list[list[Call]] = [[]]
    raised: list[Raised] = []
    for line in _lines(runtime, stacktrace):
        call, exception = _read_line(runtime, line)
        if exception and _starts_section(grammar, sections[-1], raised):
            raised.append(exception)
            sections.append([])
        if call:
            sections[-1].append(call)
    if grammar.is_innermost_first:
        sections = [section[::-1] for section in sections]
    return Trace(tuple(call for section in sections for call in section), tuple(raised))


def _starts_section(grammar: Grammar, section: list[Call], raised: list[Raised]) -> bool:
    # a second exception line without calls between is the second line of a message
    return bool(section) or not (raised or grammar.frames_come_first)


def calls_of(runtime: str, frames: Iterable[Frame]) -> tuple[Call, ...]:
    """Calls of frames that a crash report already names, outermost first."""
    grammar = GRAMMARS.get(runtime)
    return tuple(
        call
        for frame in frames
        if (call := _call(runtime, grammar, frame.module, frame.function, frame.file, frame.in_app))
    )


def _lines(runtime: str, stacktrace: str) -> list[str]:
    if runtime == "go":
        # the first goroutine is the one that crashed; the others differ from crash to crash
        start = stacktrace.find("goroutine ")
        if rest := _OTHER_GOROUTINES.search(stacktrace, max(start, 0) + 1):
            stacktrace = stacktrace[: rest.start()]
    lines = stacktrace.splitlines()
    if len(lines) > _TRACE_LINES:
        lines = lines[: _TRACE_LINES // 2] + lines[-_TRACE_LINES // 2 :]
    return lines


@lru_cache(maxsize=65_536)
def _read_line(runtime: str, line: str) -> tuple[Call | None, Raised | None]:
    grammar = GRAMMARS[runtime]
    line = line[:_LINE_LIMIT]
    for pattern in grammar.frames:
        if match := pattern.match(line):
            found = {name: text or "" for name, text in match.groupdict().items()}
            module, function = found.get("module", ""), found.get("function", "")
            call = _call(runtime, grammar, module, function, found.get("file", ""), None)
            return call, _raised(found)
    if match := grammar.exception.match(line):
        return None, _raised({name: text or "" for name, text in match.groupdict().items()})
    return None, None


def _raised(found: dict[str, str]) -> Raised | None:
    name = found.get("type") or found.get("type2")
    return Raised(name, found.get("message", "").strip()) if name else None


def _call(
    runtime: str,
    grammar: Grammar | None,
    module: str,
    function: str,
    file: str,
    in_app: bool | None,  # noqa: FBT001 - a field of the frame, not a switch
) -> Call | None:
    file = _inside_eval(file)
    if grammar and (grammar.noise.search(file) or grammar.noise.search(f"{module}.{function}")):
        return None
    is_in_app = _is_in_app(grammar, module, function, file) if in_app is None else in_app
    named = clean_module(runtime, module) or module_of_file(file)
    function = clean_function(runtime, function)
    if function == "" and runtime == "javascript" and file:
        function = "<lambda>"
    return Call(named, function, is_in_app) if named or function else None


def _inside_eval(file: str) -> str:
    match = re.match(r"eval at .*\((?P<file>[^()]+?)(?::\d+){0,2}\)", file)
    return match["file"] if match else file


def _is_in_app(grammar: Grammar | None, module: str, function: str, file: str) -> bool:
    if grammar is None:
        return True
    return not (
        grammar.foreign_modules.match(module or function) or grammar.foreign_files.search(file)
    )
