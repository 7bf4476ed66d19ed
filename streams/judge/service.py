"""The judge of one service: partials in, windows, verdicts and decisions out.

All state of a service is one value (``ServiceState``), so that what was counted and up to which
offset it was counted change together: a partial that arrives twice counts once. The functions are
a pure step of (state, message) and know neither Kafka nor the clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from contracts.policy import Policy
from contracts.results import (
    Cell,
    Decision,
    Partial,
    RolloutCommand,
    RolloutCommandAction,
    RolloutStatus,
    Source,
    Verdict,
    Window,
)
from streams.judge import rollout as rollouts
from streams.judge.known_groups import KnownGroups
from streams.judge.rollout_state import RolloutState
from streams.windows.labels import MAX_RELEASES, OTHER, Labels, event_of, events_in, forget_idle
from streams.windows.tally import Arm, Tally

TICK_MS = 1000
WINDOW_S = 10
WATERMARK_SLACK_MS = 250
"""How far out of order the records of one agent and release may be: its files are read in turn,
each some 150 ms after the last time. What is later still counts in the next look."""
QUIET_SLACK_MS = 750
"""How much longer a release's tick waits where only the agent's other releases have gone on: it may
have nothing to tell, or its file is read last."""
LATE_COUNTS_WITHIN_MS = 30_000
KNOWN_AFTER_MS = 5_000
"""How much older a baseline must be than the release that autodetection takes for a canary."""
_COMMANDS_REMEMBERED = 100
MAX_AGENTS = 200
"""Beyond so many, those that were silent for an hour are forgotten."""

Output = Window | Verdict | Decision
_WindowKey = tuple[int, str, str]
"""Start, release and arm."""


class ReleaseState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a release: event times in epoch milliseconds."""

    first_seen: int
    last_seen: int
    exposures: int = 0
    first_bad: int | None = None
    was_judged: bool = False
    agents: dict[str, int] = {}
    """Agent to the latest event time at which it reported this release."""


class WindowState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One storage window that may still grow."""

    start: int
    release: str
    arm: str = ""
    part: str
    tally: Tally
    is_dirty: bool = True


class ServiceState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything the judge remembers of one service."""

    service: str
    version: int = 0
    """How many messages were applied."""
    fences: dict[str, int] = {}
    """``topic/partition`` to the last offset that was applied."""
    watermarks: dict[str, int] = {}
    """Agent to the latest event time it reported."""
    releases: dict[str, ReleaseState] = {}
    ticks: dict[int, dict[str, Arm]] = {}
    """Start of a tick that is not finished to what each release did in it."""
    late: dict[str, Arm] = {}
    """What came after its tick was judged; it joins the next look."""
    windows: list[WindowState] = []
    judged_to: int = 0
    heard_at: int = 0
    """Processing time of the last partial that was not a heartbeat."""
    rollout: RolloutState | None = None
    commands: list[str] = []
    labels: Labels = msgspec.field(default_factory=Labels)
    groups: KnownGroups = msgspec.field(default_factory=KnownGroups)

    @property
    def high_watermark(self) -> int:
        """Latest event time of any agent; 0 before the first."""
        return max(self.watermarks.values(), default=0)

    @property
    def is_pending(self) -> bool:
        """Whether a heartbeat would bring anything: a tick to judge, a window to write."""
        rollout = self.rollout
        is_open = rollout is not None and rollout.status.is_open
        is_judging = is_open and bool(self.ticks or self.late)
        is_draining = rollout is not None and rollout.status.is_draining
        # people were called already: while all is silent there is nothing to add
        is_known = rollout is not None and (
            rollout.escalated and rollout.status is RolloutStatus.TRAFFIC_STOPPED
        )
        is_watching = is_draining and not is_known
        return is_judging or is_watching or any(w.is_dirty for w in self.windows)


def unknown_from(fences: Mapping[str, int], source: Source) -> int | None:
    """Offset of the first message of a stretch that was not applied before; ``None`` if all were.

    After a crash messages are read again, and may be cut into other stretches than before: of such
    a stretch the beginning is known.

    Args:
        fences: ``topic/partition`` to the last offset that was applied.
        source: the stretch.
    """
    fence = fences.get(source.place, -1)
    return None if source.offset <= fence else max(source.start, fence + 1)


def late_records(state: ServiceState, partial: Partial) -> int:
    """How many records of a partial come after their tick was judged; ask before applying it."""
    late = (cell for cell in partial.cells if cell.tick + TICK_MS <= state.judged_to)
    return sum(map(events_in, late))


def apply_partial(
    state: ServiceState, partial: Partial, policy: Policy, *, processed_time: int
) -> list[Output]:
    """Add one partial (or heartbeat) and look wherever a tick is finished by it.

    Args:
        state: changed in place.
        partial: not applied before (see ``unknown_from``).
        policy: of this service.
        processed_time: epoch milliseconds, stamped on verdicts and decisions.

    Returns:
        Windows, verdicts and decisions to publish, in order.
    """
    state.version += 1
    if partial.source is None:
        return _versioned(state, _apply_heartbeat(state, partial, policy, processed_time))
    state.fences[partial.source.place] = partial.source.offset
    state.heard_at = processed_time
    wanted = {event_of(name) for metric in policy.metrics for name in (metric.of, metric.bad)}
    windows = {(w.start, w.release, w.arm): w for w in state.windows}
    state.groups.name_templates(partial.cells)
    for cell in partial.cells:
        _fold_release(state, cell)
        state.labels.fold(cell, wanted)
        state.groups.note(cell, state.labels)
        _add_cell(state, cell, policy)
        _window_of(state, windows, cell, partial).tally.add_counts(cell)
    _forget_silent_agents(state)
    if policy.autodetect and not _has_open_rollout(state):
        _autodetect(state, policy)
    if state.rollout and not state.rollout.baseline:
        state.rollout.baseline = _busiest_release(state, policy, besides=state.rollout.canary)
    judged_before = state.judged_to
    outputs = list(_judge(state, _closed_to(state, policy), processed_time))
    if state.judged_to > judged_before:
        outputs.extend(_written_windows(state, policy))
    return _versioned(state, outputs)


def apply_command(
    state: ServiceState, command: RolloutCommand, policy: Policy, *, processed_time: int
) -> list[Output]:
    """Open or end a rollout on request; the same command id twice is one request."""
    if command.id in state.commands:
        return []
    state.version += 1
    state.commands = [*state.commands[1 - _COMMANDS_REMEMBERED :], command.id]
    outputs: list[Output] = []
    if _has_open_rollout(state) and state.rollout is not None:
        is_abort = command.action is RolloutCommandAction.ABORT
        if not is_abort and command.canary == state.rollout.canary:
            return []
        reason = command.reason or ("Aborted." if is_abort else f"Replaced by {command.canary}.")
        outputs.extend(
            rollouts.last_words(
                state.rollout,
                reason=reason,
                processed_time=processed_time,
                title=state.groups.title,
            )
        )
    if command.action is RolloutCommandAction.START:
        baseline = command.baseline or _busiest_release(state, policy, besides=command.canary)
        opened_at = max(state.high_watermark, state.judged_to) or command.time
        _open(state, policy, canary=command.canary, baseline=baseline, opened_at=opened_at)
        outputs.extend(_look(state, processed_time))
    return _versioned(state, outputs)


def _versioned(state: ServiceState, outputs: list[Output]) -> list[Output]:
    for output in outputs:
        if not isinstance(output, Decision):
            output.version = state.version
        if isinstance(output, Verdict):
            output.folded = dict(state.labels.folded)
    return outputs


def _apply_heartbeat(
    state: ServiceState, partial: Partial, policy: Policy, processed_time: int
) -> list[Output]:
    """Nothing came for a while: every tick that is judged is finished, every window is written.

    Without a rollout ticks wait: what comes next may open one that begins with them.
    """
    end = 0
    if _has_open_rollout(state):
        if state.late:  # no tick will come that it could join
            state.ticks.setdefault(state.judged_to - TICK_MS, {})
        end = max((tick + TICK_MS for tick in state.ticks), default=0)
    silent_ms = partial.sent_at - state.heard_at
    outputs = list(_judge(state, end, processed_time))
    rollout = state.rollout
    is_silent = silent_ms >= policy.drain_after * 1000
    is_draining = rollout is not None and rollout.status.is_draining
    if rollout and is_draining and is_silent and rollouts.fall_silent(rollout, silent_ms):
        outputs.extend(_look(state, processed_time))
    outputs.extend(_written_windows(state, policy, flush=True))
    return outputs


# --- counting ----------------------------------------------------------------------------------


def _fold_release(state: ServiceState, cell: Cell) -> None:
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


def _forget_silent_agents(state: ServiceState) -> None:
    """Agents come and go with their machines; the watermark is of those that still speak."""
    if len(state.watermarks) > MAX_AGENTS:
        forget_idle(state.watermarks, state.high_watermark)
        for release in state.releases.values():
            forget_idle(release.agents, state.high_watermark)


def _add_cell(state: ServiceState, cell: Cell, policy: Policy) -> None:
    release = state.releases.get(cell.release)
    if release is None:
        release = ReleaseState(first_seen=cell.last, last_seen=cell.last)
        state.releases[cell.release] = release
    release.last_seen = max(release.last_seen, cell.last)
    release.agents[cell.agent] = max(release.agents.get(cell.agent, 0), cell.last)
    release.exposures += cell.counts.get(policy.metrics[0].of, 0)
    if cell.first_bad is not None:
        release.first_bad = min(cell.first_bad, release.first_bad or cell.first_bad)
    state.watermarks[cell.agent] = max(state.watermarks.get(cell.agent, 0), cell.last)
    if cell.tick + TICK_MS > state.judged_to:
        of_tick = state.ticks.setdefault(cell.tick, {})
        of_tick.setdefault(cell.release, Arm()).add_cell(cell)
    elif _counts_although_late(state, cell.tick):
        state.late.setdefault(cell.release, Arm()).add_cell(cell)
    if state.rollout is not None and state.rollout.has_late_reports:
        _add_to_cohorts(state.rollout, cell.tick, {cell.release: Arm.of_cells([cell])})


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


def _add_to_cohorts(rollout: RolloutState, tick: int, arms: dict[str, Arm]) -> None:
    """Metrics with late reports hear of everything at once, and sort it by its own time."""
    if tick + TICK_MS > rollout.opened_at and rollout.has_late_reports:
        canary, baseline = (arms.get(name, Arm()) for name in (rollout.canary, rollout.baseline))
        rollouts.add_cohort(rollout, tick, canary, baseline)


def _window_of(
    state: ServiceState, known: dict[_WindowKey, WindowState], cell: Cell, partial: Partial
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


def _written_windows(
    state: ServiceState, policy: Policy, *, flush: bool = False
) -> Iterator[Window]:
    """Windows that changed; those that are past their lateness leave the state.

    A record that comes even later opens a new part of its window; readers add the parts up.
    """
    keep_from = state.high_watermark - policy.lateness * 1000 - WINDOW_S * 1000
    kept = []
    for window in state.windows:
        is_over = window.start < keep_from
        if window.is_dirty and (flush or is_over or state.judged_to > window.start):
            window.is_dirty = False
            yield _window(state.service, window)
        if not is_over:
            kept.append(window)
    state.windows = kept


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


# --- looking -----------------------------------------------------------------------------------


def _closed_to(state: ServiceState, policy: Policy) -> int:
    """End of the last tick that both arms have passed, or whose lateness has run out."""
    by_lateness = state.high_watermark - round(policy.lateness * 1000)
    rollout = state.rollout
    if rollout is None or not rollout.status.is_open:
        return by_lateness
    passed = [_watermark(state, r, policy) for r in (rollout.canary, rollout.baseline)]
    return max(by_lateness, min(passed) - WATERMARK_SLACK_MS)


def _watermark(state: ServiceState, release: str, policy: Policy) -> int:
    """Event time up to which every agent that lately reported this release has reported it.

    Where an agent goes on with other releases, this one counts as silent a little behind them.
    """
    known = state.releases.get(release)
    if known is None:
        return 0
    since = state.high_watermark - policy.lateness * 1000
    live = [
        max(seen, state.watermarks[agent] - QUIET_SLACK_MS)
        for agent, seen in known.agents.items()
        if seen >= since
    ]
    return min(live, default=0)


def _judge(state: ServiceState, closed_to: int, processed_time: int) -> Iterator[Output]:
    """Take the ticks that are finished out of the state, in order, and look after each."""
    for tick in sorted(t for t in state.ticks if t + TICK_MS <= closed_to):
        arms = defaultdict(Arm, state.ticks.pop(tick))
        state.judged_to = max(state.judged_to, tick + TICK_MS)
        rollout = state.rollout
        end = tick + TICK_MS
        if rollout is None or not rollout.status.is_open or end <= rollout.opened_at:
            state.late.clear()
            continue
        names = (rollout.canary, rollout.baseline)
        for name in names:
            if late := state.late.pop(name, None):
                arms[name].add(late)
        state.late.clear()
        if not any(name in arms for name in names) and not rollout.status.is_draining:
            continue
        canary, baseline = (arms[name] for name in names)
        others = (arm for name, arm in arms.items() if name not in names)
        elsewhere = sum(rollouts.exposures_of(rollout.policy, arm) for arm in others)
        rollouts.add_tick(rollout, end=end, canary=canary, baseline=baseline, elsewhere=elsewhere)
        _note_first_bad(state, rollout)
        yield from _look(state, processed_time)


def _look(state: ServiceState, processed_time: int) -> Iterator[Output]:
    rollout = state.rollout
    if rollout is None:
        return
    found = rollouts.look(rollout, state.groups.title)
    yield from rollouts.decide(rollout, found, processed_time=processed_time)


def _note_first_bad(state: ServiceState, rollout: RolloutState) -> None:
    known = state.releases.get(rollout.canary)
    if known and known.first_bad is not None and known.first_bad < rollout.judged_to:
        rollout.first_bad_event_at = known.first_bad


# --- opening -----------------------------------------------------------------------------------


def _has_open_rollout(state: ServiceState) -> bool:
    return state.rollout is not None and state.rollout.status.is_open


def _autodetect(state: ServiceState, policy: Policy) -> None:
    """A release never seen before, beside one that is known and busy, is a canary."""
    if state.service == OTHER:
        return
    baseline = _busiest_release(state, policy)
    known = state.releases.get(baseline)
    if known is None or known.exposures < policy.min_exposures:
        return
    for name, release in state.releases.items():
        is_new = not release.was_judged and (
            release.first_seen >= known.first_seen + KNOWN_AFTER_MS
        )
        was_last = state.rollout is not None and state.rollout.canary == name
        if name not in {baseline, OTHER} and is_new and not was_last:
            opened_at = release.first_seen
            _open(state, policy, canary=name, baseline=baseline, opened_at=opened_at)
            return


def _busiest_release(state: ServiceState, policy: Policy, besides: str = "") -> str:
    """The release with the most exposures of late (of all time, where there are none of late)."""
    lately: dict[str, int] = defaultdict(int)
    for window in state.windows:
        lately[window.release] += window.tally.counts.get(policy.metrics[0].of, 0)
    of_all_time = {name: release.exposures for name, release in state.releases.items()}
    for exposures in (lately, of_all_time):
        candidates = {
            name: count
            for name, count in exposures.items()
            if name not in {besides, OTHER} and count
        }
        if candidates:
            return max(candidates, key=lambda name: candidates[name])
    return ""


def _open(
    state: ServiceState, policy: Policy, *, canary: str, baseline: str, opened_at: int
) -> None:
    state.rollout = rollouts.open_rollout(
        policy,
        service=state.service,
        canary=canary,
        baseline=baseline,
        opened_at=opened_at,
        known=list(state.groups.before(opened_at - opened_at % TICK_MS)),
    )
    for tick, arms in state.ticks.items():
        _add_to_cohorts(state.rollout, tick, arms)
    if known := state.releases.get(canary):
        known.was_judged = True
        if known.first_bad is not None and known.first_bad < opened_at - TICK_MS:
            known.first_bad = None  # it was bad before this rollout, not because of it
