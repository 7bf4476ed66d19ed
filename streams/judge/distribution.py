"""Distribution metrics: did any part of the canary's latencies get slower, at any look?

Idea. Multiply, per value seen, a weight above 1 if it was slow on the canary or fast on the
baseline, and below 1 if the other way round, such that the product shrinks on average whenever
the canary is no slower. Weights that rise with the latency do that, whatever they are; the closer
they are to the true density ratio, the faster the product grows when the canary is slower.

Formula. Per window, C and B the counts per bin of canary and baseline, π = n_C/(n_C+n_B), g
nondecreasing over the bins and made from earlier windows only:
``log E += Σ C·log g − Σ (C+B)·log(πg + 1 − π)``; ``E`` is the average over several g.
A tolerance moves the canary's bins down first. For promotion the arms change places, the canary
moved down by the harm: evidence that it is not slower by the harm or more.
Derivation in ``docs/evidence.md``.

Assumptions. Within a window the values are independent draws of their arm's distribution. The
distribution may be another one in every window, if both arms share the change.

Guarantee. If in every window the canary divided by 1 + tolerance is stochastically not slower
than the baseline, ``P(E ever reaches 1/α) ≤ α``. If the canary divided by 1 + harm is
stochastically not faster, the promotion evidence reaches 1/β with probability at most β. The
interval of the factor holds at all times with probability 1 − α, for a canary that is the
baseline times a factor.

Not good at. Values that come in correlated bursts within one arm (one host's pause slows its
requests together): a tolerance for that, or fewer values (medians per session). Its first window
of data only teaches the weights.

Units. Bins of 2 %, so limits are rounded to whole bins, to the safe side: a tolerance of 10 % is
5 bins (10.4 %), a harm of 50 % is 20 bins (48.6 %). Evidence is a natural logarithm.

Related: Turner, Ly & Grünwald, arXiv 2106.02693; Shekhar & Ramdas 2023; Podkopaev & Ramdas 2023.

>>> from contracts.histogram import bins_of
>>> rng = np.random.default_rng(1)
>>> def window(scale):
...     values, counts = np.unique(bins_of(rng.lognormal(4, 0.5, 500) * scale), return_counts=True)
...     return SparseHistogram(values.tolist(), counts.tolist())
>>> state = new(tolerance=0.1, harm=0.5)
>>> for _ in range(5):
...     state = add(state, window(1.3), window(1.0))
>>> found = look(state, alpha=0.01)
>>> found.log_evidence > 4.7, 1.2 < found.estimate < 1.4, found.lower > 1.1
(True, True, True)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from contracts import histogram
from contracts.results import SparseHistogram
from streams.judge import bins, scale, templates

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SHIFTS = tuple(histogram.bins_in_factor(factor) for factor in (1.06, 1.2))
CONTAMINATIONS = tuple(
    (share, histogram.bins_in_factor(factor))
    for share, factor in ((0.002, 10.0), (0.01, 10.0), (0.05, 3.0))
)
BETTER_SHIFTS = (0.2, 0.5, 1.0)  # parts of the harm
MIN_PAST = 10  # values of each arm before weights are made
REFRESH = 1.25  # weights are made anew when an arm's past has grown by this factor


class DistributionState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the past: four histograms and some dozens of numbers."""

    tolerance: float
    harm: float
    canary: SparseHistogram
    """All values so far; likewise ``baseline``."""
    baseline: SparseHistogram
    canary_past: SparseHistogram
    """The values that the present weights are made from; likewise ``baseline_past``."""
    baseline_past: SparseHistogram
    log_worse: list[float]
    """Log e-value of every guess of the rollback test; ``log_better``: of the promotion test."""
    log_better: list[float]
    log_above: list[list[float]]
    """Log e-values of the interval's lower end, see ``streams.judge.scale``."""
    log_below: list[list[float]]


class DistributionLook(NamedTuple):
    """What the windows so far say. ``None``: nothing yet, or the side is unbounded."""

    log_evidence: float
    log_promotion: float
    estimate: float | None
    """The canary's median divided by the baseline's."""
    lower: float | None
    upper: float | None
    median_canary: float | None
    median_baseline: float | None
    canary_count: int
    baseline_count: int


class _Weights(NamedTuple):
    """Log weights per bin; row k, column (bin − lowest)."""

    lowest: int
    worse: Floats
    better: Floats


def new(*, tolerance: float, harm: float) -> DistributionState:
    """State before the first window.

    Args:
        tolerance: largest relative slowdown that is accepted, 0.1 is ten per cent.
        harm: smallest slowdown that must not be promoted, above ``tolerance``.
    """
    if not 0 <= tolerance < harm:
        raise ValueError(f"0 <= tolerance < harm is needed, not {tolerance} and {harm}")
    return DistributionState(
        tolerance=tolerance,
        harm=harm,
        canary=bins.empty(),
        baseline=bins.empty(),
        canary_past=bins.empty(),
        baseline_past=bins.empty(),
        log_worse=[0.0] * (len(SHIFTS) + len(CONTAMINATIONS) + 1),
        log_better=[0.0] * (len(BETTER_SHIFTS) + 1),
        log_above=scale.start(),
        log_below=scale.start(),
    )


def add(
    state: DistributionState, canary: SparseHistogram, baseline: SparseHistogram
) -> DistributionState:
    """State after one window.

    A window without values of one arm teaches the weights and is no evidence; an empty one
    changes nothing.
    """
    seen = _with_evidence(state, canary, baseline)
    if not canary.bins and not baseline.bins:
        return seen
    return _with_past(
        msgspec.structs.replace(
            seen,
            canary=bins.plus(state.canary, canary),
            baseline=bins.plus(state.baseline, baseline),
        )
    )


def look(state: DistributionState, *, alpha: float, tolerance: float = 0.0) -> DistributionLook:
    """Evidence, promotion evidence, medians, and the interval of the factor between the arms.

    Args:
        state: what the windows so far left.
        alpha: the interval misses the true factor, ever, with at most this probability.
        tolerance: one above the state's own raises what the evidence is against.
    """
    log_evidence = _log_mean(state.log_worse)
    if tolerance > state.tolerance:
        log_evidence = min(
            log_evidence, scale.least_above(state.log_above, state.tolerance, tolerance)
        )
    median_canary = bins.quantile(state.canary, 0.5)
    median_baseline = bins.quantile(state.baseline, 0.5)
    lower, upper = scale.interval(state.log_above, state.log_below, alpha=alpha)
    return DistributionLook(
        log_evidence=log_evidence,
        log_promotion=_log_mean(state.log_better),
        estimate=median_canary / median_baseline if median_canary and median_baseline else None,
        lower=lower,
        upper=upper,
        median_canary=median_canary,
        median_baseline=median_baseline,
        canary_count=bins.total(state.canary),
        baseline_count=bins.total(state.baseline),
    )


def inverted(found: DistributionLook) -> DistributionLook:
    """The look of a metric that must not decrease, after its arms went in swapped."""
    return DistributionLook(
        log_evidence=found.log_evidence,
        log_promotion=found.log_promotion,
        estimate=1.0 / found.estimate if found.estimate else None,
        lower=1.0 / found.upper if found.upper else None,
        upper=1.0 / found.lower if found.lower else None,
        median_canary=found.median_baseline,
        median_baseline=found.median_canary,
        canary_count=found.baseline_count,
        baseline_count=found.canary_count,
    )


def log_factors(log_weights: Floats, suspect: Floats, reference: Floats, *, share: float) -> Floats:
    """Log factor of one window for each guess.

    Args:
        log_weights: nondecreasing over the bins, shape (k, b).
        suspect: counts of the arm that may be slower, shape (b,).
        reference: counts of the other arm, shape (b,).
        share: the suspect's share of all counts of the window, between 0 and 1.

    Returns:
        Shape (k,).
    """
    expected = np.log1p(share * np.expm1(log_weights))
    result: Floats = log_weights @ suspect - expected @ (suspect + reference)
    return result


def _with_evidence(
    state: DistributionState, canary: SparseHistogram, baseline: SparseHistogram
) -> DistributionState:
    if not canary.bins or not baseline.bins or not state.baseline_past.bins:
        return state
    weights = _weights_of(
        _key(state.canary_past), _key(state.baseline_past), state.tolerance, state.harm
    )
    c_bins, c_counts = bins.arrays(canary)
    b_bins, b_counts = bins.arrays(baseline)
    share = float(c_counts.sum() / (c_counts.sum() + b_counts.sum()))

    def looked_up(table: Floats, indices: Integers) -> Floats:
        picked: Floats = table[:, np.clip(indices - weights.lowest, 0, table.shape[1] - 1)]
        return picked

    def factors(table: Floats, *, moved: int, share: float, suspect_is_canary: bool) -> Floats:
        at = np.concatenate([np.maximum(c_bins - moved, histogram.LOWEST_BIN), b_bins])
        of_canary = np.concatenate([c_counts, np.zeros_like(b_counts)])
        of_baseline = np.concatenate([np.zeros_like(c_counts), b_counts])
        suspect, reference = (
            (of_canary, of_baseline) if suspect_is_canary else (of_baseline, of_canary)
        )
        return log_factors(looked_up(table, at), suspect, reference, share=share)

    worse = factors(
        weights.worse,
        moved=bins.bins_at_least(1 + state.tolerance),
        share=share,
        suspect_is_canary=True,
    )
    better = factors(
        weights.better,
        moved=bins.bins_at_most(1 + state.harm),
        share=1 - share,
        suspect_is_canary=False,
    )
    above, below = scale.log_factors(
        weights.worse[list(scale.ROWS)],
        weights.lowest,
        canary=(c_bins, c_counts),
        baseline=(b_bins, b_counts),
    )
    return msgspec.structs.replace(
        state,
        log_worse=(np.asarray(state.log_worse) + worse).tolist(),
        log_better=(np.asarray(state.log_better) + better).tolist(),
        log_above=(np.asarray(state.log_above) + above).tolist(),
        log_below=(np.asarray(state.log_below) + below).tolist(),
    )


def _with_past(state: DistributionState) -> DistributionState:
    """Make what was seen the past that weights are made from, when it has grown enough."""
    canary, baseline = bins.total(state.canary), bins.total(state.baseline)
    if min(canary, baseline) < MIN_PAST:
        return state
    grown = canary >= REFRESH * bins.total(state.canary_past) or baseline >= REFRESH * bins.total(
        state.baseline_past
    )
    if not grown:
        return state
    return msgspec.structs.replace(state, canary_past=state.canary, baseline_past=state.baseline)


_Key = tuple[tuple[int, ...], tuple[int, ...]]


def _key(counts: SparseHistogram) -> _Key:
    return tuple(counts.bins), tuple(counts.counts)


@lru_cache(maxsize=512)
def _weights_of(canary: _Key, baseline: _Key, tolerance: float, harm: float) -> _Weights:
    """Weights from the past: a pure function of it, so the state need not hold them."""
    accepted, harmful = bins.bins_at_least(1 + tolerance), bins.bins_at_most(1 + harm)
    lowest = min(canary[0][0], baseline[0][0]) - max(accepted, harmful)
    lowest = max(lowest, histogram.LOWEST_BIN)
    width = max(canary[0][-1], baseline[0][-1]) - lowest + 1 + templates.MAX_SHIFT

    def spread(counts: _Key, moved: int) -> Floats:
        at = np.maximum(np.asarray(counts[0]) - moved, lowest) - lowest
        return np.bincount(at, counts[1], minlength=width).astype(np.float64)

    return _Weights(
        lowest=lowest,
        worse=templates.log_weights(
            spread(baseline, 0),
            spread(canary, accepted),
            shifts=SHIFTS,
            contaminations=CONTAMINATIONS,
        ),
        better=templates.log_weights(
            spread(canary, harmful),
            spread(baseline, 0),
            shifts=[min(round(part * harmful), templates.MAX_SHIFT) for part in BETTER_SHIFTS],
            contaminations=(),
        ),
    )


def _log_mean(logs: list[float]) -> float:
    values = np.asarray(logs)
    highest = values.max()
    return float(highest + np.log(np.exp(values - highest).mean()))
