r"""What must not leave a server: one rule for each kind of secret.

Every pattern runs on RE2 (inside pyarrow), whose time grows with the length of the text only: no
pattern, a user's own included, can backtrack for ever. What RE2 lacks (lookaround, references
back) is an error of configuration.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

SECRETIVE = (
    r"(?:passw(?:or)?d|passphrase|[_-]pass|(?:\b|_)pwd|secret|token|credentials?|authorization"
    r"|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|account[_-]?key"
    r"|jsessionid|phpsessid|\bsig(?:nature)?)[0-9]*"
)
"""Ends of names whose values are secret, for example ``DB_PASSWORD`` and ``x-api-key``."""

_SEPARATOR = r"""\\*["']?\s*(?:=>|[=:]|%3D)\s*"""
_SCHEME = r"(?:(?:bearer|basic|digest|token|apikey|negotiate)\s+)?"
_VALUE = (
    r"""(?:([bru]?\\+["'])[^"'\\]+|([bru]?")(?:[^"\\]|\\.)+|([bru]?')(?:[^'\\]|\\.)+"""
    r"""|[^\s&;"'<]+(?:["'][^"'\n]*["']\)*)?)"""
)
_LETTER = r"""[^\s.@<>(),;:"'=/\\&|{}\[\]?#]"""
_TLD = r"""[^\s.@<>(),;:"'=/\\&|{}\[\]?#0-9_-]"""


class Rule(Protocol):
    """One kind of secret."""

    @property
    def name(self) -> str:
        """As in ``[redacted:name]`` and in the agent's report."""
        ...

    @property
    def hint(self) -> str:
        """RE2: found in every text that holds such a secret, and cheap."""
        ...

    def apply(self, texts: pa.Array, found: Counter[str]) -> pa.Array:
        """``texts`` without these secrets; how many there were is added to ``found``."""
        ...


@dataclass(frozen=True, slots=True)
class PatternRule:
    """Whatever an RE2 pattern matches; ``around`` tells which groups stay beside the mark."""

    name: str
    pattern: str
    around: str = "{}"
    cheap_hint: str = ""

    @property
    def hint(self) -> str:
        """See ``Rule``."""
        return self.cheap_hint or self.pattern

    def apply(self, texts: pa.Array, found: Counter[str]) -> pa.Array:
        """See ``Rule``."""
        count = pc.sum(pc.count_substring_regex(texts, self.pattern)).as_py()
        if not count:
            return texts
        found[self.name] += count
        return pc.replace_substring_regex(texts, self.pattern, self.around.format(mark(self.name)))


@dataclass(frozen=True, slots=True)
class CardRule:
    """Card numbers: an issuer's prefix and length, and a right check digit (Luhn).

    A number within a longer word is none: hexadecimal ids hold such runs of digits. One of ten
    other numbers with such a prefix and length passes too; epoch times begin with 1, never do.
    """

    name: str = "card"

    @property
    def hint(self) -> str:
        """See ``Rule``."""
        # its end too: of random hexadecimal ids a few in a thousand begin with twelve digits
        return r"(?:\b|_)[2-6]\d{3}(?:[ .\x{a0}-]?\d){8,15}(?:[^0-9A-Za-z]|\z)"

    def apply(self, texts: pa.Array, found: Counter[str]) -> pa.Array:
        """See ``Rule``."""

        def replaced(match: re.Match[str]) -> str:
            # what follows sixteen digits in groups may be an expiry date
            for end in (len(match[0]), 19):
                if is_card(match[0][:end]):
                    found[self.name] += 1
                    return mark(self.name) + match[0][end:]
            return match[0]

        return pa.array([t and _CARD.sub(replaced, t) for t in texts.to_pylist()], texts.type)


# bounded on both sides, so that Python's own engine stays linear too
_CARD = re.compile(
    r"(?<![0-9A-Za-z])(?<!\d\.)(?:[2-6]\d{11,18}"
    r"|[2-6]\d{3}([ .\xa0-])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?"
    r"|3\d{3}([ .\xa0-])\d{6}\2\d{4,5})(?![0-9A-Za-z])"
)
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"  # Amex, Diners, JCB
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}(?:\d{3})?|62\d{14,17}"  # Discover, UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)


def is_card(text: str) -> bool:
    """Whether these digits are a card's number.

    >>> is_card("4111 1111 1111 1111"), is_card("4111 1111 1111 1112")
    (True, False)
    """
    digits = re.sub(r"\D", "", text)
    if _ISSUERS.fullmatch(digits) is None:
        return False
    doubled = [sum(divmod(2 * int(d), 10)) for d in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def mark(name: str) -> str:
    """What stands where a secret stood."""
    return f"[redacted:{name}]"


BUILT_IN: tuple[Rule, ...] = (
    PatternRule(
        "private_key",
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        cheap_hint=r"PRIVATE KEY",
    ),
    PatternRule(
        "url_password",
        r"""([A-Za-z][A-Za-z0-9+.-]*://[^/\s:"']*:)[^/\s"']+@""",
        around=r"\1{}@",
        cheap_hint=r"""://[^/\s"']*@""",
    ),
    PatternRule(
        "password",
        rf"(?is)({SECRETIVE}{_SEPARATOR}|<[a-z0-9_.:-]*{SECRETIVE}>){_SCHEME}{_VALUE}",
        around=r"\1\2\3\4{}",
        cheap_hint=r"(?i:passw|passphrase|[_-]pass|pwd|secret|token|credential|authorization"
        r"|(?:api|access|private|account)[_-]?key|sessi|\bsig)",
    ),
    PatternRule(
        "cookie",
        rf"""(?i)(\b(?:set-)?cookie2?{_SEPARATOR}\\*["']?)[^\r\n"'\\]+""",
        around=r"\1{}",
        cheap_hint=r"(?i:cookie)",
    ),
    PatternRule(
        "bearer",
        r"(?i)(\bbearer)(?:\s|%20|\+)+[A-Za-z0-9._~+/=-]{16}[A-Za-z0-9._~+/=-]*",
        around=r"\1 {}",
        cheap_hint=r"(?i:bearer)",
    ),
    PatternRule(
        "aws_key",
        r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b",
        cheap_hint=r"A[BCIKRS][COIP]A",
    ),
    PatternRule(
        "github_token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20}[A-Za-z0-9]*|github_pat_[A-Za-z0-9_]{20}[A-Za-z0-9_]*)",
        cheap_hint=r"gh[pousr]_|github_pat_",
    ),
    PatternRule(
        "service_token",
        r"\b(?:glpat-[A-Za-z0-9_-]{16}[A-Za-z0-9_-]*|xox[abeoprs]-[A-Za-z0-9-]{10}[A-Za-z0-9-]*"
        r"|hooks\.slack\.com/services/[A-Za-z0-9_/]+|[rs]k_(?:live|test)_[A-Za-z0-9]{10}[A-Za-z0-9]*"
        r"|AIza[A-Za-z0-9_-]{35}|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{16}[A-Za-z0-9_-]*"
        r"|sk-[A-Za-z0-9_-]{20}[A-Za-z0-9_-]*|SG\.[A-Za-z0-9_-]{16}[A-Za-z0-9_.-]*)",
        cheap_hint=r"glpat-|xox[abeoprs]-|hooks\.slack|[rs]k_(?:live|test)_|AIza|npm_|pypi-|\bsk-|\bSG\.",
    ),
    PatternRule(
        "jwt",
        r"\beyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{4}[A-Za-z0-9_.-]*",
        cheap_hint="eyJ",
    ),
    PatternRule(
        "email",
        rf"{_LETTER}(?:{_LETTER}|\.)*(?:@|%40|\\u0040)(?:{_LETTER}+\.)+{_TLD}{_TLD}+",
        cheap_hint=r"@|%40|\\u0040",
    ),
    CardRule(),
)

QUERY = "query"
"""Not a pattern: routes lose whatever follows their path."""

NAMES = (*(rule.name for rule in BUILT_IN), QUERY)


def own_rules(patterns: Mapping[str, str]) -> list[Rule]:
    """A user's rules.

    Raises:
        ValueError: not RE2, or a pattern that matches the empty text.
    """
    for pattern in patterns.values():
        try:
            is_empty_match = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
        except pa.ArrowInvalid as error:
            raise ValueError(f"not a pattern of RE2: {error}") from error
        if is_empty_match:
            raise ValueError("the pattern matches the empty text")
    return [PatternRule(name, pattern) for name, pattern in patterns.items()]
