"""A masked line as words, and which words of it must be values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from streams.templates.masks import WILDCARD

Form = tuple[str, ...]
"""A masked line cut at its spaces."""

_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|io|eu|local|localdomain|localhost|internal|lan|corp|arpa"
    "|ae|ar|au|br|ca|ch|cl|cn|cz|de|dk|es|fi|fr|gr|hk|hu|il|ir|it|jp|kr|mx|nl|nz|om|ph|pl|pt|ro|ru"
    "|sa|se|sg|th|tr|tw|ua|uk|us|vn|za"
)
_ENDINGS = (
    "avi|bak|bin|bmp|cfg|conf|crt|csv|dat|db|dll|exe|gif|gz|html?|ini|jar|jpe?g|json|key|lock|log"
    "|map|mp[34]|out|pdf|pem|pid|png|rrd|rts|sock|sql|svg|tar|te?mp|tgz|toml|txt|wal|xlsx?|xml|ya?ml"
    "|zip"
)
_NAME = (
    r"(?<![\w.$@>-])(?:"
    rf"(?:(?:[\w-]|<\*>)+\.)+(?:{_TOP})(?![\w$-]|\.\w|\()"
    rf"|\.{{0,2}}(?:[\w@~+-]*/)*(?:(?:[\w@+-]|<\*>)+\.)+(?:{_ENDINGS})(?![\w$-]|\.[a-z]|\()"
    r"|(?:com|org|net|io|cn|de)(?:\.[a-z][a-z0-9_-]*)+(?![\w$-]|\.\w|\())"
)
_NAMES = re.compile(rf"{_NAME}(?::(?:<\*>|\d+))?(?:/<\*>)?")
"""Hosts, files and the names of apps. A class has dots too, and a capital letter at its end."""
_STEM = re.compile(r"-?<\*>\.[a-z]{2,6}(?![\w.])")
"""A file or host whose name held a value, whatever it ends with."""
_REPEATED = re.compile(
    r"((?:(?<=\s)|^)\S{0,60}?<\*>\S{0,60}(?: \S{1,60}){0,5}?)(?:[,;]? \1)+(?=[\s,;]|$)"
)
_RUN = re.compile(r"<\*>(?:[ ,.:;/|#+~-]*(?:<\*>|\(<\*>\)|\[<\*>\]))+")
_PAIR = re.compile(
    r"([\w\])]+)=((?:\w+[{(\[][^{}()\[\]]*[)\]}]|[\w$/.:*-]|<\*>)(?:<\*>|[^\s,;|])*?)"
    r"(?=[)\]}>]*(?:[\s,;|]|$))"
)
_SPACE = re.compile("[ \t]")
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off"})
_IDENTITY = frozenset({"user", "username", "account", "class"})
_NO_NAME = re.compile(
    "an?|and|any|are|as|at|authentication|by|can|did|do|does|for|from|had|has|have|in|is|it|mode|"
    "name|not?|of|on|or|requests?|space|the|to|unknown|was|were|will|with"
)
_A_NAME = re.compile(r"(?:[\w!?.$@+-]|<\*>)*(?:\w|<\*>)[$]?")
_NUMBERED = re.compile(r"[A-Za-z][\w-]*:?<\*>")
_CODE = re.compile(r"[A-Za-z]{3,}|[A-Z_]+|an?|as|at|by|in|is|it|no|of|on|or|to|up|do|ok")
_END = ".,:;!?)]"

_FULL: Final = 1 - 1e-9
_MOST_WORDS: Final = 100
_LEAST_WORDS: Final = 3
_LEAST_WORDS_IF_FIRST: Final = 6


def form_of(masked: str) -> Form:
    """The words of a masked line; values of ``key=value`` pairs and names of users are wild.

    >>> form_of("login of user ann failed, tty=ssh ok=true")
    ('login', 'of', 'user', '<*>', 'failed,', 'tty=<*>', 'ok=true')
    """
    text = _NAMES.sub(WILDCARD, masked) if "." in masked else masked
    if "=" in text:
        text = _PAIR.sub(_value, text)
    if WILDCARD in text:
        text = _RUN.sub(WILDCARD, _STEM.sub(WILDCARD, text))
        text = _REPEATED.sub(r"\1", text)
    words = _SPACE.split(text)
    for place in range(1, len(words)):
        if words[place - 1].lower() in _IDENTITY and _is_name(words[place]):
            words[place] = WILDCARD
    found = tuple(filter(None, words)) or ("",)
    return found if len(found) <= _MOST_WORDS else (*found[:_MOST_WORDS], WILDCARD)


def _value(found: re.Match[str]) -> str:
    """Whose it was is kept: few accounts may mean something each, many prove to be a variable."""
    key, value = found.groups()
    if value.lower() in _FLAGS or (key.lower() in _IDENTITY and value.isalpha()):
        return found[0]
    return f"{key}={WILDCARD}"


def _is_name(word: str) -> bool:
    """A name, or nothing at all: two spaces follow each other where a name was empty."""
    return not word or (_A_NAME.fullmatch(word) is not None and _NO_NAME.fullmatch(word) is None)


def can_vary(place: int, length: int) -> bool:
    """Whether a variable may be found at a place of a line of so many words.

    Short lines say too little of themselves to be told from other short lines, and the first word
    is seldom a variable.
    """
    return length >= (_LEAST_WORDS if place else _LEAST_WORDS_IF_FIRST)


def is_variable(words: Collection[str], before: str, after: str) -> bool:
    """Whether a place that held these words, all else equal, is one for a variable.

    A word of letters may be a constant of the code, a state or a verb; one with other
    characters in it is more likely a name that came with the data.

    Args:
        words: Different words seen there.
        before: Word before it, empty for the first place.
        after: Word after it, empty for the last place.
    """
    is_named = before in _BEFORE_NAMES and after in _AFTER_NAMES
    beside_values = any(word.rstrip(_END) == WILDCARD for word in words)
    found = (_evidence(word, is_named=is_named, beside_values=beside_values) for word in words)
    return sum(found) >= _FULL


_BEFORE_NAMES = frozenset({"for", "by", "from", "host", "node"})
_AFTER_NAMES = frozenset({"from", "by", "on", "at", "to", "in", "via", "port", "with"})


def _evidence(word: str, *, is_named: bool, beside_values: bool) -> float:
    word = word.rstrip(_END)
    if word == WILDCARD or (beside_values and _NUMBERED.fullmatch(word)):
        return 1 / 2
    if is_named and word.islower():
        return 1 / 3
    return 1 / 6 if _CODE.fullmatch(word) else 1 / 4
