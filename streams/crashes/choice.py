"""Which calls of a trace tell one bug from another: the user's own, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

from contracts.records import Frame
from streams.crashes.frames import Call, Trace, Written

_CALLS_LIMIT = 64
_OVERFLOWS = frozenset(
    ("StackOverflowError", "RecursionError", "SystemStackError", "StackOverflowException")
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The calls that matter.

    Attributes:
        calls: outermost first.
        trace: as read.
        own: which frames of each of its sections were judged to be the user's own.
        is_weak: whether the calls say so little that the message must help.
    """

    calls: tuple[Call, ...]
    trace: Trace
    own: list[list[bool]]
    is_weak: bool

    @property
    def frames(self) -> list[Frame]:
        """Every frame as it was read, with ``in_app`` as it was judged."""
        return [
            Frame(module=f.module, function=f.function, file=f.file, line=f.line, in_app=is_own)
            for section, own in zip(self.trace.sections, self.own, strict=True)
            for f, is_own in zip(section.frames, own, strict=True)
        ]

    @property
    def culprit(self) -> str:
        """The innermost call that matters."""
        return self.calls[-1].name if self.calls else ""


Told = Callable[[Written], bool | None]


def chosen_calls(trace: Trace, types: Iterable[str], told: Told | None = None) -> Chosen:
    """The in-app calls, all calls where none is; recursion folded, nothing of a chain twice.

    Args:
        trace: as read.
        types: of its exceptions, clean.
        told: whose code a frame is by a user's rules; None where they do not say.
    """
    own = _own(trace, told)
    every = [section.calls for section in trace.sections]
    weak = [list(compress(calls, of_one)) for calls, of_one in zip(every, own, strict=True)]
    strong = _strong(weak)
    sections = strong if any(strong) else weak if any(weak) else _strong_or_all(every)
    is_overflow = not _OVERFLOWS.isdisjoint(types)
    calls: dict[Call, None] = {}
    for section in sections:
        calls.update(dict.fromkeys(_without_recursion(section, is_overflow=is_overflow)))
    kept = tuple(calls)[-_CALLS_LIMIT:]
    return Chosen(
        calls=kept,
        trace=trace,
        own=own,
        is_weak=all(call.is_weak for call in kept),
    )


def _strong(sections: Sequence[Sequence[Call]]) -> Sequence[Sequence[Call]]:
    return [[call for call in section if not call.is_weak] for section in sections]


def _strong_or_all(sections: Sequence[Sequence[Call]]) -> Sequence[Sequence[Call]]:
    strong = _strong(sections)
    return strong if any(strong) else sections


def _own(trace: Trace, told: Told | None) -> list[list[bool]]:
    """Which frames of each section are the user's own: as reported, corrected by what is known."""
    pairs = [list(zip(part.frames, part.calls, strict=True)) for part in trace.sections]
    marks = {(frame.in_app, call.is_in_app) for part in pairs for frame, call in part}
    # the first of these views under which anything is the user's own
    views = ((True, True), (True, False), (None, True), (False, True))
    reported, known = next((view for view in views if view in marks), views[0])
    own = [[f.in_app is reported and c.is_in_app is known for f, c in part] for part in pairs]
    if told is None:
        return own
    return [
        [
            is_own if (said := told(f)) is None else said
            for (f, _), is_own in zip(*both, strict=True)
        ]
        for both in zip(pairs, own, strict=True)
    ]


def _without_recursion(calls: Sequence[Call], *, is_overflow: bool) -> list[Call]:
    """Each call once. What lies between a call and its repetition is one knot, in fixed order.

    How often a recursion went round, and in which order, depends on the data; the innermost call
    stays last, because it is where the crash happened, unless the stack ran over.

    >>> f, g, h = (Call("m", name, True) for name in "fgh")
    >>> [c.function for c in _without_recursion([h, f, g, f, g, f], is_overflow=False)]
    ['h', 'g', 'f']
    """
    if len(set(calls)) == len(calls):
        return list(calls)
    first: dict[Call, int] = {}
    last: dict[Call, int] = {}
    for index, call in enumerate(calls):
        first.setdefault(call, index)
        last[call] = index
    repeated = [call for call in first if last[call] > first[call]]
    start = min(first[call] for call in repeated)
    end = max(last[call] for call in repeated)
    knot = sorted(set(calls[start : end + 1]))
    if is_overflow:
        return sorted(repeated)
    tail = list(calls[end + 1 :])
    if not tail:
        knot.remove(calls[-1])
        tail = [calls[-1]]
    return [*calls[:start], *knot, *tail]
