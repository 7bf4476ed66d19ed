"""Names that a compiler, a bundler or a container made are brought back to what people wrote."""

from __future__ import annotations

import re
from functools import lru_cache

from streams.crashes.grammars.base import NameRules, name_rules
from streams.crashes.runtimes import GRAMMARS

_NAMES_LIMIT = 512
"""Letters of a name: a longer one is generated, and its rules would cost more than it tells."""

_ADDRESS = name_rules((r"\b0x[0-9a-fA-F]+\b", ""))
_ANGLES = re.compile(r"[<>()]")
_KEPT = "<lambda>"
_OPERATOR = re.compile(r"operator\s?(?:<=>|<<=?|>>=?|->\*?|<=?|>=?|\(\))")
_RETURN_TYPE = re.compile(r"^(?:[\w:*&]+ )+(?=[\w:~*&]+(?:$|::))")


def _apply(rules: NameRules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=65_536)
def clean_function(runtime: str, function: str) -> str:
    """The function's name as its author knows it.

    >>> clean_function("java", "lambda$checkout$7"), clean_function("javascript", "Object.aha")
    ('checkout.<lambda>', 'aha')
    >>> clean_function("native", "void shop::Cart<int>::total(std::vector<int> const&) const")
    'shop::Cart::total'
    """
    grammar = GRAMMARS.get(runtime)
    name = _apply(_ADDRESS, function[:_NAMES_LIMIT].strip())
    if grammar is None:
        return name
    name = _apply(grammar.function_rules, name)
    return _without_types(name) if grammar.names_stand_alone else name


@lru_cache(maxsize=65_536)
def clean_module(runtime: str, module: str) -> str:
    """The module, class or package without what a generator added to its name.

    >>> clean_module("java", "shop.Cart$$EnhancerBySpringCGLIB$$3f9a1c2b")
    'shop.Cart'
    """
    grammar = GRAMMARS.get(runtime)
    return _apply(
        grammar.module_rules if grammar else (), _apply(_ADDRESS, module[:_NAMES_LIMIT].strip())
    )


@lru_cache(maxsize=65_536)
def clean_type(runtime: str, exception_type: str) -> str:
    """The exception's own name: no namespace, generic argument, address or generated part.

    Two reporters of one crash may differ in how much of the namespace they tell.

    >>> clean_type("csharp", "Shop.CartError`1[System.Int32]")
    'CartError'
    >>> clean_type("native", "EXC_BAD_ACCESS / KERN_INVALID_ADDRESS at 0x0000000000000010.")
    'EXC_BAD_ACCESS / KERN_INVALID_ADDRESS at'
    """
    if " / " in exception_type:  # two names, not a path
        return _apply(_ADDRESS, exception_type).rstrip(". ")
    name = clean_module(runtime, exception_type.replace("<locals>.", "")).rstrip(". ")
    return re.split(r"[.\\]|::", name)[-1] if " " not in name else name


def _without_types(name: str) -> str:
    """A C++ name without parameters, template arguments and return type.

    >>> _without_types("std::function<void (int)>::operator()(int) const")
    'std::function::operator()'
    >>> _without_types("-[Cart total:]")
    '-[Cart total:]'
    """
    if name.startswith(("-[", "+[")) or not _ANGLES.search(name):
        return name
    operator = _OPERATOR.search(name)
    head, tail = (name[: operator.start()], operator[0]) if operator else (name, "")
    lambdas = head.split(_KEPT)
    plain = _KEPT.join(_outside_brackets(part) for part in lambdas) + tail
    return _RETURN_TYPE.sub("", re.sub(r" const\b.*$|(?<=\w) +$", "", plain).strip())


def _outside_brackets(text: str) -> str:
    kept, depth, last = [], 0, 0
    for found in _ANGLES.finditer(text):
        opens = found[0] in "<("
        if opens and depth == 0:
            kept.append(text[last : found.start()])
        depth = depth + 1 if opens else max(depth - 1, 0)
        if depth == 0:
            last = found.end()
    return "".join([*kept, text[last:] if depth == 0 else ""])
