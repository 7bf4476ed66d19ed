"""From the stored windows of a rollout to its evidence again: the verdict can be checked.

Every verdict holds the windows that its look added. Added up in order by the judge's own functions
they give the last verdict's evidence to the last digit, whatever crashed in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from contracts.policy import Metric, Policy
from contracts.results import MetricKind, MetricVerdict, Verdict
from streams.judge import combine, distribution, groups, ratio
from streams.judge.metric import MetricState, apply

_LN10 = math.log(10)


class Audited(msgspec.Struct, kw_only=True):
    """Evidence as it was stored and as it is computed again, as log10; ``name`` is the metric's."""

    name: str
    stored: float
    recomputed: float
    windows: int

    @property
    def agrees(self) -> bool:
        """Whether both are the same number."""
        return self.stored == self.recomputed


ROLLOUT = "(rollout)"
"""Name of the row with the evidence of all metrics together."""


def audit(policy: Policy, verdicts: Sequence[Verdict]) -> list[Audited]:
    """Compute the last verdict's evidence again.

    Args:
        policy: the one that the rollout was opened with.
        verdicts: every look of one rollout, each once, in order of time; at least one.

    Returns:
        A row for each metric, and one for all together.
    """
    last = verdicts[-1]
    rows, weights, evidence = [], [], []
    for number, metric in enumerate(policy.metrics):
        state = MetricState.new(
            metric, policy, _known(metric, [v.metrics[number] for v in verdicts])
        )
        count = 0
        for verdict in verdicts:
            windows = verdict.metrics[number].windows
            apply(state, metric, windows)
            count += len(windows)
        stored = last.metrics[number]
        found = _log_evidence(state, metric.kind, stored.tolerance or 0.0)
        rows.append(
            Audited(
                name=metric.name,
                stored=stored.evidence_log10,
                recomputed=found / _LN10,
                windows=count,
            )
        )
        if metric.critical:
            weights.append(metric.weight)
            evidence.append(found / _LN10 * _LN10)
    rows.append(
        Audited(
            name=ROLLOUT,
            stored=last.evidence_log10,
            recomputed=combine.log_average(evidence, weights) / _LN10,
            windows=sum(row.windows for row in rows),
        )
    )
    return rows


def _known(metric: Metric, looks: Sequence[MetricVerdict]) -> list[str]:
    """The groups that were known before the rollout; those that never came have any name."""
    new = {name for look in looks for name in look.new_groups}
    seen = {name for look in looks for window in look.windows for name in window.groups}
    known = sorted(seen - new)
    silent = looks[-1].known_groups - len(known)
    return known + [f"{metric.bad}/silent/{n}" for n in range(silent)]


def _log_evidence(state: MetricState, kind: MetricKind, tolerance: float) -> float:
    if kind is MetricKind.RATIO:
        assert state.ratio is not None
        return ratio.look(state.ratio, alpha=0.05, tolerance=tolerance).log_evidence
    if state.groups is not None:
        return groups.look(state.groups, tolerance=tolerance).log_evidence
    assert state.distribution is not None
    return distribution.look(state.distribution, alpha=0.05, tolerance=tolerance).log_evidence
