"""A user's rules, compiled: whose code a frame is, and which group a crash belongs to."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from contracts.crash_rules import DEFAULT, CrashRule, CrashRules, FrameRule
from contracts.records import Crash
from streams.crashes.frames import Written

_FRAME_FIELDS = ("module", "function", "path")


class Rules:
    """Asked for every crash; without rules it costs nothing.

    Args:
        rules: as the file says them.
    """

    def __init__(self, rules: CrashRules | None = None) -> None:
        rules = rules or CrashRules()
        self._groups = [(rule, _matchers(rule.when)) for rule in rules.crash_rules]
        frames = [(rule, _matchers(rule)) for rule in rules.in_app]
        self.has_groups = bool(self._groups)
        self.own: Callable[[Written], bool | None] | None = None
        if frames:
            self.own = lru_cache(maxsize=65_536)(lambda frame: _own(frames, frame))

    def group_of(
        self, crash: Crash, types: Iterable[str], message: str, frames: Sequence[Written]
    ) -> CrashRule | None:
        """The first rule that matches.

        Args:
            crash: for its service.
            types: of the whole chain, as written and clean.
            message: of the reported exception.
            frames: all that were read.
        """
        for rule, globs in self._groups:
            texts = {"type": list(types), "message": [message], "service": [crash.service]}
            is_crash = all(
                any(match(text) for text in texts[name])
                for name, match in globs.items()
                if name in texts
            )
            of_frames = {name: globs[name] for name in _FRAME_FIELDS if name in globs}
            if is_crash and (not of_frames or any(_fits(of_frames, f) for f in frames)):
                return rule
        return None


def fingerprint_words(rule: CrashRule, default: str) -> list[str]:
    """What a rule's fingerprint is made of, the crash's own in place of ``{{ default }}``."""
    return ["rule", *(default if word == DEFAULT else word for word in rule.fingerprint)]


def _matchers(globs: object) -> dict[str, Callable[[str], re.Match[str] | None]]:
    found: dict[str, Callable[[str], re.Match[str] | None]] = {}
    for name in ("type", "message", "service", *_FRAME_FIELDS):
        if glob := getattr(globs, name, ""):
            # messages are people's words, everything else is code
            flags = re.IGNORECASE if name == "message" else 0
            found[name] = re.compile(fnmatch.translate(glob), flags).match
    return found


def _own(
    rules: Sequence[tuple[FrameRule, dict[str, Callable[[str], re.Match[str] | None]]]],
    frame: Written,
) -> bool | None:
    return next((rule.is_own for rule, globs in rules if _fits(globs, frame)), None)


def _fits(globs: dict[str, Callable[[str], re.Match[str] | None]], frame: Written) -> bool:
    texts = {"module": frame.module, "function": frame.function, "path": frame.file}
    return all(match(texts[name]) for name, match in globs.items())
