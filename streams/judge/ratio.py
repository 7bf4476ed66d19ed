"""Ratio metrics: is the canary's rate of bad outcomes higher than the baseline's, at any look?

Idea. Of the bad outcomes of one window, how many fell on the canary? If the canary has a share π
of the window's exposures and its rate is r times the baseline's, each of them fell on the canary
with probability θ(r) = rπ/(rπ+1−π). The baseline's rate has dropped out: it may drift, burst, or
be an outage of everything, as long as it is shared by both arms.

Formula. With S canary outcomes among N, ``ℓ(r) = Σ_windows S·log r − N·log(rπ + 1 − π)``:

- evidence that r > r0 = 1 + tolerance: ``E = Σ_j w_j exp(ℓ(r_j) − ℓ(r0))``, r_j above r0;
- evidence that r < r1 = 1 + harm (promotion): the same with r1 and r_j below r1;
- interval: ``{r : ℓ(r) > log Σ_j w_j exp ℓ(r_j) − log(1/α)}`` with r_j on both sides of 1.

Assumptions. Bad outcomes are independent given the window's rates, Bernoulli or Poisson, and the
exposures are those of the same stretch of time in both arms. Close a window at a change of phase.

Guarantee. If r ≤ r0, ``P(E ever reaches 1/α) ≤ α``, whatever the baseline does, however the share
changes, however often one looks. If r ≥ r1 the promotion evidence reaches 1/β with probability at
most β. The interval covers r at all times at once with probability at least 1 − α.

Not good at. Outcomes that come in bursts within one arm (several crashes of one session): count
distinct sessions or users. A canary on few hosts that differ from the others: raise the tolerance.
A window where one arm has no exposures says nothing and is skipped: pool ticks until both have
some (see ``windows_needed`` in the forecast for what that costs).

Units. Exposures and bad outcomes are counts; evidence is a natural logarithm; r has no unit.

References: Lindon & Malek, NeurIPS 2022; Turner, Ly & Grünwald, arXiv 2106.02693; Ville 1939.

>>> state = new(tolerance=0.1, harm=0.5)
>>> window = {"canary_exposures": 1_000, "baseline_exposures": 9_000}
>>> for _ in range(30):
...     state = add(state, canary_bad=4, baseline_bad=9, **window)
>>> found = look(state, alpha=0.05)
>>> round(found.estimate, 2), found.lower > 2, found.upper < 8, found.log_evidence > 20
(4.0, True, True, True)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WORSE_POINTS = 12
WORSE_SPAN = (0.12, 2.5)
"""Alternatives of the rollback test: log(r_j/r0), in geometric steps. A guess that is wrong by a
part of log r wastes the same part of the information, so relative steps serve all r alike."""
WORSE_TILT = 0.5
"""Their weights rise with this power of log(r_j/r0): rare large harms have no time to waste."""
WORSE_DIP = (0.2, 0.5)
"""Alternatives between these have half of that weight: a harm of a quarter to two thirds has time,
one that is twice as bad gets what they give up."""
BETTER_POINTS = 12
BETTER_SPAN = (1.02, 4.0)
"""Alternatives of the promotion test, r1 divided by these."""
INTERVAL_POINTS = 61  # odd: r = 1 is one of them
NULL_POINTS = 16
NULL_SPAN = 3.0
"""Null hypotheses from r0 to this multiple of it, for a tolerance that hosts have raised."""
INTERVAL_MAX = 20.0
INTERVAL_CORE = 0.15  # in log r: the grid is finer than a tenth of |log r| + this


class Grid(NamedTuple):
    """Rate ratios at which the log likelihood is kept, and which of them serve what."""

    ratios: Floats
    null: int
    harm: int
    worse: slice
    better: slice
    nulls: slice
    interval: slice
    worse_weights: Floats
    better_weights: Floats


@lru_cache(maxsize=256)
def grid_of(tolerance: float, harm: float) -> Grid:
    """Grid of one pair of limits; r0 = 1 + tolerance and r1 = 1 + harm are points of it.

    >>> grid = grid_of(0.1, 0.5)
    >>> float(grid.ratios[grid.null]), float(grid.ratios[grid.harm]), len(grid.ratios)
    (1.1, 1.5, 103)
    """
    steps = np.geomspace(*WORSE_SPAN, WORSE_POINTS)
    worse = (1.0 + tolerance) * np.exp(steps)
    has_time = (steps > WORSE_DIP[0]) & (steps < WORSE_DIP[1])
    better = (1.0 + harm) / np.geomspace(*BETTER_SPAN, BETTER_POINTS)
    reach = np.arcsinh(np.log(INTERVAL_MAX) / INTERVAL_CORE)
    interval = np.exp(INTERVAL_CORE * np.sinh(np.linspace(-reach, reach, INTERVAL_POINTS)))
    nulls = (1.0 + tolerance) * np.geomspace(1.0, NULL_SPAN, NULL_POINTS)
    ratios = np.concatenate([[1.0 + tolerance, 1.0 + harm], worse, better, nulls, interval])
    ratios.setflags(write=False)  # shared by every caller of the cache
    first_better = 2 + WORSE_POINTS
    first_null = first_better + BETTER_POINTS
    first_interval = first_null + NULL_POINTS
    return Grid(
        ratios=ratios,
        null=0,
        harm=1,
        worse=slice(2, first_better),
        better=slice(first_better, first_null),
        nulls=slice(first_null, first_interval),
        interval=slice(first_interval, len(ratios)),
        worse_weights=steps**WORSE_TILT * np.where(has_time, 0.5, 1.0),
        better_weights=np.ones(BETTER_POINTS),
    )


class RatioState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the test needs to know of the past: about 1 kB, whatever was seen."""

    tolerance: float
    harm: float
    log_likelihood: list[float]
    """ℓ at the ratios of ``grid_of(tolerance, harm)``."""
    canary_bad: float = 0.0
    baseline_bad: float = 0.0
    canary_exposures: float = 0.0
    baseline_exposures: float = 0.0
    unmatched_bad: float = 0.0
    """Bad outcomes of windows in which an arm had no exposures: counted, but no evidence."""
    canary_weight: float = 0.0
    baseline_weight: float = 0.0
    """Mantel–Haenszel sums: bad outcomes times the other arm's share of their window."""


class RatioLook(NamedTuple):
    """What the windows so far say. ``None``: they say nothing, or the side is unbounded."""

    log_evidence: float
    log_promotion: float
    estimate: float | None
    lower: float | None
    upper: float | None


class Looks(NamedTuple):
    """The same for many rollouts at once, shape (...); NaN stands for ``None``."""

    log_evidence: Floats
    log_promotion: Floats
    lower: Floats
    upper: Floats


def new(*, tolerance: float, harm: float) -> RatioState:
    """State before the first window.

    Args:
        tolerance: largest relative harm that is accepted, 0.1 is ten per cent more.
        harm: smallest relative harm that must not be promoted, above ``tolerance``.
    """
    if not 0 <= tolerance < harm:
        raise ValueError(f"0 <= tolerance < harm is needed, not {tolerance} and {harm}")
    return RatioState(
        tolerance=tolerance,
        harm=harm,
        log_likelihood=[0.0] * len(grid_of(tolerance, harm).ratios),
    )


def log_likelihoods(
    ratios: Floats,
    *,
    canary_bad: npt.ArrayLike,
    baseline_bad: npt.ArrayLike,
    canary_exposures: npt.ArrayLike,
    baseline_exposures: npt.ArrayLike,
) -> Floats:
    """ℓ of single windows, for many rollouts and metrics at once.

    Args:
        ratios: shape (g,).
        canary_bad: counts, shape (...), as are the other three.
        baseline_bad: see above.
        canary_exposures: see above.
        baseline_exposures: see above.

    Returns:
        Shape (..., g); zeros where an arm has no exposures. Sums of windows are sums of these.
    """
    bad = np.asarray(canary_bad, dtype=np.float64)
    canary = np.asarray(canary_exposures, dtype=np.float64)
    baseline = np.asarray(baseline_exposures, dtype=np.float64)
    both = (canary > 0) & (baseline > 0)
    share = np.where(both, canary / np.maximum(canary + baseline, 1.0), 0.0)
    on_canary = np.where(both, bad, 0.0)
    on_either = np.where(both, bad + np.asarray(baseline_bad, dtype=np.float64), 0.0)
    expected = np.log1p(share[..., None] * (ratios - 1.0))
    result: Floats = on_canary[..., None] * np.log(ratios) - on_either[..., None] * expected
    return result


def add(
    state: RatioState,
    *,
    canary_bad: npt.ArrayLike,
    baseline_bad: npt.ArrayLike,
    canary_exposures: npt.ArrayLike,
    baseline_exposures: npt.ArrayLike,
) -> RatioState:
    """State after one window (four numbers) or several (four arrays of shape (w,)).

    An empty window changes nothing. More bad outcomes than exposures are a Poisson count and
    taken as they are. A window without exposures in one arm counts in the totals only.

    Raises:
        ValueError: a count is negative or not finite.
    """
    counts: Floats = np.stack(
        np.broadcast_arrays(
            *(
                np.atleast_1d(np.asarray(values, dtype=np.float64))
                for values in (canary_bad, baseline_bad, canary_exposures, baseline_exposures)
            )
        )
    )
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    bad_canary, bad_baseline, canary, baseline = counts
    both = (canary > 0) & (baseline > 0)
    log_likelihood = state.log_likelihood
    if bad_canary.any() or bad_baseline.any():  # exposures alone leave it as it is
        terms = log_likelihoods(
            grid_of(state.tolerance, state.harm).ratios,
            canary_bad=bad_canary,
            baseline_bad=bad_baseline,
            canary_exposures=canary,
            baseline_exposures=baseline,
        ).sum(axis=0)
        log_likelihood = (np.asarray(log_likelihood) + terms).tolist()
    share = np.where(both, canary / np.maximum(canary + baseline, 1.0), 0.0)
    total = counts.sum(axis=1)
    return RatioState(
        tolerance=state.tolerance,
        harm=state.harm,
        log_likelihood=log_likelihood,
        canary_bad=state.canary_bad + float(total[0]),
        baseline_bad=state.baseline_bad + float(total[1]),
        canary_exposures=state.canary_exposures + float(total[2]),
        baseline_exposures=state.baseline_exposures + float(total[3]),
        unmatched_bad=state.unmatched_bad + float((bad_canary + bad_baseline)[~both].sum()),
        canary_weight=state.canary_weight + float((bad_canary * (1 - share))[both].sum()),
        baseline_weight=state.baseline_weight + float((bad_baseline * share)[both].sum()),
    )


def merge(one: RatioState, other: RatioState) -> RatioState:
    """State of the windows of both; in whatever order, the sum is the same.

    Raises:
        ValueError: the states were made for different limits.
    """
    if (one.tolerance, one.harm) != (other.tolerance, other.harm):
        raise ValueError("states of different tolerance or harm do not add up")
    return RatioState(
        tolerance=one.tolerance,
        harm=one.harm,
        log_likelihood=[
            a + b for a, b in zip(one.log_likelihood, other.log_likelihood, strict=True)
        ],
        canary_bad=one.canary_bad + other.canary_bad,
        baseline_bad=one.baseline_bad + other.baseline_bad,
        canary_exposures=one.canary_exposures + other.canary_exposures,
        baseline_exposures=one.baseline_exposures + other.baseline_exposures,
        unmatched_bad=one.unmatched_bad + other.unmatched_bad,
        canary_weight=one.canary_weight + other.canary_weight,
        baseline_weight=one.baseline_weight + other.baseline_weight,
    )


def look(state: RatioState, *, alpha: float, tolerance: float = 0.0) -> RatioLook:
    """Evidence, promotion evidence, estimate, and the interval that holds at all times.

    Args:
        state: sufficient statistics of the windows so far.
        alpha: the interval misses the true ratio, ever, with at most this probability.
        tolerance: one above the state's own raises what the evidence is against.
    """
    found = _look(tuple(state.log_likelihood), state.tolerance, state.harm, alpha)
    if tolerance > state.tolerance:
        grid = grid_of(state.tolerance, state.harm)
        raised = raised_evidence(np.asarray(state.log_likelihood), grid, tolerance)
        found = found._replace(log_evidence=float(raised))
    if state.baseline_weight > 0:
        found = found._replace(estimate=state.canary_weight / state.baseline_weight)
    return found


@lru_cache(maxsize=1_024)  # ℓ stays as it is while nothing is bad, which is most of the time
def _look(
    log_likelihood: tuple[float, ...], tolerance: float, harm: float, alpha: float
) -> RatioLook:
    """The look against the state's own tolerance, without an estimate."""
    found = looks(np.asarray(log_likelihood), grid_of(tolerance, harm), alpha=alpha)
    return RatioLook(
        log_evidence=float(found.log_evidence),
        log_promotion=float(found.log_promotion),
        estimate=None,
        lower=_known(found.lower),
        upper=_known(found.upper),
    )


def looks(log_likelihood: Floats, grid: Grid, *, alpha: float) -> Looks:
    """The look of many rollouts or metrics at once.

    Args:
        log_likelihood: shape (..., g), summed over windows, at ``grid.ratios``.
        grid: the ratios, shape (g,).
        alpha: error of the interval.
    """
    lower, upper = interval(
        np.log(grid.ratios[grid.interval]), log_likelihood[..., grid.interval], alpha=alpha
    )
    return Looks(*evidence(log_likelihood, grid), lower=lower, upper=upper)


def evidence(log_likelihood: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """Log evidence and log promotion evidence of many at once, shape (..., g) to two of (...)."""
    null = log_likelihood[..., grid.null, None]
    harm = log_likelihood[..., grid.harm, None]
    return (
        _log_average(log_likelihood[..., grid.worse] - null, grid.worse_weights),
        _log_average(log_likelihood[..., grid.better] - harm, grid.better_weights),
    )


def raised_evidence(log_likelihood: Floats, grid: Grid, tolerance: npt.ArrayLike) -> Floats:
    """Log evidence against a tolerance that may be above the grid's own, for many at once.

    The least evidence against any null between the two. So it is valid for every true ratio that
    the raised tolerance covers, even if the tolerance was estimated from the same data: evidence
    against the one null just above that ratio bounds it.

    Args:
        log_likelihood: shape (..., g).
        grid: of the policy's tolerance.
        tolerance: raised ones, shape (...); rounded up to the grid's nulls, 8 % apart. Beyond the
            last null no evidence is left.

    Returns:
        Shape (...).
    """
    nulls = grid.ratios[grid.nulls]
    needed = np.asarray(tolerance, dtype=np.float64) + 1.0
    level = np.searchsorted(nulls, needed - 1e-9)
    least = evidence(log_likelihood, grid)[0]
    worse, log_worse = grid.ratios[grid.worse], log_likelihood[..., grid.worse]
    for number in range(1, min(int(level.max()), len(nulls) - 1) + 1):
        above = worse > nulls[number]
        null = log_likelihood[..., grid.nulls][..., number, None]
        found = _log_average(log_worse[..., above] - null, grid.worse_weights[above])
        least = np.where(level >= number, np.minimum(least, found), least)
    result: Floats = np.where(level < len(nulls), least, np.minimum(least, 0.0))
    return result


def interval(log_ratios: Floats, log_likelihood: Floats, *, alpha: float) -> tuple[Floats, Floats]:
    """Ratios that the data do not exclude; NaN for a side that is still unbounded.

    ℓ is concave in log r, so between grid points it lies below the chords of its neighbours
    extended: an end point found there is never inside the true one.

    Args:
        log_ratios: shape (g,), ascending.
        log_likelihood: shape (..., g).
        alpha: error.

    Returns:
        Lower and upper ends, shape (...).
    """
    level = _log_average(log_likelihood, np.ones(len(log_ratios))) + np.log(alpha)
    upper = _right_end(log_ratios, log_likelihood, level)
    lower = -_right_end(-log_ratios[::-1], log_likelihood[..., ::-1], level)
    return np.exp(lower), np.exp(upper)


def _right_end(x: Floats, values: Floats, level: Floats) -> Floats:
    """Where a concave function known at x has surely fallen to level; NaN if not by the end."""
    inside = values > level[..., None]
    last = len(x) - 1 - inside[..., ::-1].argmax(axis=-1)

    def crossing(start: npt.NDArray[np.intp]) -> Floats:
        """Where the straight line through the points start and start + 1 falls to level."""
        at = np.clip(start, 0, len(x) - 2)
        one = np.take_along_axis(values, at[..., None], axis=-1)[..., 0]
        two = np.take_along_axis(values, at[..., None] + 1, axis=-1)[..., 0]
        slope = (two - one) / (x[at + 1] - x[at])
        falls = (slope < 0) & (at == start)
        result: Floats = np.where(falls, x[at] + (level - one) / np.where(falls, slope, -1), np.inf)
        return result

    after = x[np.minimum(last + 1, len(x) - 1)]
    end = np.minimum(after, np.minimum(crossing(last - 1), crossing(last + 1)))
    return np.where(last == len(x) - 1, np.nan, np.maximum(end, x[last]))


def _log_average(logs: Floats, weights: Floats) -> Floats:
    """Log of the weighted average of exponentials, over the last axis, without overflow.

    Dividing by the sum of the weights here makes equal logs, as before the first window, exact.
    """
    highest = logs.max(axis=-1)
    total = (np.exp(logs - highest[..., None]) * weights).sum(axis=-1)
    result: Floats = highest + np.log(total / weights.sum())
    return result


def _known(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


def inverted(found: RatioLook) -> RatioLook:
    """The look of a metric that must not decrease, after its arms went in swapped.

    Evidence stays; estimate and interval are turned back into canary divided by baseline.
    """
    return found._replace(
        estimate=1.0 / found.estimate if found.estimate else None,
        lower=1.0 / found.upper if found.upper else None,
        upper=1.0 / found.lower if found.lower else None,
    )
