"""``coalmine releases``: many releases in the wild at once, and which old ones still matter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.state import StateDirectory, servers
from contracts.clock import SystemClock
from contracts.errors import Fatal
from contracts.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from dashboard.queries.release_records import (
        CrashFree,
        Point,
        ReleaseRecord,
        ReleaseReport,
        SameAge,
        SupportStep,
    )

_TIMEOUT_S = 30
_BARS = " ▁▂▃▄▅▆▇█"
_CURVE_COLUMNS = 28
_LONGEST_DAYS = 30


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: coalmine releases phone-app --days 14")(releases)


def releases(
    service: Annotated[str, typer.Argument(help="The service's name (service.name).")],
    days: Annotated[
        float, typer.Option(min=0.01, max=_LONGEST_DAYS, help="How many days are looked at.")
    ] = 7,
    leave: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the users whom one may leave behind.")
    ] = 0.01,
    state: StateDirectory = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show who uses which release: adoption, crash-free sessions and users, same-age comparison.

    Sessions and users are distinct ones, by sketches that are exact for some hundreds and within a
    few per cent beyond; users are known where a metric of a policy has the unit user.
    """
    report = _report(servers(state)[1], service, days, leave)
    if not report.releases:
        from dashboard.queries.adoption import newest  # noqa: PLC0415 - as in _report

        raise Fatal(f"no release of {service} had traffic in {newest(days)}")
    if as_json:
        print_json(report)
        return
    by_release = {step.release: step for step in report.support}
    print_table(
        ["release", "first seen", "share now", "adoption", report.exposure + "s", "users",
         "crash-free sessions", "crash-free users", "at the same age", "left behind"],
        [_row(record, report, by_release) for record in reversed(report.releases)],
    )  # fmt: skip
    say(report.summary)
    if report.is_cut:
        say("There is more than could be read: give fewer --days.")


releases.__doc__ = f"{releases.__doc__}\n\n{EXIT_CODES}"


def _report(
    settings: ElasticsearchSettings, service: str, days: float, leave: float
) -> ReleaseReport:
    # imported here: coalmine --help must not load the client
    from elasticsearch import Elasticsearch  # noqa: PLC0415 - see above

    from dashboard.queries.releases import fetch_report  # noqa: PLC0415 - see above

    options = settings.client_options()
    with Elasticsearch(**options, request_timeout=_TIMEOUT_S, max_retries=1) as client:
        return fetch_report(client, service, SystemClock().now_ms(), days, leave)


def _row(
    record: ReleaseRecord, report: ReleaseReport, support: dict[str, SupportStep]
) -> list[str]:
    step = support.get(record.release)
    return [
        record.release,
        datetime.fromtimestamp(record.first / 1000, UTC).strftime("%Y-%m-%d %H:%MZ"),
        f"{100 * record.share:.1f} %",
        curve([p for p in report.adoption if p.release == record.release], report),
        f"{record.exposures:,}",
        f"{record.users.total:,.0f}" if record.users.total else "",
        _crash_free(record.sessions),
        _crash_free(record.users),
        _same_age(record.same_age),
        f"{100 * step.share:.1f} %" if step else "",
    ]


def curve(points: Sequence[Point], report: ReleaseReport) -> str:
    """A release's share over time, in blocks of eight heights."""
    times = [point.time for point in report.adoption]
    first = min(times)
    columns = min(_CURVE_COLUMNS, (max(times) - first) // (1000 * report.step_s) + 1)
    width = max(1, -(-(max(times) - first + 1) // columns))
    shares = [0.0] * columns
    for point in points:
        column = (point.time - first) // width
        shares[column] = max(shares[column], point.share)
    return "".join(_BARS[min(8, round(8 * share + 0.49))] for share in shares)


def _crash_free(found: CrashFree) -> str:
    """
    >>> from dashboard.queries.release_records import CrashFree
    >>> _crash_free(CrashFree(1000, 1, 0.999)), _crash_free(CrashFree(0, 0, None))
    ('99.90 %', '')
    """
    return "" if found.share is None else f"{100 * found.share:.2f} %"


def _same_age(found: SameAge | None) -> str:
    if found is None or found.difference is None:
        return ""
    difference, lower, upper = (
        f"{100 * (value or 0.0):+.2f}" for value in (found.difference, found.lower, found.upper)
    )
    return f"{difference} points ({lower} to {upper}) against {found.predecessor}"
