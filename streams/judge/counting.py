"""What a partial adds to a service's state: ticks, storage windows, what is known of releases."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from contracts.policy import Policy
from contracts.results import Cell, Partial, RolloutStatus, Window
from streams.judge import rollout as rollouts
from streams.judge import stretches
from streams.judge.rollout_state import RolloutState, arm_key
from streams.judge.service_state import (
    TICK_MS,
    WIDE_TICK_MS,
    ReleaseState,
    ServiceState,
    WindowState,
)
from streams.windows.labels import LIMITS, MAX_RELEASES, OTHER, events_in, forget_idle
from streams.windows.tally import Arm, Tally

WINDOW_S = 10
LATE_COUNTS_WITHIN_MS = 30_000
MAX_AGENTS = 200
"""Beyond so many, those that were silent for an hour are forgotten."""
MAX_ARMS = 2 * LIMITS["arm"]
MAX_OVER = 50
"""So many windows past their lateness wait to be written with the next tick, if one ends."""

WindowKey = tuple[int, str, str]
"""Start, release and arm."""


def late_records(state: ServiceState, partial: Partial) -> int:
    """How many records of a partial come after their tick was judged; ask before applying it."""
    late = (cell for cell in partial.cells if cell.tick + TICK_MS <= state.judged_to)
    return sum(map(events_in, late))


def fold_release(state: ServiceState, cell: Cell) -> None:
    """A release beyond the limit is counted as ``other``, which is never judged."""
    if cell.release in state.releases or len(state.releases) < MAX_RELEASES:
        return
    now = max(state.high_watermark, cell.last)
    if state.labels.may_forget("release", now):
        judged = {state.rollout.canary, state.rollout.baseline} if state.rollout else set()
        seen = {n: r.last_seen for n, r in state.releases.items() if n not in judged}
        kept = dict(seen)
        forget_idle(kept, now)
        for name in seen.keys() - kept.keys():
            del state.releases[name]
    if len(state.releases) >= MAX_RELEASES:
        cell.release = OTHER
        state.labels.note(cell, "release")


def forget_silent(state: ServiceState) -> None:
    """Agents come and go with their machines, and variants with their flags.

    The watermark is of those agents that still speak.
    """
    if len(state.watermarks) > MAX_AGENTS:
        forget_idle(state.watermarks, state.high_watermark)
        for one in [*state.releases.values(), *state.arms.values()]:
            forget_idle(one.agents, state.high_watermark)
    if len(state.arms) > MAX_ARMS:
        seen = {key: arm.last_seen for key, arm in state.arms.items()}
        for key in sorted(seen, key=lambda key: seen[key])[:-MAX_ARMS]:
            del state.arms[key]


def are_wide(state: ServiceState, partial: Partial) -> bool:
    """Whether what a partial tells waits for so long that it does in wide ticks.

    A second of each release takes some kilobytes, and each look some of the time in which the
    judge is to catch up.
    """
    if state.catching_up is None:
        return False
    newest = max((cell.last for cell in partial.cells), default=0)
    return max(newest, state.high_watermark) - state.present(newest) > WIDE_TICK_MS


def add_cell(state: ServiceState, cell: Cell, policy: Policy, *, is_wide: bool = False) -> None:
    """Count a cell for its release and, where a flag separates the arms, for its variant."""
    keys = [cell.release]
    if cell.arm and cell.arm != OTHER:
        keys.append(arm_key(cell.arm))
    if cell.counts and not cell.is_of_all_hosts:  # of older workers those have none
        for known, key in zip((state.releases, state.arms), keys, strict=False):
            _note(known, key, cell, policy)
        state.watermarks[cell.agent] = max(state.watermarks.get(cell.agent, 0), cell.last)
    if cell.tick + TICK_MS > state.judged_to:
        into = state.ticks.setdefault(_tick_of(state, cell.tick, is_wide=is_wide), {})
    elif _counts_although_late(state, cell.tick):
        into = state.late
    else:
        into = {}
    judged = _judged_keys(state) if is_wide else None
    for key in keys:
        is_judged = judged is None or key in judged
        into.setdefault(key, Arm()).add_cell(cell if is_judged else _counters_of(cell))
    if state.rollout is not None and state.rollout.has_late_reports:
        add_to_cohorts(state.rollout, cell.tick, dict.fromkeys(keys, Arm.of_cells([cell])))


def _judged_keys(state: ServiceState) -> tuple[str, str] | None:
    """The arms that will be judged of what is told now; ``None`` while others may become so."""
    rollout = state.open_rollout
    if rollout is None or rollout.status is RolloutStatus.WATCHING:
        return None
    return rollout.keys


def _counters_of(cell: Cell) -> Cell:
    """What a rollout asks of a release that is none of its arms."""
    return Cell(tick=cell.tick, release=cell.release, last=cell.last, counts=cell.counts)


def _tick_of(state: ServiceState, tick: int, *, is_wide: bool) -> int:
    """The tick in which a cell is judged; one that becomes wide takes in those that it covers."""
    wide = tick - tick % WIDE_TICK_MS
    if wide in state.wide:
        return wide
    if not is_wide:
        return tick
    arms = state.ticks.setdefault(wide, {})
    for covered in range(wide + TICK_MS, wide + WIDE_TICK_MS, TICK_MS):
        for key, arm in state.ticks.pop(covered, {}).items():
            arms.setdefault(key, Arm()).add(arm)
    state.wide.add(wide)
    return wide


def _note(known: dict[str, ReleaseState], key: str, cell: Cell, policy: Policy) -> None:
    found = known.get(key)
    if found is None:
        found = known[key] = ReleaseState(first_seen=cell.last, last_seen=cell.last)
    found.last_seen = max(found.last_seen, cell.last)
    found.agents[cell.agent] = max(found.agents.get(cell.agent, 0), cell.last)
    found.exposures += cell.counts.get(policy.metrics[0].of, 0)
    if cell.first_bad is not None:
        found.first_bad = min(cell.first_bad, found.first_bad or cell.first_bad)


def _counts_although_late(state: ServiceState, tick: int) -> bool:
    """Whether a record of a tick that has been judged may join the next look.

    It may while its stretch still lacks an arm, and for half a minute: a traceback ends later than
    the request it belongs to. Reports that come later make a young release look better than an old
    one (and a phase that has shrunk look worse), so they count in the windows only; a metric with
    ``reports_within`` waits for them.
    """
    rollout = state.rollout
    if rollout is None or tick + TICK_MS <= rollout.opened_at:
        return False
    return tick >= rollout.matched_to or state.judged_to - tick <= LATE_COUNTS_WITHIN_MS


def add_to_cohorts(rollout: RolloutState, tick: int, arms: dict[str, Arm]) -> None:
    """Metrics with late reports hear of everything at once, and sort it by its own time."""
    if tick + TICK_MS > rollout.opened_at and rollout.has_late_reports:
        canary, baseline = (arms.get(key, Arm()) for key in rollout.keys)
        rollouts.add_cohort(rollout, tick, canary, baseline)


def window_of(
    state: ServiceState, known: dict[WindowKey, WindowState], cell: Cell, partial: Partial
) -> WindowState:
    """The cell's window, out of ``known`` by its key, or a new one that joins both."""
    start = cell.tick - cell.tick % (WINDOW_S * 1000)
    key = (start, cell.release, cell.arm)
    if window := known.get(key):
        window.is_dirty = True
        return window
    source = partial.source
    part = f"{source.topic}-{source.partition}-{source.offset}" if source else ""
    window = WindowState(start=start, release=cell.release, arm=cell.arm, part=part, tally=Tally())
    state.windows.append(window)
    known[key] = window
    return window


def add_units(state: ServiceState, partial: Partial, events: Collection[str]) -> None:
    """Add a partial's distinct units to the stretches of its releases; its cells are counted."""
    if partial.source is not None:
        seen = {name: release.first_seen for name, release in state.releases.items()}
        stretches.add(state.stretches, partial.cells, seen, events, partial.source)


def is_crowded(state: ServiceState, policy: Policy) -> bool:
    """Whether windows past their lateness have piled up, to be written whether a tick ends or not.

    None ends while a partition that was left behind is caught up with, for hours of event time.
    """
    keep_from = _keep_from(state, policy)
    return sum(window.start < keep_from for window in state.windows) > MAX_OVER


def written_windows(
    state: ServiceState, policy: Policy, *, flush: bool = False
) -> Iterator[Window]:
    """Windows that changed; those that are past their lateness leave the state.

    A record that comes even later opens a new part of its window; readers add the parts up.
    """
    keep_from = _keep_from(state, policy)
    kept = []
    for window in state.windows:
        is_over = window.start < keep_from
        if window.is_dirty and (flush or is_over or state.judged_to > window.start):
            window.is_dirty = False
            yield _window(state.service, window)
        if not is_over:
            kept.append(window)
    state.windows = kept
    yield from stretches.written(
        state.stretches,
        state.service,
        watermark=state.high_watermark,
        keep_from=round(keep_from),
        flush=flush,
    )


def _keep_from(state: ServiceState, policy: Policy) -> float:
    """Start of the first window that is not past its lateness, epoch milliseconds."""
    return state.high_watermark - (policy.lateness + WINDOW_S) * 1000


def _window(service: str, window: WindowState) -> Window:
    return Window(
        time=window.start,
        service=service,
        release=window.release,
        arm=window.arm,
        window_s=WINDOW_S,
        part=window.part,
        counts=dict(window.tally.counts),
        histograms={name: window.tally.histogram(name) for name in window.tally.histograms},
    )
