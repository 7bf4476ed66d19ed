"""Groups of bad outcomes: does any crash group, or log template, come more often with the canary?

Idea. Every group is a ratio metric of its own. An average of their e-processes with weights that
sum to one is an e-process again, so thousands of groups are judged at once, and no correction for
their number comes on top: the weights are the correction. What a group may weigh is settled before
its first outcome tells which arm it fell on:

- half of the weight is shared equally by the groups that the service had before the rollout;
- the other half belongs to new groups in the order in which they come, the k-th new one gets
  ``1/(k(k+1))`` of it. The first crash that nobody has ever seen has a quarter of all weight, even
  beside a thousand known ones.

Formula. ``E = Σ_g w_g E_g + (1 − Σ_g w_g)``, ``E_g`` as in ``ratio.py`` with alternatives that go
far higher: what a release has brought into the world is not twice as frequent but new.

Assumptions. Those of ``ratio.py``. A session counts once, with the first group that it failed by.
Outcomes without a session come in bursts, so they are divided by the size of the burst that one of
them is found in (``Σn²/Σn`` over hosts and ticks): of a hundred equal lines that a host writes in
one second about one counts.

Guarantee. If no group is worse than its tolerance, ``P(E ever reaches 1/α) ≤ α``, whatever the
number of groups, known and new.

Not good at. Showing that no group got worse: promotion rests on the metrics that count all groups
together. Bursts that last for many seconds on one host; their tolerance is raised like a ratio's.

Units. Outcomes and exposures are counts; evidence is a natural logarithm.

References: Vovk & Wang, Annals of Statistics 2021 (averages of e-values); Foster & Stine, JRSS B
2008 (wealth for hypotheses in order of appearance); Wedderburn, Biometrika 1974 (overdispersion).

>>> state = new(tolerance=0.1, known=["crash/old"])
>>> window = {"canary_exposures": 1_000.0, "baseline_exposures": 9_000.0}
>>> for _ in range(5):
...     add(state, {"crash/old": (1.0, 9.0), "crash/new": (1.0, 0.0)}, **window)
>>> found = look(state)
>>> found.guilty, found.log_evidence > 5, round(found.weights["crash/new"], 2)
('crash/new', True, 0.25)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.judge import ratio
from streams.judge.ratio import Floats, Grid

WORSE_POINTS = 10
WORSE_SPAN = (0.3, 7.0)
"""Alternatives: log(r/r0), in geometric steps; the last is a thousand times as often."""
NULLS = (1.0, 1.5, 2.25, 3.4)
"""Null hypotheses, as multiples of 1 + tolerance, for a tolerance that hosts have raised."""
MAX_GROUPS = 2_000
"""Of one rollout; what comes beyond is judged together, as one group more."""
OTHER = "other"
_NUMBER_BYTES = 8


class GroupState(msgspec.Struct, array_like=True):
    """One group in one rollout."""

    number: int
    """0 for a group known before the rollout, else its place among the new ones, from 1."""
    log_likelihood: list[float]
    """ℓ at the ratios of ``grid_of(tolerance)``."""
    bad: list[float]
    """Outcomes of canary and baseline."""
    weighted: list[float]
    """Outcomes times the other arm's share of their window (Mantel–Haenszel)."""


class GroupsState(msgspec.Struct, kw_only=True):
    """All groups of one kind in one rollout."""

    tolerance: float
    known: bytes
    """64-bit numbers of the groups that the service had before the rollout, ascending."""
    groups: dict[str, GroupState] = {}
    canary_exposures: float = 0.0
    baseline_exposures: float = 0.0


class GroupsLook(NamedTuple):
    """What all groups say together, and each by itself."""

    log_evidence: float
    guilty: str | None
    """The group with most of the evidence; ``None`` if none speaks for harm."""
    logs: dict[str, float]
    """Log evidence of each group."""
    weights: dict[str, float]


def new(*, tolerance: float, known: Iterable[str]) -> GroupsState:
    """State before the first window.

    Args:
        tolerance: largest relative harm that is accepted, 0.1 is ten per cent more.
        known: groups that the service had before the rollout.
    """
    numbers = np.unique(np.array([_number(name) for name in known], dtype=np.uint64))
    return GroupsState(tolerance=tolerance, known=numbers.tobytes())


@lru_cache(maxsize=256)
def grid_of(tolerance: float) -> Grid:
    """Rate ratios of a group: the null hypotheses, and what it is compared with."""
    null = 1.0 + tolerance
    worse = null * np.exp(np.geomspace(*WORSE_SPAN, WORSE_POINTS))
    ratios = np.concatenate([[null], worse, null * np.array(NULLS)])
    ratios.setflags(write=False)  # shared by every caller of the cache
    end = 1 + WORSE_POINTS
    return Grid(
        ratios=ratios,
        null=0,
        harm=0,
        worse=slice(1, end),
        better=slice(0, 1),
        nulls=slice(end, len(ratios)),
        interval=slice(0, 0),
        worse_weights=np.ones(WORSE_POINTS),
        better_weights=np.ones(1),
    )


def add(
    state: GroupsState,
    outcomes: Mapping[str, tuple[float, float]],
    *,
    canary_exposures: float,
    baseline_exposures: float,
) -> None:
    """Add one window in which both arms were exposed, in place.

    Args:
        state: changed.
        outcomes: group to its outcomes in canary and baseline; a group without any is left out.
        canary_exposures: of the window, above 0.
        baseline_exposures: of the window, above 0.
    """
    state.canary_exposures += canary_exposures
    state.baseline_exposures += baseline_exposures
    if not outcomes:
        return
    bad = np.array(list(outcomes.values()), dtype=np.float64)
    share = canary_exposures / (canary_exposures + baseline_exposures)
    terms = ratio.log_likelihoods(
        grid_of(state.tolerance).ratios,
        canary_bad=bad[:, 0],
        baseline_bad=bad[:, 1],
        canary_exposures=canary_exposures,
        baseline_exposures=baseline_exposures,
    )
    weighted = bad * [1 - share, share]
    for name, *parts in zip(outcomes, terms, bad, weighted, strict=True):
        group = _group(state, name)
        group.log_likelihood, group.bad, group.weighted = (
            np.add(before, part).tolist()
            for before, part in zip(
                (group.log_likelihood, group.bad, group.weighted), parts, strict=True
            )
        )


def known_count(state: GroupsState) -> int:
    """How many groups were known before the rollout."""
    return len(state.known) // _NUMBER_BYTES


def is_known(state: GroupsState, name: str) -> bool:
    """Whether a group was known before the rollout."""
    numbers = np.frombuffer(state.known, dtype=np.uint64)
    at = int(np.searchsorted(numbers, np.uint64(_number(name))))
    return at < len(numbers) and int(numbers[at]) == _number(name)


def look(state: GroupsState, *, tolerance: float = 0.0) -> GroupsLook:
    """Evidence of all groups; a ``tolerance`` above the state's own raises what it is against."""
    if not state.groups:
        return GroupsLook(0.0, None, {}, {})
    likelihoods = np.array([group.log_likelihood for group in state.groups.values()])
    logs = evidence(likelihoods, state.tolerance, raised_to=tolerance)
    numbers = np.array([group.number for group in state.groups.values()])
    weights = weights_of(numbers, known=known_count(state))
    first = int((logs + np.log(weights)).argmax())
    names = list(state.groups)
    return GroupsLook(
        log_evidence=float(together(logs, weights)),
        guilty=names[first] if logs[first] > 0 else None,
        logs=dict(zip(names, logs.tolist(), strict=True)),
        weights=dict(zip(names, weights.tolist(), strict=True)),
    )


def estimate(state: GroupsState, name: str) -> float | None:
    """Rate ratio of one group; half an outcome is added to each arm where one has had none."""
    of_canary, of_baseline = state.groups[name].weighted
    if of_baseline > 0:
        return of_canary / of_baseline
    if not state.canary_exposures or not state.baseline_exposures:
        return None
    canary, baseline = state.groups[name].bad
    rate = (canary + 0.5) / state.canary_exposures
    return rate / ((baseline + 0.5) / state.baseline_exposures)


def evidence(log_likelihoods: Floats, tolerance: float, *, raised_to: float = 0.0) -> Floats:
    """Log evidence of each group: shape (..., g), ``ratios`` of ``grid_of``, to shape (...)."""
    raised = np.full(log_likelihoods.shape[:-1], max(tolerance, raised_to))
    return ratio.raised_evidence(log_likelihoods, grid_of(tolerance), raised)


def weights_of(numbers: npt.NDArray[np.int64], *, known: int) -> Floats:
    """Weight of each group; those of all groups that can ever come sum to one.

    Args:
        numbers: as ``GroupState.number``, any shape.
        known: how many groups were known before the rollout.
    """
    places = numbers.astype(np.float64)
    of_new = (0.5 if known else 1.0) / np.maximum(places * (places + 1), 1.0)
    return np.where(numbers > 0, of_new, 0.5 / max(known, 1))


def together(logs: Floats, weights: Floats) -> Floats:
    """Log evidence of all groups: what they do not weigh stays as it was before the rollout.

    Args:
        logs: log evidence of each group, shape (..., n).
        weights: of each, shape (..., n), their sum at most one.

    Returns:
        Shape (...).
    """
    weighted = logs + np.log(weights)
    rest = np.maximum(1.0 - weights.sum(axis=-1), 0.0)
    highest = np.maximum(weighted.max(axis=-1), 0.0)
    of_groups = np.exp(weighted - highest[..., None]).sum(axis=-1)
    result: Floats = highest + np.log(of_groups + rest * np.exp(-highest))
    return result


def _group(state: GroupsState, name: str) -> GroupState:
    if name not in state.groups and len(state.groups) >= MAX_GROUPS:
        name = OTHER
    group = state.groups.get(name)
    if group is None:
        is_new = not is_known(state, name)
        number = is_new * (1 + sum(one.number > 0 for one in state.groups.values()))
        nothing = [0.0] * len(grid_of(state.tolerance).ratios)
        group = state.groups[name] = GroupState(number, nothing, [0.0, 0.0], [0.0, 0.0])
    return group


def _number(name: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(name.encode(), digest_size=_NUMBER_BYTES).digest(), "little"
    )
