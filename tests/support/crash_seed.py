"""Crash groups over four releases, and log lines around them, as the indexer would store them.

Sightings come from real crashes by way of the real core; nothing here knows a fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts import arrow, indices, topics
from contracts.policy import Policies
from contracts.records import Crash, LogLine, RecordKind
from contracts.results import CrashGroupSighting, CrashMark, CrashMarkKind, Window
from streams.index.documents import documents_of
from streams.messages import Message, aggregate
from tests.support.dashboard_seed import Documents, plain

HOUR_MS = 3_600_000
RELEASES = ("1.3.0", "1.4.0", "1.4.2", "1.5.0")
HOSTILE = "<img src=x onerror=alert(1)> in a cart"


def trace_of(name: str, message: str = "division by zero") -> str:
    """A traceback whose innermost call has this name."""
    return (
        'Traceback (most recent call last):\n  File "/srv/shop/handlers.py", line 88, in pay\n'
        f'    receipt = settle()\n  File "/srv/shop/cart.py", line 41, in {name}\n'
        f"    return total / items\nZeroDivisionError: {message}\n"
    )


def crash(
    service: str,
    release: str,
    at: int,
    name: str,
    number: int = 0,
    *,
    arm: str = "",
    message: str = "division by zero",
) -> Crash:
    """One crash in a call of this name, of one of seven users."""
    return Crash(
        time=at,
        service=service,
        release=release,
        host="web-3",
        runtime="python",
        exception_type="ZeroDivisionError",
        exception_message=message,
        stacktrace=trace_of(name, message),
        user=f"user-{number % 7}",
        trace=f"t-{service}",
        arm=arm,
    )


def sightings_of(crashes: Sequence[Crash], offset: int) -> list[CrashGroupSighting]:
    """What the worker says of one message with these crashes."""
    batch = arrow.encode(arrow.batch_from_records(RecordKind.CRASHES, [*crashes]))
    headers = {
        "schema": arrow.schema_name(RecordKind.CRASHES).encode(),
        "agent": crashes[0].service.encode(),
        "seq": str(offset).encode(),
    }
    place = f"{topics.CRASHES.name}.{crashes[0].service}"
    message = Message(place, 0, offset, crashes[0].time + HOUR_MS, headers, batch)
    return aggregate(RecordKind.CRASHES, [message], Policies()).sightings


def groups(service: str, now_ms: int) -> Documents:
    """One new, one ongoing, one regressed, one resolved and one resolved that came back.

    The releases had their first traffic forty, thirty, twenty and two hours ago.
    """
    starts = dict(zip(RELEASES, (40, 30, 20, 2), strict=True))
    seen = {
        "fresh": ("1.5.0",),
        "steady": ("1.3.0", "1.4.0", "1.4.2", "1.5.0"),
        "returned": ("1.4.0", "1.5.0"),
        "fixed": ("1.3.0", "1.4.0"),
        "not_fixed": ("1.4.0", "1.4.2"),
    }
    documents: Documents = [
        _window(service, release, now_ms - hours * HOUR_MS) for release, hours in starts.items()
    ]
    marks = {"fixed": "1.4.2", "not_fixed": "1.4.2"}
    for place, (name, releases) in enumerate(seen.items()):
        found: list[CrashGroupSighting] = []
        for number, release in enumerate(releases):
            at = now_ms - starts[release] * HOUR_MS + HOUR_MS
            arms = ["canary"] * 2 + [""] * (8 + 10 * place)
            message = HOSTILE if name == "fresh" else "division by zero"
            crashes = [
                crash(service, release, at + 40_000 * n, name, n, message=message, arm=arm)
                for n, arm in enumerate(arms)
            ]
            found += sightings_of(crashes, 10 * place + number)
        documents += [(indices.CRASH_GROUPS, one.id, plain(one)) for one in found]
        if name in marks:
            documents.append(_mark(service, found[0].fingerprint, marks[name], now_ms))
    return documents


def logs(service: str, now_ms: int, count: int = 400) -> Documents:
    """Log lines of the last half an hour before the newest crash, one each three seconds."""
    lines = [
        LogLine(
            time=now_ms - HOUR_MS + 3_000 * (number - count // 2),
            service=service,
            release="1.5.0",
            host="web-3",
            severity="error" if number % 20 == 0 else "info",
            message=f"user u{number} paid {number % 90} EUR" if number % 2 else HOSTILE,
            trace=f"t-{service}" if number % 50 == 0 else None,
        )
        for number in range(count)
    ]
    batch = arrow.encode(arrow.batch_from_records(RecordKind.LOGS, lines))
    headers = {
        "schema": arrow.schema_name(RecordKind.LOGS).encode(),
        "agent": service.encode(),
        "seq": b"1",
    }
    message = Message(topics.LOGS.name, 0, 1, now_ms, headers, batch)
    return [(indices.LOGS, one.id, one.body) for one in documents_of(message)]


def _window(service: str, release: str, at: int) -> tuple[indices.Index, str, dict[str, object]]:
    window = Window(
        time=at // 10_000 * 10_000, service=service, release=release, window_s=10, part="0",
        counts={"request": 100}, histograms={},
    )  # fmt: skip
    return indices.WINDOWS, f"{service}|{release}", msgspec.to_builtins(window)


def _mark(
    service: str, fingerprint: str, release: str, now_ms: int
) -> tuple[indices.Index, str, dict[str, object]]:
    mark = CrashMark(
        id=f"{service}/{fingerprint}", time=now_ms - HOUR_MS, service=service,
        fingerprint=fingerprint, kind=CrashMarkKind.RESOLVED, release=release, reason="a guard",
    )  # fmt: skip
    return indices.CRASH_MARKS, mark.id, msgspec.to_builtins(mark)
