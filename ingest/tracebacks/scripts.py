"""Ruby, PHP, .NET and Dart."""

from __future__ import annotations

import re

from ingest.tracebacks.base import Traceback, frames_of, split_exception

_RUBY_FRAME = re.compile(
    r"^(?:\s+(?:\d+: )?from |\s+)?(?:[\w-]+ \([\d.]+\) )?"
    r"(?P<file>[^\s:][^\n:]*\.rb):(?P<line>\d+):in "
    r"[`'](?P<function>[^'\n]+)'",
    re.MULTILINE,
)
_RUBY_LIBRARY = re.compile(r"/gems/|/lib/ruby/|^lib/|<internal:")
_RUBY_RAILS = re.compile(r"^\s*(?P<type>[A-Z][\w:]*) \((?P<message>.*)\):\s*$", re.MULTILINE)
_RUBY_PLAIN = re.compile(
    r"in [`'][^'\n]+': (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)\s*$", re.MULTILINE
)
_PHP_FRAME = re.compile(
    r"^#\d+ (?:(?P<file>[^\n(]+)\((?P<line>\d+)\)|\[internal function\]): (?P<function>[^\n(]+)\(",
    re.MULTILINE,
)
_PHP_OLD = re.compile(r"exception '(?P<type>[\w\\]+)'(?: with message '(?P<message>.*?)')? in ")
_PHP_NEW = re.compile(r"Uncaught (?P<type>[\w\\]+): (?P<message>.*?) in \S+:\d+")
_PHP_LIBRARY = re.compile(r"/vendor/")
_NET_FRAME = re.compile(
    r"^\s+at (?P<module>[\w.`<>+\[\],]+)\.(?P<function>[\w`<>.|]+?) ?\([^\n]*\)"
    r"(?:[^\n]* in (?P<file>[^\n]+?):(?:line )?(?P<line>\d+))?$",
    re.MULTILINE,
)
_NET_HEAD = re.compile(
    r"(?:Unhandled [eE]xception[.:] )?(?P<exception>(?:[A-Z]\w*\.)+\w*Exception(?:: [^\n]*)?)"
)
_NET_LIBRARY = re.compile(r"^(?:System|Microsoft)\.")
_DART_FRAME = re.compile(
    r"^#\d+\s+(?P<function>[^\n(]+?) \((?P<file>[^\n)]+?):(?P<line>\d+)(?::\d+)?\)", re.MULTILINE
)
_DART_LIBRARY = re.compile(r"^dart:|\.pub-cache/")


def parse_ruby(text: str) -> Traceback | None:
    """Rails' and Ruby's own layout."""
    if _RUBY_FRAME.search(text) is None:
        return None
    found = _RUBY_PLAIN.search(text) or _RUBY_RAILS.search(text)
    kind, message = (found["type"], found["message"]) if found else ("", "")
    frames = frames_of(text, _RUBY_FRAME, _RUBY_LIBRARY, innermost_first=True)
    return Traceback("ruby", kind, message, frames)


def parse_php(text: str) -> Traceback | None:
    """Both layouts, before and since PHP 7."""
    found = _PHP_OLD.search(text) or _PHP_NEW.search(text)
    if found is None:
        return None
    frames = frames_of(text, _PHP_FRAME, _PHP_LIBRARY, innermost_first=True)
    return Traceback("php", found["type"], found["message"] or "", frames)


def parse_dotnet(text: str) -> Traceback | None:
    """The outermost exception; inner ones stay in the text."""
    head = _NET_HEAD.search(text)
    if head is None or _NET_FRAME.search(text) is None:
        return None
    kind, message = split_exception(head["exception"].partition(" ---> ")[0])
    frames = frames_of(text, _NET_FRAME, _NET_LIBRARY, innermost_first=True)
    return Traceback("dotnet", kind, message, frames)


def parse_dart(text: str) -> Traceback | None:
    """What stands below ``Unhandled exception:``."""
    if _DART_FRAME.search(text) is None or "Unhandled exception:\n" not in text:
        return None
    said = text.partition("Unhandled exception:\n")[2].partition("\n#0")[0].strip()
    kind, message = split_exception(said)
    is_type = kind.isidentifier()
    frames = frames_of(text, _DART_FRAME, _DART_LIBRARY, innermost_first=True)
    return Traceback("dart", kind if is_type else "Error", message if is_type else said, frames)
