"""Names that a compiler, a bundler or a container made are brought back to what people wrote."""

from __future__ import annotations

import re
from functools import lru_cache

LAMBDA = "<lambda>"
"""How every nameless function is called here, whatever its runtime calls it."""

_Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> _Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


_ADDRESS: _Rules = _rules((r"\b0x[0-9a-fA-F]+\b", ""))

_MODULE_RULES: dict[str, _Rules] = {
    "java": _rules(
        (r"\$\$Lambda.*", "$<lambda>"),
        (r"\$\$(?:EnhancerBy|FastClassBy)\w*(?:\$\$[0-9a-fA-F]+)?.*", ""),
        (r"\$\$SpringCGLIB\$\$\d+.*", ""),
        (r"_\$\$_(?:jvst|javassist|Weld)\w*.*", ""),
        (r"\$(?:HibernateProxy|ByteBuddy|MockitoMock|Proxy)\$?\w*", ""),
        (r"_\$\$_\w+$|\$\$[0-9a-fA-F]{6,}", ""),
        (r"\bGenerated(?:Method|Constructor|SerializationConstructor)Accessor\d+", "<accessor>"),
        (r"\$\$?anon(?:fun)?\$\w+(?:\$\d+)*", "$<lambda>"),
        (r"\$(?:fn|eval|reify)__\d+", "$<lambda>"),
        (r"\$\d+(?=\$|$)", "$<anonymous>"),
    ),
    "csharp": _rules(
        (r"\.<(\w+)>d__\d+(?:`\d+)?$", r".\1"),
        (r"[.+]<>c(?:__DisplayClass[\w]*)?(?:`\d+)?(?=$|\.)", ""),
        (r"`\d+(?:\[.*\])?", ""),
        (r"\[.*\]$", ""),
    ),
    "rust": _rules(
        (r"::h[0-9a-f]{16}$", ""),
        (r"(?:::)?\{\{?closure(?:#\d+)?\}?\}", "::<lambda>"),
        (r"^<(.+?) as .+>$", r"\1"),
        (r"<[^<>]*>", ""),
    ),
    "go": _rules((r"^main\d+$", "main"), (r"@v[\w.+-]+", ""), (r"/v\d+$", "")),
    "php": _rules((r"class@anonymous.*", "<anonymous>")),
}

_FUNCTION_RULES: dict[str, _Rules] = {
    "java": _rules(
        (r"^lambda\$(\w+?)\$\d+$", rf"\1.{LAMBDA}"),
        (r"^\$?\$?anonfun\$(\w+?)\$\d+$", rf"\1.{LAMBDA}"),
        (r"^lambda\$\d+$", LAMBDA),
        (r"^(access)\$\d+$", r"\1"),
        (r"^CGLIB\$(\w+?)\$\d+$", r"\1"),
        (r"__\d+$", ""),
    ),
    "csharp": _rules(
        (r"^<(\w+)>b__[\w]+$", rf"\1.{LAMBDA}"),
        (r"^<(\w+)>g__(\w+)\|[\w]+$", r"\1.\2"),
        (r"^<(\w+)>d__\d+$", r"\1"),
        (r"^MoveNext$", ""),
        (r"`\d+|\[.*\]$", ""),
    ),
    "javascript": _rules(
        (r"\(eval at .*", "eval"),
        (r" \[as [^\]]*\]", ""),
        (r"^(?:async |new |get |set )+", ""),
        (r"^.*/<+$|^<anonymous>$|^anonymous$|^\?$", LAMBDA),
        (r"^.*\.(?:<anonymous>|<fn>)$", LAMBDA),
        (r"^(?:global|eval|module) code$|^\{\{?main\}?\}$", ""),
        (r"^.*[./]([\w$#]+)$", r"\1"),
    ),
    "go": _rules(
        (r"(?:\.func\d+)(?:\.\d+|\.func\d+|\.gowrap\d+)*$", f".{LAMBDA}"),
        (r"\[\.\.\.\]", ""),
        (r"[-·]fm$", ""),
        (r"\.gowrap\d+$|\.deferwrap\d+$", ""),
    ),
    "ruby": _rules(
        (r"^(?:block|rescue|ensure)(?: \(\d+ levels\))? in ", ""),
        (r"^(?:\w+(?:::\w+)*[#.])", ""),
        (r"(_+\w*erb)_+\d+(?:_\d+)?$", r"\1"),
        (r"__\d+(?:_\d+)?$", ""),
    ),
    "php": _rules((r"^.*\{closure.*\}$", LAMBDA), (r"^.*\\", "")),
    "dart": _rules((r"<(?:anonymous closure|fn)>", LAMBDA), (r"(?:\.<lambda>)+", f".{LAMBDA}")),
    "rust": _rules((r"::h[0-9a-f]{16}$", ""), (r"\{\{?closure(?:#\d+)?\}?\}", LAMBDA)),
    "python": _rules((r"<(?:listcomp|dictcomp|setcomp|genexpr)>$", "<comprehension>")),
}

_STEM_RULES = _rules(
    (r"[?#].*$", ""),
    (r"\.(?:min|bundle|chunk|prod)\b", ""),
    # app.3f9a1c2b.js, main-BqX1cZ9k.js, vendors~main.0a1b2c3d4e.js: the hash of a bundle
    (r"[.\-_~](?=[0-9a-zA-Z]*\d)[0-9a-zA-Z]{7,40}(?=\.|$)", ""),
    (r"[-_.]v?\d+(?:\.\d+)+(?=\.|$)", ""),
    (r"\(copy\)", ""),
    (r"\.[A-Za-z]\w{0,5}$", ""),
)

_NAMELESS_FILES = frozenset({"__init__", "__main__", "index", "mod"})
_VERSION_LIKE = re.compile(
    r"v?\d[\w.+-]*|[0-9a-f]{7,}|current|releases?|app|src|build|dist|lib", re.IGNORECASE
)


def _apply(rules: _Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=65_536)
def clean_function(runtime: str, function: str) -> str:
    """The function's name as its author knows it.

    >>> clean_function("java", "lambda$checkout$7"), clean_function("javascript", "Object.aha")
    ('checkout.<lambda>', 'aha')
    """
    return _apply(_FUNCTION_RULES.get(runtime, ()), _apply(_ADDRESS, function.strip()))


@lru_cache(maxsize=65_536)
def clean_module(runtime: str, module: str) -> str:
    """The module, class or package without what a generator added to its name.

    >>> clean_module("java", "shop.Cart$$EnhancerBySpringCGLIB$$3f9a1c2b")
    'shop.Cart'
    """
    return _apply(_MODULE_RULES.get(runtime, ()), _apply(_ADDRESS, module.strip()))


@lru_cache(maxsize=65_536)
def module_of_file(file: str) -> str:
    """A name for a file that no host, release directory or bundler changes: its bare name.

    >>> module_of_file("/srv/checkout/1.5.0/shop/cart.py"), module_of_file("/a/app.3f9a1c2b.js?v=1")
    ('cart', 'app')
    >>> module_of_file("/srv/1.5.0/shop/__init__.py")
    'shop/__init__'
    """
    parts = [part for part in re.split(r"[/\\]", re.sub(r"[?#].*$", "", file)) if part]
    if not parts:
        return ""
    stem = _apply(_STEM_RULES, parts[-1]).lower()
    if stem in _NAMELESS_FILES and len(parts) > 1 and not _VERSION_LIKE.fullmatch(parts[-2]):
        return f"{parts[-2].lower()}/{stem}"
    return stem


def clean_type(runtime: str, exception_type: str) -> str:
    """The exception's type without generic arguments, addresses and generated parts.

    >>> clean_type("csharp", "Shop.CartError`1[System.Int32]")
    'Shop.CartError'
    """
    return clean_module(runtime, exception_type.replace(".<locals>", ""))
