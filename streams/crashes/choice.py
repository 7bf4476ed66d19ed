"""Which calls of a trace tell one bug from another: the user's own, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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
        frames: every frame as it was read, with ``in_app`` as it was judged.
        is_weak: whether the calls say so little that the message must help.
    """

    calls: tuple[Call, ...]
    frames: list[Frame]
    is_weak: bool

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
    pairs = [list(zip(section.frames, section.calls, strict=True)) for section in trace.sections]
    own = _own([pair for part in pairs for pair in part], told)
    judged = [[(f, c, own(f, c)) for f, c in part] for part in pairs]
    weak = [[c for _, c, is_own in part if is_own] for part in judged]
    strong = [[c for c in part if not c.is_weak] for part in weak]
    is_any = any(map(any, weak))
    every = [[c for _, c in part] for part in pairs]
    sections = strong if any(strong) else weak if is_any else _strong_or_all(every)
    is_overflow = not _OVERFLOWS.isdisjoint(types)
    calls: dict[Call, None] = {}
    for section in sections:
        calls.update(dict.fromkeys(_without_recursion(section, is_overflow=is_overflow)))
    kept = tuple(calls)[-_CALLS_LIMIT:]
    return Chosen(
        calls=kept,
        frames=[_judged(f, is_own) for part in judged for f, _, is_own in part],
        is_weak=all(call.is_weak for call in kept),
    )


def _strong_or_all(sections: list[list[Call]]) -> list[list[Call]]:
    strong = [[call for call in section if not call.is_weak] for section in sections]
    return strong if any(strong) else sections


class _own:  # noqa: N801 - used like a function
    """Whether a frame is the user's own: what its reporter says, corrected by what is known."""

    def __init__(self, pairs: Sequence[tuple[Written, Call]], told: Told | None) -> None:
        self._told = told
        marks = {(f.in_app, c.is_in_app) for f, c in pairs}
        # the first of these views under which anything is the user's own
        views = ((True, True), (True, False), (None, True), (False, True))
        self._view = next((view for view in views if view in marks), (True, True))

    def __call__(self, frame: Written, call: Call) -> bool:
        if self._told and (said := self._told(frame)) is not None:
            return said
        reported, known = self._view
        return frame.in_app is reported and call.is_in_app is known


def _judged(frame: Written, is_own: bool) -> Frame:  # noqa: FBT001 - a field's value
    return Frame(
        module=frame.module,
        function=frame.function,
        file=frame.file,
        line=frame.line,
        in_app=is_own,
    )


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
