"""A masked line as words, and which words of it must be values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from streams.templates.masks import WILDCARD

Form = tuple[str, ...]
"""A masked line cut at its spaces."""

_PAIR = re.compile(r"(?<=[\w\])]=)[A-Za-z_$][^\s,;|]*?(?=[)\]}>]*(?:[\s,;|]|$))")
_SPACE = re.compile("[ \t]")
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off"})
_IDENTITY = frozenset({"user", "username", "account"})
_NO_NAME = re.compile(
    "an?|and|any|are|as|at|authentication|by|can|did|do|does|for|from|had|has|have|in|is|it|mode|"
    "name|not?|of|on|or|requests?|space|the|to|unknown|was|were|will|with"
)
_CODE = re.compile(r"[A-Za-z]+[.,:;!?)\]]*|[A-Z_]+")

_FULL: Final = 1 - 1e-9
_LEAST_WORDS: Final = 3
_LEAST_WORDS_IF_FIRST: Final = 6


def form_of(masked: str) -> Form:
    """The words of a masked line; values of ``key=value`` pairs and names of users are wild.

    >>> form_of("login of user ann failed, tty=ssh ok=true")
    ('login', 'of', 'user', '<*>', 'failed,', 'tty=<*>', 'ok=true')
    """
    if "=" in masked:
        masked = _PAIR.sub(_value, masked)
    words = _SPACE.split(masked)
    for place in range(1, len(words)):
        if words[place - 1].lower() in _IDENTITY and _is_name(words[place]):
            words[place] = WILDCARD
    return tuple(filter(None, words)) or ("",)


def _value(found: re.Match[str]) -> str:
    return found[0] if found[0].lower() in _FLAGS else WILDCARD


def _is_name(word: str) -> bool:
    """A name, or nothing at all: two spaces follow each other where a name was empty."""
    return not word or (word.isalpha() and _NO_NAME.fullmatch(word) is None)


def is_variable(words: Collection[str], before: str, after: str, length: int) -> bool:
    """Whether a place that held these words, all else equal, is one for a variable.

    A word of letters may be a constant of the code, a state or a verb; one with other
    characters in it is more likely a name that came with the data. The first word is seldom one.

    Args:
        words: Different words seen there.
        before: Word before it, empty for the first place.
        after: Word after it, empty for the last place.
        length: Words in the line.
    """
    if length < (_LEAST_WORDS if before else _LEAST_WORDS_IF_FIRST):
        return False
    is_named = before in _BEFORE_NAMES and after in _AFTER_NAMES
    return sum(_evidence(word, is_named=is_named) for word in words) >= _FULL


_BEFORE_NAMES = frozenset({"for", "by", "from", "host", "node"})
_AFTER_NAMES = frozenset({"from", "by", "on", "at", "to", "in", "via", "port", "with"})


def _evidence(word: str, *, is_named: bool) -> float:
    if word == WILDCARD:
        return 1 / 2
    if is_named and word.islower():
        return 1 / 3
    return 1 / 6 if _CODE.fullmatch(word) else 1 / 4
