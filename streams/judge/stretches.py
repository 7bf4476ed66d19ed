"""Distinct units of each release over stretches of time, for adoption and crash-free users.

Windows of ten seconds would have to carry a sketch each; a stretch is ten minutes while its release
is young, so that releases can be compared at the same age, and an hour later. It is written as a
further part of the first window in it, which has units and no counts: readers add parts up, and
the union of sketches does not depend on how time was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import msgspec

from contracts.results import UNITS_PART, Cell, Source, Window
from streams.windows import units
from streams.windows.labels import OTHER

LG_K = 9
"""At most 512 units of a stretch are held, 4 KiB: a relative standard error of 4.4 %, and of less
over many stretches, each of which brings units of its own."""
WINDOW_MS = 10_000
YOUNG_MS = 86_400_000
YOUNG_STRETCH_MS = 600_000
STRETCH_MS = 3_600_000
WRITE_EVERY_MS = 30_000


class Stretch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stretch of one release that may still grow; times are epoch milliseconds."""

    start: int
    end: int
    release: str
    first: int
    """Start of the earliest window in it."""
    part: str
    units: dict[str, bytes] = {}
    """Sketch by counter and kind: ``session@user``."""
    is_dirty: bool = True
    written_at: int = 0
    """The watermark when it was last written."""


def add(
    stretches: list[Stretch],
    cells: Iterable[Cell],
    first_seen: dict[str, int],
    events: Collection[str],
    source: Source,
) -> None:
    """Add the units of a partial's cells to the stretches they fall into.

    Args:
        stretches: changed in place.
        cells: counted already, so that their releases are known.
        first_seen: release to the event time at which it was first seen.
        events: whose units are kept: what the policy counts.
        source: of the partial; names new stretches.
    """
    found: dict[tuple[str, int, int], dict[str, list[bytes]]] = {}
    firsts: dict[tuple[str, int, int], int] = {}
    for cell in cells:
        if cell.release == OTHER or cell.release not in first_seen:
            continue
        wanted = [name for name in cell.units if name.partition("@")[0] in events]
        if not wanted:
            continue
        window = cell.tick - cell.tick % WINDOW_MS
        key = (cell.release, *_bounds(window, first_seen[cell.release]))
        firsts[key] = min(window, firsts.get(key, window))
        sketches = found.setdefault(key, defaultdict(list))
        for name in wanted:
            sketches[name].append(cell.units[name])
    known = {(one.release, one.start, one.end): one for one in stretches}
    for key, sketches in found.items():
        stretch = known.get(key)
        if stretch is None:
            part = f"{UNITS_PART}{source.topic}-{source.partition}-{source.offset}"
            release, start, end = key
            stretch = Stretch(start=start, end=end, release=release, first=firsts[key], part=part)
            stretches.append(stretch)
        stretch.is_dirty = True
        for name, some in sketches.items():
            stretch.units[name] = units.union_of([stretch.units.get(name, b""), *some], LG_K)


def written(
    stretches: list[Stretch], service: str, *, watermark: int, keep_from: int, flush: bool = False
) -> Iterator[Window]:
    """What is to be written of them by now; those that end before ``keep_from`` are forgotten.

    A record that comes even later begins its stretch anew, as another part.

    Args:
        stretches: changed in place.
        service: whose they are.
        watermark: latest event time; one that grows is written every half minute of it.
        keep_from: event time before which nothing is expected any more.
        flush: whether everything is to be written.
    """
    kept = []
    for stretch in stretches:
        is_over = stretch.end <= keep_from
        is_due = watermark - stretch.written_at >= WRITE_EVERY_MS
        if stretch.is_dirty and (flush or is_over or is_due):
            stretch.is_dirty = False
            stretch.written_at = watermark
            yield _window(service, stretch)
        if not is_over:
            kept.append(stretch)
    stretches[:] = kept


def _bounds(time: int, first_seen: int) -> tuple[int, int]:
    """Start and end of the stretch that a time falls into, counted from its release's beginning."""
    begun = first_seen - first_seen % WINDOW_MS
    age = time - begun
    length = YOUNG_STRETCH_MS if age < YOUNG_MS else STRETCH_MS
    start = begun + age - age % length
    return start, start + length


def _window(service: str, stretch: Stretch) -> Window:
    return Window(
        time=stretch.first,
        service=service,
        release=stretch.release,
        window_s=WINDOW_MS // 1000,
        part=stretch.part,
        counts={},
        histograms={},
        units=dict(stretch.units),
    )
