"""Stack traces → exceptions and calls, whatever runtime or reporter wrote them.

The formats themselves stand in ``grammars/``; here is the one loop that reads them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from contracts.records import Frame
from contracts.sentry import CAUSED_BY
from streams.crashes.grammars.base import LAMBDA, Grammar
from streams.crashes.names import clean_function, clean_module
from streams.crashes.paths import place_of
from streams.crashes.runtimes import GRAMMARS
from streams.crashes.texts import PLACE_MARK, lines_of

_LINE_LIMIT = 4_096
"""Characters of a line: a longer one is data, not a call."""
_CACHED_LENGTH = 400
"""Longer lines are read each time: they would fill the cache and seldom come again."""
_LARGEST_LINE = (1 << 31) - 1


class Call(NamedTuple):
    """One frame, cleaned: the same in every release and on every host unless its code changed.

    Attributes:
        module: class, package or, where there is none, the file.
        function: clean; empty where it has no name of its own.
        is_in_app: whether it is the user's own code, by the rules of its runtime.
        is_weak: whether it says little: nameless, generated, or of a kind that builds differ in.
        extension: of the file that the module's name was made of.
    """

    module: str
    function: str
    is_in_app: bool
    is_weak: bool = False
    extension: str = ""

    @property
    def name(self) -> str:
        """``module.function``, or what is known of it."""
        return ".".join(word for word in (self.module, self.function) if word)


class Written(NamedTuple):
    """One frame as it was written; ``in_app`` is what its reporter said, if it did."""

    module: str
    function: str
    file: str
    line: int | None = None
    in_app: bool | None = None


class Raised(NamedTuple):
    """One exception of a chain, as its line says it."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Section:
    """One exception of a chain with its own calls, outermost first."""

    raised: Raised | None
    frames: tuple[Written, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace: the outermost exception first, the root cause last."""

    sections: tuple[Section, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, the root cause's innermost one last."""
        return tuple(call for section in self.sections for call in section.calls)

    @property
    def raised(self) -> tuple[Raised, ...]:
        """The exceptions that are named."""
        return tuple(section.raised for section in self.sections if section.raised)


class _Line(NamedTuple):
    """What one line says: a frame, an exception, both, or where the frame above it stands."""

    frame: Written | None = None
    raised: Raised | None = None
    place: tuple[str, int | None] | None = None


def read_trace(runtime: str, stacktrace: str) -> Trace:
    r"""Every call and exception that the text of a trace names; empty for what no grammar knows.

    >>> trace = read_trace("java", "a.B: x\n  at shop.Cart.pay(Cart.java:7)")
    >>> [call.name for call in trace.calls]
    ['shop.Cart.pay']
    """
    grammar = GRAMMARS.get(runtime)
    if grammar is None:
        return Trace()
    reader = _reader(runtime)
    raised: list[Raised | None] = [None]
    stacks: list[list[Written]] = [[]]
    for text in lines_of(runtime, stacktrace):
        line = reader(text) if len(text) <= _CACHED_LENGTH else _read_line(grammar, text)
        if line is None:
            continue
        if line.raised is not None:
            _raise(grammar, line.raised, raised, stacks)
        if line.frame is not None:
            stacks[-1].append(line.frame)
        elif line.place is not None and stacks[-1]:
            above = stacks[-1][-1]
            stacks[-1][-1] = Written(above.module, above.function, *line.place, above.in_app)
    return _trace(runtime, grammar, raised, stacks)


def _raise(
    grammar: Grammar, new: Raised, raised: list[Raised | None], stacks: list[list[Written]]
) -> None:
    """Begin a section; a second exception line without calls between belongs to a message."""
    if grammar.frames_come_first:
        if stacks[-1]:
            raised[-1] = new
            raised.append(None)
            stacks.append([])
    elif stacks[-1]:
        raised.append(new)
        stacks.append([])
    elif raised[-1] is None:
        raised[-1] = new


def _trace(
    runtime: str, grammar: Grammar, raised: list[Raised | None], stacks: list[list[Written]]
) -> Trace:
    sections = []
    for exception, written in zip(raised, stacks, strict=True):
        if not written and exception is None:
            continue
        if grammar.files_are_callers:
            files = [("", None), *((frame.file, frame.line) for frame in written)]
            frames = [w._replace(file=f, line=n) for w, (f, n) in zip(written, files, strict=False)]
        else:
            frames = written
        if grammar.is_innermost_first:
            frames = frames[::-1]
        sections.append(Section(exception, tuple(frames), _calls(runtime, frames)))
    if grammar.causes_come_first:
        sections.reverse()
    return Trace(tuple(sections))


def trace_of_frames(runtime: str, frames: Iterable[Frame], stacktrace: str) -> Trace:
    """The trace of frames that a report already names, outermost first.

    Args:
        runtime: of the report.
        frames: of the whole chain of exceptions.
        stacktrace: as ``contracts.sentry`` renders it, where the frames' sections stand; any other
            text means one section.
    """
    written = [Written(f.module, f.function, f.file, f.line, f.in_app) for f in frames]
    raised, counts = _rendered_sections(stacktrace)
    if sum(counts) != len(written):
        raised, counts = [None], [len(written)]
    sections, start = [], 0
    for exception, count in zip(raised, counts, strict=True):
        part = written[start : start + count]
        sections.append(Section(exception, tuple(part), _calls(runtime, part)))
        start += count
    return Trace(tuple(section for section in sections if section.frames or section.raised))


def _rendered_sections(text: str) -> tuple[list[Raised | None], list[int]]:
    raised: list[Raised | None] = []
    counts: list[int] = []
    for line in text.split("\n"):
        if line.startswith("    in ") and counts:
            counts[-1] += 1
        elif line.startswith("    in "):
            raised, counts = [None], [1]
        elif line and not line[0].isspace():
            kind, _, message = line.removeprefix(CAUSED_BY).partition(": ")
            raised.append(Raised(kind, message))
            counts.append(0)
    return raised, counts


@cache
def _reader(runtime: str) -> Callable[[str], _Line | None]:
    grammar = GRAMMARS[runtime]
    return lru_cache(maxsize=65_536)(lambda line: _read_line(grammar, line))


def _read_line(grammar: Grammar, text: str) -> _Line | None:
    line, _, place = text[:_LINE_LIMIT].partition(PLACE_MARK)
    found = _read_one(grammar, line)
    below = _read_one(grammar, place) if place else None
    if below is None or below.place is None:
        return found
    if found is None or found.frame is None:
        return _Line(None, found and found.raised, below.place)
    frame = found.frame
    return _Line(Written(frame.module, frame.function, *below.place), found.raised)


def _read_one(grammar: Grammar, line: str) -> _Line | None:
    for pattern in grammar.frames:
        if match := pattern.match(line):
            found = _groups(match)
            frame = Written(
                found.get("module", ""),
                found.get("function", ""),
                found.get("file", ""),
                _number(found.get("line", "")),
            )
            return _Line(frame, _raised(found))
    if grammar.place is not None and (match := grammar.place.match(line)):
        return _Line(place=(match["file"], _number(match["line"] or "")))
    if match := grammar.exception.match(line):
        found = _groups(match)
        raised = _raised(found)
        if raised and (file := found.get("file")):
            # PHP says here where it was thrown: the file of the innermost call
            return _Line(raised=raised, place=(file, _number(found.get("line", ""))))
        return _Line(raised=raised) if raised else None
    return None


def _groups(match: re.Match[str]) -> dict[str, str]:
    """What took part, alternatives (``type2``) by the name of the first."""
    return {name.rstrip("23456789"): text for name, text in match.groupdict().items() if text}


def _raised(found: dict[str, str]) -> Raised | None:
    name = found.get("type")
    return Raised(name, found.get("message", "").strip()) if name else None


def _number(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
    return number if number is None or number <= _LARGEST_LINE else None


def _calls(runtime: str, frames: Sequence[Written]) -> tuple[Call, ...]:
    return tuple([_call(runtime, f.module, f.function, f.file) for f in frames])


@lru_cache(maxsize=65_536)
def _call(runtime: str, module: str, function: str, file: str) -> Call:
    grammar = GRAMMARS.get(runtime)
    file = _inside_eval(file)
    named, extension = clean_module(runtime, module), ""
    if not named:
        named, extension = place_of(file)
    clean = clean_function(runtime, function)
    if grammar is None:
        return Call(named, clean, is_in_app=True, is_weak=not (named or clean), extension=extension)
    if runtime == "javascript" and not clean and file:
        clean = LAMBDA
    is_nameless = grammar.nameless.fullmatch(clean) is not None
    is_noise = bool(grammar.noise.search(file) or grammar.noise.search(f"{module}.{function}"))
    if is_nameless and clean != LAMBDA and runtime != "javascript":
        clean = ""
    if grammar.names_stand_alone and not is_nameless:
        named, extension = "", ""
    return Call(
        named,
        clean,
        is_in_app=not is_noise and _is_own(grammar, module, clean, file),
        is_weak=is_noise or is_nameless or not (named or clean),
        extension=extension,
    )


def _inside_eval(file: str) -> str:
    match = re.match(r"eval at .*\((?P<file>[^()]+?)(?::\d+){0,2}\)", file)
    return match["file"] if match else file


def _is_own(grammar: Grammar, module: str, function: str, file: str) -> bool:
    if grammar.foreign_files.search(file):
        return False
    image = re.split(r"[/\\]", module)[-1] if grammar.names_stand_alone else module
    if image and grammar.foreign_modules.match(image):
        return False
    speaks = grammar.names_stand_alone or not (module or file)
    return not (speaks and function and grammar.foreign_modules.match(function))
