"""One JSON object per Kafka message or line: what any shipper but our agent sends.

Names may be dotted (``{"service.name": …}``) or nested (``{"service": {"name": …}}``); times are
RFC 3339 or epoch milliseconds. Slower than Arrow batches, same results. Here stands what one object
means; ``contracts/json_columns.py`` reads many at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import Event, Record, RecordKind, type_of_kind

LATEST_MS = 4_102_444_800_000
"""2100-01-01: later than that is a unit mistake, not a time."""


def decode_json(kind: RecordKind, payload: bytes) -> Record:
    """The record in one JSON object.

    Raises:
        InvalidRecord: not JSON, not an object, a field missing or of the wrong type.
    """
    try:
        fields = msgspec.json.decode(payload)
    except UNREADABLE as error:
        raise InvalidRecord("not json", str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidRecord("not a json object", type(fields).__name__)
    try:
        return record_from_fields(kind, fields)
    except RecursionError as error:
        raise InvalidRecord("nested too deeply") from error


def record_from_fields(kind: RecordKind, fields: Mapping[str, Any]) -> Record:
    """The record that a mapping of OpenTelemetry names describes; see ``decode_json``."""
    record_type = type_of_kind[kind]
    flat = _flat(fields)
    if "time" in flat:
        flat["time"] = parse_time_ms(flat["time"])
    try:
        record = msgspec.convert(flat, record_type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRecord("wrong field", str(error)) from error
    if isinstance(record, Event) and flat.get("ok") is None and record.status is not None:
        record.ok = record.status < 500
    return record


def parse_time_ms(value: object) -> int:
    """Epoch milliseconds of an RFC 3339 text or of a number that is milliseconds already.

    Raises:
        InvalidRecord: neither of them, or outside 1970–2100.

    >>> parse_time_ms("2026-11-23T10:00:00Z"), parse_time_ms(1795428000000)
    (1795428000000, 1795428000000)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRecord("no time", repr(value)[:80])
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            time_ms = round(moment.timestamp() * 1000)
        else:
            time_ms = int(float(value))
    except (ValueError, OverflowError) as error:
        raise InvalidRecord("no time", repr(value)[:80]) from error
    if not 0 <= time_ms < LATEST_MS:
        raise InvalidRecord("time out of range", repr(value)[:80])
    return time_ms


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and prefix + name != "attributes":
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
