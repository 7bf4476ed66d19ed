"""Apache's and nginx's common and combined access logs to events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from contracts.errors import InvalidRecord
from contracts.records import Event
from ingest.parsers.base import Labels, Parsed, Rejected, decode_text, shortened
from ingest.parsers.fields import DURATION_UNITS
from ingest.parsers.times import TimeParser

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
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LARGEST_SIZE = 1 << 62


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
        parsed = Parsed()
        for index, line in enumerate(lines):
            try:
                parsed.records.append(self._event(decode_text(line), labels))
            except InvalidRecord as error:
                parsed.rejected.append(Rejected(index, error.reason, error.detail))
        return parsed

    def _event(self, text: str, labels: Labels) -> Event:
        found = _LINE.match(text)
        if found is None:
            raise InvalidRecord("not an access log line", text[:80])
        _, user, time, request, status_text, size_text, extra = found.groups()
        if not labels.service:
            raise InvalidRecord("no service", "neither from_path nor service is configured")
        status = int(status_text) if status_text != "-" else None
        size = 0 if size_text == "-" else int(size_text)
        if size > _LARGEST_SIZE:
            raise InvalidRecord("wrong field", f"size {size_text[:40]}")
        return Event(
            time=self._times.parse(time),
            service=labels.service,
            release=labels.release,
            host=labels.host,
            route=route_of(request),
            status=status,
            ok=status is None or status < 500,
            size_bytes=size,
            duration_ms=self._duration_ms(extra) if self._duration_factor else None,
            user=None if user == "-" else user,
            arm=labels.arm,
        )

    def _duration_ms(self, extra: str) -> float | None:
        number = _NUMBER.search(extra)
        return float(number[0]) * self._duration_factor if number else None


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
