"""The lines of a text that tell of the crash itself: other threads are left out."""

from __future__ import annotations

import re

PLACE_MARK = "\x1f"
"""Between a call and the place that its runtime writes on the next line, where they are joined."""

_TRACE_LINES = 2_000
"""Lines of a trace that are read: deeper is a recursion, and its ends tell as much."""

_OTHER_GOROUTINES = re.compile(r"\n\s*\ngoroutine \d+ ")
_GO_ARGUMENTS = re.compile(r"\((?:0x|\{)[^\n]*\)(?=\n|$)")
_GO_OFFSETS = re.compile(r" \+0x[0-9a-f]+(?=\n|$)")
_CRASHED_THREAD = re.compile(
    r"^(?:Thread \d+.*[Cc]rashed.*|backtrace:|.*\(crashed\).*|Exception Backtrace:)$", re.MULTILINE
)
_FIRST_FRAME = re.compile(r"^\s*#?0+\s|^\s*#0+\s|^\s*\*? ?frame #0:")
_FAULTHANDLER = re.compile(
    r"(?:^Fatal Python error: (?P<message>[^\n]+)[\s\S]*?)?"
    r"^(?:Current thread|Thread|Stack)[^\n]*\(most recent call first\):\n"
    r"(?P<frames>(?:[ \t]+.*\n?)*)",
    re.MULTILINE,
)
_SUPPRESSED = re.compile(r"^\s+Suppressed: ")


def lines_of(runtime: str, text: str) -> list[str]:
    """What a grammar has to read, in the order that it expects."""
    prepare = _PREPARE.get(runtime)
    lines = prepare(text) if prepare else text.splitlines()
    if len(lines) > _TRACE_LINES:
        lines = lines[: _TRACE_LINES // 2] + lines[-_TRACE_LINES // 2 :]
    return lines


def _of_python(text: str) -> list[str]:
    """A dump of faulthandler is turned over, and ends with what was fatal."""
    if "most recent call first" not in text:
        return text.splitlines()
    # the thread that crashed is called the current one
    found = [match for match in _FAULTHANDLER.finditer(text) if match["frames"]]
    dump = next((m for m in found if "Current thread" in m[0]), found[0] if found else None)
    if dump is None:
        return text.splitlines()
    return [*dump["frames"].splitlines()[::-1], f"FatalError: {dump['message'] or ''}"]


def _of_go(text: str) -> list[str]:
    """The first goroutine is the one that crashed; the others differ from crash to crash."""
    start = text.find("goroutine ")
    if rest := _OTHER_GOROUTINES.search(text, max(start, 0) + 1):
        text = text[: rest.start()]
    # without arguments and offsets, a call and its place are the same in every crash
    text = _GO_OFFSETS.sub("", _GO_ARGUMENTS.sub("(...)", text.replace(PLACE_MARK, " ")))
    return text.replace("\n\t/", f"{PLACE_MARK}\t/").splitlines()


def _of_java(text: str) -> list[str]:
    """Without suppressed exceptions, which tell of the clearing up; the root cause last."""
    lines = text.splitlines()
    if "Suppressed: " in text:
        lines = _without_suppressed(lines)
    if "Wrapped by: " in text:
        starts = [0, *(i for i, line in enumerate(lines) if line.startswith("Wrapped by: "))]
        parts = [lines[a:b] for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
        lines = [line for part in reversed(parts) for line in part]
    return lines


def _without_suppressed(lines: list[str]) -> list[str]:
    kept: list[str] = []
    depth: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            continue
        depth = indent if _SUPPRESSED.match(line) else None
        if depth is None:
            kept.append(line)
    return kept


def _of_native(text: str) -> list[str]:
    """The crashed thread's stack alone, with what was said before the first one."""
    head = text.splitlines()
    first = next((i for i, line in enumerate(head) if _FIRST_FRAME.match(line)), len(head))
    found = _CRASHED_THREAD.search(text)
    lines = text[found.end() :].splitlines() if found else head[first:]
    stack: list[str] = []
    for line in lines:
        if stack and (not line.strip() or _FIRST_FRAME.match(line)):
            break
        if stack or _FIRST_FRAME.match(line) or not found:
            stack.append(line)
    return [*head[:first], *stack]


_PREPARE = {
    "python": _of_python,
    "go": _of_go,
    "java": _of_java,
    "native": _of_native,
}
