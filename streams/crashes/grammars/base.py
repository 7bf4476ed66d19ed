"""What a grammar is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LAMBDA = "<lambda>"
"""How every nameless function is called here, whatever its runtime calls it."""

NameRules = tuple[tuple[re.Pattern[str], str], ...]

_NEVER = re.compile(r"(?!)")


def _never() -> re.Pattern[str]:
    return _NEVER


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one runtime writes a stack trace.

    Attributes:
        sign: found in a text that is surely of this runtime.
        frames: patterns of a line that names a call; groups ``function``, ``module``, ``file``,
            ``line``, and ``type`` and ``message`` where the line names the exception too. A digit
            behind a group's name is for an alternative.
        exception: pattern of a line that names an exception; groups ``type``, ``message``, and
            ``file`` where the line says where it was thrown.
        place: pattern of the line below a frame that names its ``file`` and ``line``.
        is_innermost_first: whether the newest call stands on top.
        frames_come_first: whether the exception's line follows its frames.
        causes_come_first: whether the root cause is printed before what it caused.
        files_are_callers: whether a line names the file of the call's caller (PHP).
        names_stand_alone: whether a function's name is unique without its module (native code).
        foreign_modules: modules of the language and of frameworks, matched from the start.
        foreign_files: places of files that are not the user's.
        noise: calls that carry no identity and differ from build to build.
        nameless: clean function names that say nothing about the code.
        module_rules: what is generated into names of modules, and what it is replaced by.
        function_rules: the same for functions.
    """

    sign: re.Pattern[str]
    frames: tuple[re.Pattern[str], ...]
    exception: re.Pattern[str]
    place: re.Pattern[str] | None = None
    is_innermost_first: bool = True
    frames_come_first: bool = False
    causes_come_first: bool = False
    files_are_callers: bool = False
    names_stand_alone: bool = False
    foreign_modules: re.Pattern[str] = field(default_factory=_never)
    foreign_files: re.Pattern[str] = field(default_factory=_never)
    noise: re.Pattern[str] = field(default_factory=_never)
    nameless: re.Pattern[str] = field(default_factory=_never)
    module_rules: NameRules = ()
    function_rules: NameRules = ()


def name_rules(*pairs: tuple[str, str]) -> NameRules:
    """Patterns and what each is replaced by, applied in order."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def modules(*names: str) -> re.Pattern[str]:
    """A pattern that matches names beginning with one of these."""
    return re.compile("(?:" + "|".join(map(re.escape, names)) + ")")
