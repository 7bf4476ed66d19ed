"""Fingerprint: which crashes are the same crash.

Identity is the types of the exceptions and the in-app calls that led there, all cleaned of what a
build, a host or a run changes. A trace without usable calls falls back to the types and the masked
message.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from contracts.records import Crash
from streams.crashes.choice import Chosen, chosen_calls
from streams.crashes.frames import Call, Raised, Trace, read_trace, trace_of_frames
from streams.crashes.grammars.base import LAMBDA
from streams.crashes.masks import masked
from streams.crashes.names import clean_type
from streams.crashes.rules import Rules, fingerprint_words
from streams.crashes.runtimes import runtime_of

ALGORITHM = "coalmine-crash.2"
"""Stored with every group: fingerprints of different algorithms are never compared."""

_TITLE_LIMIT = 200

NO_RULES = Rules()


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
        base: the fingerprint it would have had without a user's rule; empty where no rule
            spoke. Earlier sightings are found by it.
    """

    fingerprint: str
    algorithm: str
    title: str
    culprit: str
    runtime: str
    frames: tuple[Call, ...]
    base: str = ""


def group_of(crash: Crash, rules: Rules = NO_RULES) -> CrashGroup:
    """The group that a crash belongs to; the same for the same crash on any host and release.

    >>> crash = Crash(time=0, service="s", release="1", exception_type="KeyError",
    ...     exception_message="'a'", stacktrace='File "/srv/1/cart.py", line 7, in total')
    >>> group = group_of(crash)
    >>> group.title, group.culprit, group.runtime
    ("KeyError: 'a'", 'cart.total', 'python')
    """
    return analysed(crash, rules)[0]


def analysed(crash: Crash, rules: Rules = NO_RULES) -> tuple[CrashGroup, Chosen]:
    """The group, and what of the trace made it so."""
    runtime = runtime_of(crash.runtime, crash.stacktrace, crash.frames)
    trace = read_trace(runtime, crash.stacktrace)
    if not trace.calls:
        trace = trace_of_frames(runtime, crash.frames, crash.stacktrace)
    types = _types(runtime, crash, trace)
    reported = _reported(crash, trace)
    chosen = chosen_calls(trace, types, rules.own)
    group = CrashGroup(
        fingerprint=_hash(_identity(runtime, types, chosen, reported)),
        algorithm=ALGORITHM,
        title=_title(reported),
        culprit=chosen.culprit,
        runtime=runtime,
        frames=chosen.calls,
    )
    return _ruled(group, crash, trace, rules), chosen


def _ruled(group: CrashGroup, crash: Crash, trace: Trace, rules: Rules) -> CrashGroup:
    """The group that a user's rule gives it, if one does."""
    if not rules.has_groups:
        return group
    reported = _reported(crash, trace)
    types = [reported.type, *(raised.type for raised in trace.raised)]
    names = dict.fromkeys([*types, *(clean_type(group.runtime, name) for name in types)])
    frames = [frame for section in trace.sections for frame in section.frames]
    rule = rules.group_of(crash, names, reported.message, frames)
    if rule is None:
        return group
    return replace(
        group,
        fingerprint=_hash(fingerprint_words(rule, group.fingerprint)),
        title=rule.title or group.title,
        base=group.fingerprint,
    )


def _identity(runtime: str, types: list[str], chosen: Chosen, reported: Raised) -> list[str]:
    calls = [
        f"{c.module}\x1f{c.extension}\x1f{c.function}"
        for c in chosen.calls
        if c.module or c.function
    ]
    if chosen.calls and not chosen.is_weak:
        return [*types, "frames", *calls]
    message = masked(reported.message)
    if runtime != "javascript":
        return [*types, "message", message, *calls]
    # which nameless calls there are differs from browser to browser, and files from build to build
    names = [] if message else [c.function for c in chosen.calls if c.function not in ("", LAMBDA)]
    return [*types, "message", message, *names]


def _hash(identity: list[str]) -> str:
    text = "\x1e".join(identity)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _types(runtime: str, crash: Crash, trace: Trace) -> list[str]:
    """Types of the chain, sorted: where the text puts causes does not matter."""
    names = [raised.type for raised in trace.raised] or [crash.exception_type]
    types = sorted(clean_type(runtime, name) for name in names if name)
    # how many tasks of an exception group failed is chance
    return sorted(set(types)) if any(name.endswith("Group") for name in types) else types


def _reported(crash: Crash, trace: Trace) -> Raised:
    if crash.exception_type or crash.exception_message:
        return Raised(crash.exception_type, crash.exception_message)
    if trace.raised:
        return trace.raised[0]
    lines = crash.stacktrace.splitlines()
    first = next((ln.strip() for ln in lines if ln.strip() and not ln.startswith("    in ")), "")
    return Raised("", first)


def _title(reported: Raised) -> str:
    message = reported.message.strip().partition("\n")[0]
    title = ": ".join(part for part in (reported.type, message) if part) or "unknown crash"
    return title if len(title) <= _TITLE_LIMIT else f"{title[: _TITLE_LIMIT - 1]}…"
