"""Apache's and nginx's common and combined access logs to events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from contracts.errors import InvalidRecord
from contracts.records import RecordKind
from ingest.parsers.base import Labels, Parsed, Rejected, decode_text, shortened
from ingest.parsers.fields import DURATION_UNITS
from ingest.parsers.times import TimeParser
from ingest.rows import Rows

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"(?:(?P<vhost>\S+:\d+) )?"
    r"\S+ \S+ (?P<user>.*?) \[(?P<time>[^\]]+)\] "
    + _QUOTED.replace("(", "(?P<request>", 1)
    + r" (?P<status>\d{3}|-) (?P<size>\d+|-)"
    + f"(?: {_QUOTED.replace('(', '(?:', 1)} {_QUOTED.replace('(', '(?:', 1)})?"
    + r"(?P<extra>.*)",
    re.DOTALL,
)
_ORDINARY = re.compile(
    r"^(?:\S+:[0-9]+ )?"
    r"[^\s\[]+ [^\s\[]+ ([^\s\[]+) \[([^]\n]+)\] "
    r'"[A-Za-z]+ (/[^\s?#":\\]{0,1000})(?:[?#][^\s"\\]*)?(?: HTTP/[0-9.]+)?" '
    r"([0-9]{3}|-) ([0-9]{1,18}|-)"
    r'(?: "[^"\\\n]*" "[^"\\\n]*")?([^\n]*)$|^(.*)$',
    re.MULTILINE,
)
"""Nearly every line, path and all; the last group is a line of any other shape."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LARGEST_SIZE = 1 << 62


_Fields = tuple[str, ...]
"""User, time, route, status, size and what follows the user agent, as text; then an odd line."""


class CombinedParser:
    """Access logs in common or combined format, with or without a virtual host before the line.

    A request line that is garbage (as scanners send) still is a request: it has no route. Whatever
    follows the user agent is ``extra``; with ``fields: {extra: duration_s}`` (or ``duration_ms``,
    ``duration_us``) its first number is the duration.
    """

    def __init__(self, mapping: Mapping[str, str], times: TimeParser) -> None:
        self._times = times
        unit = mapping.get("extra", "")
        self._duration_factor = DURATION_UNITS.get(unit, 1.0 if unit == "duration_ms" else 0.0)

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        del read_time
        found = _found(lines)
        refused = _understand_odd(found)
        if not labels.service:
            missing = InvalidRecord("no service", "neither from_path nor service is configured")
            refused = dict.fromkeys(range(len(found)), missing) | refused
        wrong = self._wrong_times({fields[1] for fields in found if fields[1]})
        if wrong:
            found_wrong = {i: wrong[f[1]] for i, f in enumerate(found) if f[1] in wrong}
            refused = found_wrong | refused
        kept = [f for i, f in enumerate(found) if i not in refused] if refused else found
        rejected = [Rejected(i, e.reason, e.detail) for i, e in sorted(refused.items())]
        return Parsed(self._rows(kept, labels), rejected)

    def _wrong_times(self, texts: Iterable[str]) -> dict[str, InvalidRecord]:
        wrong = {}
        for text in texts:
            try:
                self._times.parse(text)
            except InvalidRecord as error:
                wrong[text] = error
        return wrong

    def _rows(self, found: Sequence[_Fields], labels: Labels) -> Rows:
        n = len(found)
        columns: Sequence[tuple[str, ...]] = [*zip(*found, strict=True)] or [()] * 7
        users, times, routes, statuses, sizes, extras, _ = columns
        status_of = {text: int(text) if text != "-" else None for text in set(statuses)}
        is_good = {text: status is None or status < 500 for text, status in status_of.items()}
        return Rows.of_columns(
            RecordKind.EVENTS,
            {
                "time": self._times.parse_all(times),
                "service": [labels.service] * n,
                "release": [labels.release] * n,
                "host": [labels.host] * n,
                "name": ["request"] * n,
                "route": routes,
                "status": list(map(status_of.__getitem__, statuses)),
                "ok": list(map(is_good.__getitem__, statuses)),
                "size_bytes": [0 if text == "-" else int(text) for text in sizes],
                "duration_ms": self._durations_ms(extras),
                "user": [None if user == "-" else user for user in users],
                "session": [None] * n,
                "trace": [None] * n,
                "arm": [labels.arm] * n,
            },
        )

    def _durations_ms(self, extras: Sequence[str]) -> list[float | None]:
        if not self._duration_factor:
            return [None] * len(extras)
        numbers = map(_NUMBER.search, extras)
        return [float(n[0]) * self._duration_factor if n else None for n in numbers]


def _found(lines: Sequence[bytes]) -> list[_Fields]:
    """The fields of each line; an odd one stands whole behind empty ones."""
    text = "\n".join(map(decode_text, lines))
    found: list[_Fields] = _ORDINARY.findall(text)
    if len(found) == len(lines):
        return found
    return [("",) * 6 + (decode_text(line),) for line in lines]  # joined lines


def _understand_odd(found: list[_Fields]) -> dict[int, InvalidRecord]:
    """Read odd lines with more patience; gives what is wrong with each one that is none."""
    refused = {}
    for index, fields in enumerate(found):
        if not fields[1]:
            try:
                found[index] = _fields_of(fields[-1])
            except InvalidRecord as error:
                refused[index] = error
    return refused


def _fields_of(text: str) -> _Fields:
    line = _LINE.match(text)
    if line is None:
        raise InvalidRecord("not an access log line", text[:80])
    _, user, time, request, status, size, extra = line.groups()
    if size != "-" and int(size) > _LARGEST_SIZE:
        raise InvalidRecord("wrong field", f"size {size[:40]}")
    return user, time, route_of(request), status, size, extra, ""


@lru_cache(maxsize=65_536)
def route_of(request: str) -> str:
    r"""Path of a request line, without its query; empty where the line is garbage.

    >>> route_of("GET /cart?id=1 HTTP/1.1"), route_of("\\x16\\x03\\x01"), route_of("-")
    ('/cart', '', '')
    """
    method, _, rest = request.partition(" ")
    if not rest or not method.isalpha():
        return ""
    target = rest.rpartition(" HTTP/")[0] or rest
    path = target.partition("?")[0].partition("#")[0]
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return shortened(path, 1024)
