"""What addresses mean that several pages have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboard.components.basics import message
from dashboard.queries.cache import Answer
from dashboard.queries.search_reader import PERIODS_MS

LONGEST = 2_000
"""Characters of a field: beyond it nobody typed it."""
_ROUND_MS = 1_000


def fields(query: dict[str, str], *names: str, period: str) -> dict[str, str]:
    """The named fields of a query, with a period that is known.

    >>> fields({"service": " shop ", "period": "2y"}, "service", period="1h")
    {'service': 'shop', 'period': '1h'}
    """
    asked = query.get("period", "")
    named = {name: query.get(name, "").strip()[:LONGEST] for name in names}
    return {**named, "period": asked if asked in PERIODS_MS else period}


def moment_of(text: str) -> int | None:
    """A moment as people type it, epoch milliseconds; None where it is none.

    >>> moment_of("2026-11-25 22:00"), moment_of("yesterday")
    (1795644000000, None)
    """
    try:
        found = datetime.fromisoformat(text.strip())
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return int(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def span_of(address: dict[str, str], now_ms: int) -> tuple[int, int]:
    """First moment, and first moment after, of an address's ``period`` and ``until``."""
    end_ms = moment_of(address.get("until", ""))
    if end_ms is None:
        end_ms = now_ms // _ROUND_MS * _ROUND_MS + _ROUND_MS
    return end_ms - PERIODS_MS[address["period"]], end_ms


def fresh_data(answer: Answer[Any], now_ms: int) -> dict[str, Any]:
    """What the browser needs to tell the age of a page, whatever its own clock says."""
    return {"as_of": answer.as_of_ms, "server_now": now_ms, "error": answer.error}


def unavailable() -> html.Div:
    """What a page shows before Elasticsearch ever answered."""
    return message(
        "alert", "Elasticsearch does not answer", "This page shows itself as soon as it does."
    )
