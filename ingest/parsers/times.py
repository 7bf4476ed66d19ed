"""Texts and numbers to epoch milliseconds, fast: a second is parsed once, however many lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa

from contracts.errors import InvalidRecord
from contracts.foreign import parse_time_ms

COMBINED_FORMAT = "%d/%b/%Y:%H:%M:%S %z"

_FRACTION = re.compile(r"(:\d\d)[.,](\d{1,9})")
_EPOCH = {"epoch_s": 1000.0, "epoch_ms": 1.0, "epoch_us": 1e-3, "epoch_ns": 1e-6}
_LATEST_MS = 4_102_444_800_000
_NANOSECONDS = pa.timestamp("ns", tz="UTC")


class TimeParser:
    """Times of one source.

    Args:
        time_format: a ``strptime`` format, ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``,
            or empty for RFC 3339, access-log times and epoch milliseconds.
        timezone: zone of times that name none.
    """

    def __init__(self, time_format: str = "", timezone: str = "UTC") -> None:
        self._scale = _EPOCH.get(time_format)
        self._format = "" if self._scale else re.sub(r"[.,]%f", "", time_format)
        self._zone = ZoneInfo(timezone)
        self._second_ms: Callable[[str], int] = lru_cache(maxsize=4096)(self._parse_second)

    def parse(self, value: object) -> int:
        """Epoch milliseconds of ``value``.

        Raises:
            InvalidRecord: no time, or outside 1970–2100.
        """
        if self._scale is not None:
            return self._scaled(value, self._scale)
        if type(value) is str and value and not value.isdigit():
            found = _FRACTION.search(value)
            if found is None:
                return self._second_ms(value)
            fraction = found[2]
            millis = int(fraction[:3].ljust(3, "0"))
            return self._second_ms(value[: found.end(1)] + value[found.end() :]) + millis
        return parse_time_ms(value)

    def parse_all(self, values: Sequence[object]) -> list[int]:
        """Epoch milliseconds of each value; fast where they are RFC 3339, or few different ones.

        Raises:
            InvalidRecord: any of them is no time, or outside 1970–2100.
        """
        types = set(map(type, values))
        if types == {str}:
            times = None if self._format or self._scale else _rfc3339_ms(values)
            if times is not None:
                return times
            of_text = {text: self.parse(text) for text in set(values)}
            return list(map(of_text.__getitem__, values))
        return list(map(self.parse, values))

    def _scaled(self, value: object, scale: float) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise InvalidRecord("no time", repr(value)[:80])
        try:
            time_ms = round(float(value) * scale)
        except (ValueError, OverflowError) as error:
            raise InvalidRecord("no time", repr(value)[:80]) from error
        return _in_range(time_ms, value)

    def _parse_second(self, text: str) -> int:
        try:
            moment = self._moment(text.strip())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._zone)
            time_ms = round(moment.timestamp() * 1000)
        except (ValueError, OverflowError) as error:
            raise InvalidRecord("no time", repr(text)[:80]) from error
        return _in_range(time_ms, text)

    def _moment(self, text: str) -> datetime:
        zone: tzinfo = self._zone
        if self._format:
            moment = datetime.strptime(text, self._format)  # noqa: DTZ007 - zoned by the caller
            return moment if moment.tzinfo else moment.replace(tzinfo=zone)
        if len(text) > 2 and text[2] == "/":
            return datetime.strptime(text, COMBINED_FORMAT)  # noqa: DTZ007 - as above
        return datetime.fromisoformat(text)


def _rfc3339_ms(texts: Sequence[object]) -> list[int] | None:
    """All times at once, the fraction cut after milliseconds; None where Arrow cannot tell one."""
    try:
        times = pa.array(texts, pa.utf8()).cast(_NANOSECONDS)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    times_ms = times.cast(pa.int64()).to_numpy() // 1_000_000
    is_in_range = times_ms.min() >= 0 and times_ms.max() < _LATEST_MS
    found: list[int] = times_ms.tolist()
    return found if is_in_range else None


def _in_range(time_ms: int, value: object) -> int:
    if not 0 <= time_ms < _LATEST_MS:
        raise InvalidRecord("time out of range", repr(value)[:80])
    return time_ms
