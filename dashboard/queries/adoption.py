"""Many releases at once: who uses which, how often each crashes, which old ones still matter.

Pure: counts and sketches in, figures out. Sessions and users are distinct ones; a service whose
events carry no ids has requests only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from contracts.indices import WINDOWS
from dashboard.queries.release_records import (
    Bucket,
    CrashFree,
    Point,
    ReleaseRecord,
    ReleaseReport,
    SameAge,
    Span,
    Stretch,
    SupportStep,
)
from dashboard.queries.unit_sketches import Units

EXPOSURES = ("session", "request")
"""Events whose counts show the adoption: sessions where a service tells of them."""
CRASH = "crash"
KINDS = ("user", "session")
"""Whom old releases still matter to: users where they are known."""
LEAVE = 0.01
"""Share of the users whom one may leave behind."""
_Z95 = 1.96
_KNOWN_MS = (WINDOWS.retention_days - 1) * 86_400_000
"""Of a release whose first kept window is older than that the beginning may be forgotten."""


def in_order(first: Mapping[str, int]) -> list[str]:
    """Releases from the oldest to the newest: by first traffic, and by version where that is one.

    >>> in_order({"1.10.0": 5, "1.9.0": 5, "1.2.0": 9})
    ['1.9.0', '1.10.0', '1.2.0']
    """
    return sorted(first, key=lambda release: (first[release], _natural(release)))


def predecessors(first: Mapping[str, int]) -> dict[str, str]:
    """Release to the one whose traffic began before; the oldest has none."""
    ordered = in_order(first)
    return dict(zip(ordered[1:], ordered, strict=False))


def report_of(
    service: str,
    first: Mapping[str, int],
    buckets: Sequence[Bucket],
    stretches: Sequence[Stretch],
    span: Span,
    leave: float = LEAVE,
) -> ReleaseReport:
    """The whole report.

    Args:
        service: whose releases these are.
        first: first traffic of each release, as far as it is kept.
        buckets: counters within the span.
        stretches: units within the span, and of young predecessors before it.
        span: what is looked at.
        leave: share of the users whom one may leave behind.
    """
    totals = {name: sum(b.counts.get(name, 0) for b in buckets) for name in EXPOSURES}
    exposure = next((name for name in EXPOSURES if totals[name]), EXPOSURES[-1])
    adoption = _adoption(buckets, exposure)
    within = [one for one in stretches if one.time >= span.start_ms]
    seen = {b.release for b in buckets}
    releases = [
        _record(release, first, buckets, stretches, span, exposure, adoption)
        for release in in_order(first)
        if release in seen
    ]
    unit, support = _support([r.release for r in releases], within, releases, exposure)
    return ReleaseReport(
        service=service,
        days=span.days,
        exposure=exposure,
        step_s=span.step_s,
        unit=unit,
        releases=releases,
        adoption=adoption,
        support=support,
        summary=summary_of(support, unit, span.days, leave),
    )


def summary_of(support: Sequence[SupportStep], unit: str, days: float, leave: float) -> str:
    """Which old releases still matter, as one sentence."""
    if len(support) < 2:
        return "There is no older release to end support for."
    spared = [step for step in support[:-1] if step.share <= leave]
    if spared:
        step = spared[-1]
        return (
            f"Ending support for {step.release} and older would leave {_percent(step.share)} of "
            f"the {unit}s of {newest(days)} behind, about {step.left_behind:,.0f}."
        )
    oldest = support[0]
    return (
        f"Every release still matters: ending support for {oldest.release}, the oldest, would "
        f"leave {_percent(oldest.share)} of the {unit}s of {newest(days)} behind."
    )


def newest(days: float) -> str:
    """The stretch of time that is looked at, in words.

    >>> newest(1 / 24), newest(0.25), newest(1), newest(7)
    ('the last hour', 'the last 6 hours', 'the last day', 'the last 7 days')
    """
    hours = days * 24
    number, unit = (days, "day") if hours >= 24 else (hours, "hour")
    return f"the last {unit}" if number == 1 else f"the last {number:.3g} {unit}s"


def _record(
    release: str,
    first: Mapping[str, int],
    buckets: Sequence[Bucket],
    stretches: Sequence[Stretch],
    span: Span,
    exposure: str,
    adoption: Sequence[Point],
) -> ReleaseRecord:
    own = [b for b in buckets if b.release == release]
    crashes = sum(b.counts.get(CRASH, 0) for b in own)
    within = [s for s in stretches if s.release == release and s.time >= span.start_ms]
    # crashes that nobody can be found for must not look like none
    has_ids = not crashes or any(f"{CRASH}@session" in one.units for one in within)
    newest = max((point.time for point in adoption), default=0)
    share = next((p.share for p in adoption if (p.time, p.release) == (newest, release)), 0.0)
    return ReleaseRecord(
        release=release,
        first=first[release],
        last=max(b.last for b in own),
        exposures=sum(b.counts.get(exposure, 0) for b in own),
        share=share,
        crashes=crashes,
        sessions=crash_free(within, "session", crashes),
        users=crash_free(within, "user", crashes),
        same_age=_same_age(release, first, stretches, span) if has_ids else None,
    )


def crash_free(stretches: Iterable[Stretch], kind: str, crashes: int | None = None) -> CrashFree:
    """Distinct units of a kind in some stretches, and how many of them met a crash.

    Args:
        stretches: of one release.
        kind: ``session`` or ``user``.
        crashes: crash records in that time, where known: where there are some and none of them has
            an id, nobody can tell whose they are.
    """
    some = list(stretches)
    total = _units(some, kind).count
    crashed = _crashed(some, kind).count
    is_known = bool(total) and (crashed > 0 or not crashes)
    share = max(0.0, 1 - crashed / total) if is_known else None
    return CrashFree(total, crashed, share)


def _same_age(
    release: str, first: Mapping[str, int], stretches: Sequence[Stretch], span: Span
) -> SameAge | None:
    predecessor = predecessors(first).get(release)
    if predecessor is None or first[predecessor] < span.end_ms - _KNOWN_MS:
        return None
    age_ms = age_of(first[release], span)
    own, other = (
        crash_free(
            [
                s
                for s in stretches
                if s.release == name and first[name] <= s.time < first[name] + age_ms
            ],
            "session",
        )
        for name in (release, predecessor)
    )
    if not own.total or not other.total:
        return None
    difference, lower, upper = _difference(own, other)
    return SameAge(predecessor, age_ms // 1000, own, other, difference, lower, upper)


def age_of(first_ms: int, span: Span) -> int:
    """At which age a release is compared: its own, and no more than the span, in milliseconds."""
    return min(span.end_ms - first_ms, span.end_ms - span.start_ms)


def _difference(
    own: CrashFree, other: CrashFree
) -> tuple[float | None, float | None, float | None]:
    if own.share is None or other.share is None:
        return None, None, None
    variance = sum(
        max(side.share or 0.0, 0.5 / side.total)
        * max(1 - (side.share or 0.0), 0.5 / side.total)
        / side.total
        for side in (own, other)
    )
    difference, half = own.share - other.share, _Z95 * math.sqrt(variance)
    return difference, difference - half, difference + half


def _adoption(buckets: Sequence[Bucket], exposure: str) -> list[Point]:
    totals: dict[int, int] = {}
    for bucket in buckets:
        totals[bucket.time] = totals.get(bucket.time, 0) + bucket.counts.get(exposure, 0)
    points = [
        Point(b.time, b.release, count, count / totals[b.time])
        for b in buckets
        if (count := b.counts.get(exposure, 0))
    ]
    return sorted(points, key=lambda point: (point.time, _natural(point.release)))


def _support(
    ordered: Sequence[str],
    stretches: Sequence[Stretch],
    releases: Sequence[ReleaseRecord],
    exposure: str,
) -> tuple[str, list[SupportStep]]:
    """Oldest first: who would be left without each release and all older ones."""
    for kind in KINDS:
        of_release = {
            name: _units([s for s in stretches if s.release == name], kind) for name in ordered
        }
        if any(units.count for units in of_release.values()):
            return kind, _left_by_units(ordered, of_release)
    total = sum(record.exposures for record in releases)
    steps, so_far = [], 0
    for record in releases if total else ():
        so_far += record.exposures
        steps.append(SupportStep(record.release, so_far, so_far / total, so_far, so_far))
    return exposure, steps


def _left_by_units(ordered: Sequence[str], of_release: Mapping[str, Units]) -> list[SupportStep]:
    newer, newer_than = Units.of([]), {}
    for name in reversed(ordered):
        newer_than[name] = newer
        newer |= of_release[name]
    total = newer.count
    left = {name: newer - newer_than[name] for name in ordered}
    return [
        SupportStep(name, units.count, units.count / total, *units.bounds)
        for name, units in left.items()
    ]


def _units(stretches: Iterable[Stretch], kind: str) -> Units:
    """Of any event but crashes."""
    return Units.of(
        sketch
        for stretch in stretches
        for name, sketch in stretch.units.items()
        if name.endswith(f"@{kind}") and not name.startswith(f"{CRASH}@")
    )


def _crashed(stretches: Iterable[Stretch], kind: str) -> Units:
    found = (stretch.units.get(f"{CRASH}@{kind}") for stretch in stretches)
    return Units.of(sketch for sketch in found if sketch)


def _natural(release: str) -> list[tuple[int, int, str]]:
    """Numbers by their value, words by the alphabet."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.findall(r"\d+|[^\d.]+", release)
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 or not share else "less than 0.1 %"
