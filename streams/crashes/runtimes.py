"""The runtimes that are known, and how one is recognised.

Adding a runtime is adding a grammar in ``grammars/`` and its row here; nothing else knows formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from contracts.records import Frame
from streams.crashes.grammars.base import Grammar
from streams.crashes.grammars.compiled import GO, RUST
from streams.crashes.grammars.dotnet import CSHARP
from streams.crashes.grammars.javascript import JAVASCRIPT
from streams.crashes.grammars.jvm import JAVA
from streams.crashes.grammars.native import NATIVE
from streams.crashes.grammars.python import PYTHON
from streams.crashes.grammars.scripts import DART, PHP, RUBY

GRAMMARS: dict[str, Grammar] = {
    "python": PYTHON,
    "java": JAVA,
    "go": GO,
    "rust": RUST,
    "dart": DART,
    "php": PHP,
    "ruby": RUBY,
    "csharp": CSHARP,
    "native": NATIVE,
    "javascript": JAVASCRIPT,
}
"""By runtime; the order is the order of recognition, the vaguest sign last."""

_NAMES = {
    "python": ("python", "pypy", "pyodide"),
    "javascript": ("javascript", "node", "browser", "deno", "bun", "react", "electron", "hermes"),
    "java": ("java", "jvm", "jdk", "jre", "kotlin", "scala", "groovy", "clojure", "android",
             "hotspot", "openj9", "dalvik"),
    "csharp": ("csharp", "c#", "net", "mono", "unity", "fsharp"),
    "ruby": ("ruby", "rails"),
    "php": ("php", "laravel"),
    "dart": ("dart", "flutter"),
    "rust": ("rust",),
    "native": ("native", "cocoa", "objc", "swift", "c++", "cpp", "clang", "gcc", "minidump"),
    "go": ("go",),
}  # fmt: skip
_EXACT = {
    "go": "go", "gc": "go", "gccgo": "go", "c": "native", "js": "javascript", "ts": "javascript",
}  # fmt: skip

_EXTENSIONS = {
    "py": "python", "pyx": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript",
    "cjs": "javascript", "ts": "javascript", "tsx": "javascript", "vue": "javascript",
    "java": "java", "kt": "java", "scala": "java", "groovy": "java", "clj": "java", "cs": "csharp",
    "fs": "csharp", "vb": "csharp", "rb": "ruby", "erb": "ruby", "php": "php", "dart": "dart",
    "rs": "rust", "go": "go", "c": "native", "cc": "native", "cpp": "native", "cxx": "native",
    "h": "native", "hpp": "native", "m": "native", "mm": "native", "swift": "native",
}  # fmt: skip
_EXTENSION = re.compile(r"\.(\w+)(?:[?#].*)?$")


def runtime_of(name: str, stacktrace: str, frames: Iterable[Frame] = ()) -> str:
    """The runtime that ``process.runtime.name`` means, else the one that the trace looks like.

    Args:
        name: as reported, or empty.
        stacktrace: the text.
        frames: of a report; the extension of their files tells where nothing else does.

    >>> runtime_of("CPython", ""), runtime_of("OpenJDK Runtime Environment", "")
    ('python', 'java')
    >>> runtime_of("", "panic: boom")
    'go'
    """
    lowered = name.lower()
    if named := _EXACT.get(lowered) or _named(lowered):
        return named
    for runtime, grammar in GRAMMARS.items():
        if grammar.sign.search(stacktrace):
            return runtime
    for frame in frames:
        found = _EXTENSION.search(frame.file)
        if found and (known := _EXTENSIONS.get(found[1].lower())):
            return known
    return lowered


def _named(lowered: str) -> str:
    known = (r for r, words in _NAMES.items() if any(word in lowered for word in words))
    return next(known, "") if lowered else ""
