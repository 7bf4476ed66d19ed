"""Fingerprint: which crashes are the same crash.

Identity is the runtime, the types of the exceptions and the in-app calls that led there, all
cleaned of what a build, a host or a run changes. A trace without usable calls falls back to the
type and the masked message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.records import Crash
from streams.crashes.frames import Call, Raised, Trace, calls_of, read_trace
from streams.crashes.masks import masked
from streams.crashes.names import clean_type
from streams.crashes.runtimes import runtime_of

ALGORITHM = "coalmine-crash.1"
"""Stored with every group: fingerprints of different algorithms are never compared."""

_CALLS_LIMIT = 64
_CYCLE_LIMIT = 4
_TITLE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class CrashGroup:
    """Identity of a crash, and what people call it.

    Attributes:
        fingerprint: 32 hexadecimal digits.
        algorithm: name and version of the rules that made it.
        title: exception type and the first line of its message.
        culprit: the innermost call of the user's own code.
        runtime: as recognised, for example ``python``.
        frames: the calls that made the fingerprint, outermost first; empty after a fallback.
    """

    fingerprint: str
    algorithm: str
    title: str
    culprit: str
    runtime: str
    frames: tuple[Call, ...]


def group_of(crash: Crash) -> CrashGroup:
    """The group that a crash belongs to; the same for the same crash on any host and release.

    >>> crash = Crash(time=0, service="s", release="1", exception_type="KeyError",
    ...     exception_message="'a'", stacktrace='File "/srv/1/cart.py", line 7, in total')
    >>> group = group_of(crash)
    >>> group.title, group.culprit, group.runtime
    ("KeyError: 'a'", 'cart.total', 'python')
    """
    runtime = runtime_of(crash.runtime, crash.stacktrace)
    trace = read_trace(runtime, crash.stacktrace)
    calls = calls_of(runtime, crash.frames) or trace.calls
    types = _types(runtime, crash, trace)
    reported = _reported(crash, trace, runtime)
    frames = _frames_that_matter(calls)
    identity = [runtime, *types, "frames", *(f"{c.module}\x1f{c.function}" for c in frames)]
    if not frames:
        identity = [runtime, *types, "message", masked(reported.message)]
    return CrashGroup(
        fingerprint=hashlib.blake2b("\x1e".join(identity).encode(), digest_size=16).hexdigest(),
        algorithm=ALGORITHM,
        title=_title(reported),
        culprit=frames[-1].name if frames else "",
        runtime=runtime,
        frames=frames,
    )


def _types(runtime: str, crash: Crash, trace: Trace) -> list[str]:
    """Types of the chain, each once and sorted: where the text puts causes does not matter."""
    names = [crash.exception_type] if crash.exception_type else []
    names += [raised.type for raised in trace.raised]
    cleaned = {clean_type(runtime, name) for name in names if name}
    # java.lang.RuntimeException and RuntimeException in one report are one type
    return sorted(
        name for name in cleaned if not any(o != name and o.endswith(f".{name}") for o in cleaned)
    )


def _reported(crash: Crash, trace: Trace, runtime: str) -> Raised:
    if crash.exception_type or crash.exception_message:
        return Raised(crash.exception_type, crash.exception_message)
    if trace.raised:
        return trace.raised[-1 if runtime == "python" else 0]
    first = next((line.strip() for line in crash.stacktrace.splitlines() if line.strip()), "")
    return Raised("", first)


def _frames_that_matter(calls: Sequence[Call]) -> tuple[Call, ...]:
    chosen = [call for call in calls if call.is_in_app] or list(calls)
    return tuple(_without_recursion(chosen)[-_CALLS_LIMIT:])


def _without_recursion(calls: Sequence[Call]) -> list[Call]:
    """Repeats of up to four calls in a row are one round, however deep the recursion went.

    >>> f, g = Call("m", "f", True), Call("m", "g", True)
    >>> [call.function for call in _without_recursion([f, g, f, g, f, g, g])]
    ['f', 'g']
    """
    kept: list[Call] = []
    for call in calls:
        kept.append(call)
        for size in range(1, _CYCLE_LIMIT + 1):
            if kept[-size:] == kept[-2 * size : -size]:
                del kept[-size:]
                break
    return kept


def _title(reported: Raised) -> str:
    message = reported.message.strip().partition("\n")[0]
    title = ": ".join(part for part in (reported.type, message) if part) or "unknown crash"
    return title if len(title) <= _TITLE_LIMIT else f"{title[: _TITLE_LIMIT - 1]}…"
