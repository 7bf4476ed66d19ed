"""Java, Kotlin, Scala and other languages of the JVM."""

from __future__ import annotations

import re

from ingest.tracebacks.base import Traceback, frames_of, split_exception

_FRAME = re.compile(
    r"^\s+at (?:[\w.@-]+//?)?(?:[\w.@-]+/)?(?P<module>[\w.$<>]+)\.(?P<function>[\w$<>-]+)"
    r"\((?P<file>[^:)\n]*)(?::(?P<line>\d+))?\)",
    re.MULTILINE,
)
_LIBRARY = re.compile(
    r"^(?:java|javax|jakarta|jdk|sun|com\.sun|scala|kotlin|groovy|org\.springframework"
    r"|org\.apache|org\.eclipse|org\.jboss|org\.hibernate|io\.netty)\."
)
_HEAD = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" )?.*?(?P<exception>(?:[\w$]+\.)*[\w$]*"
    r"(?:Exception|Error|Throwable)\w*(?:: [^\n]*)?)$",
    re.MULTILINE,
)
_BELOW = re.compile(r"^(?:Caused by|\s*Suppressed): ", re.MULTILINE)
_OUTER = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" )?(?P<exception>[\w$.]+(?::[^\n]*)?)$", re.MULTILINE
)


def parse(text: str) -> Traceback | None:
    """The outermost exception with its own frames; causes stay in the text."""
    if _FRAME.search(text) is None:
        return None
    own = _BELOW.split(text, maxsplit=1)[0]
    frames = frames_of(own, _FRAME, _LIBRARY, innermost_first=True)
    head = own[: m.start()] if (m := _FRAME.search(own)) else own
    found = _HEAD.search(head) or _OUTER.search(head)
    kind, message = split_exception(found["exception"]) if found else ("", head.strip()[:200])
    return Traceback("java", kind, message, frames)
