"""A decision in words: what was found, what it was compared with, and where the records are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from coalmine.api.bodies import Explanation
from contracts import indices
from contracts.results import (
    Contributor,
    Decision,
    Delivery,
    MetricKind,
    MetricVerdict,
    RelativeRisk,
    Verdict,
)

_BEFORE_MS = 60_000
"""Of the rollout's beginning: what the baseline did before is worth a look."""


class Query(msgspec.Struct, frozen=True):
    """One search in Elasticsearch."""

    shows: str
    index: str
    body: dict[str, Any]

    @property
    def curl(self) -> str:
        """The command that asks it."""
        body = shlex.quote(msgspec.json.encode(self.body).decode())
        path = f'"$COALMINE_ELASTICSEARCH/{self.index}/_search?ignore_unavailable=true"'
        return f"curl -s {path} -H 'content-type: application/json' -d {body}"


class Row(NamedTuple):
    """A name and what is to be said of it."""

    name: str
    text: str


def queries(found: Explanation) -> list[Query]:
    """The searches that show the records behind a decision, the most telling first."""
    decision, verdict = found.decision, found.verdict
    opened_at = verdict.opened_at if verdict else decision.time
    span = {"range": {"@timestamp": {"gte": opened_at - _BEFORE_MS, "lte": decision.time}}}
    service = {"term": {"service.name": decision.service}}
    canary = {"term": {"service.version": decision.canary}}
    both = {"terms": {"service.version": [decision.canary, decision.baseline]}}
    made = [*_of_group(decision, [service, span])]
    made += [
        _query("error lines of the canary", indices.LOGS, [service, canary, span, _ERRORS]),
        _query("its windows, and the baseline's", indices.WINDOWS, [service, both, span]),
        _query(
            "every look, with its evidence",
            indices.VERDICTS,
            [{"term": {"rollout": decision.rollout}}],
        ),
        _query("attempts to deliver it", indices.DELIVERIES, [{"term": {"decision": decision.id}}]),
    ]
    return made


_ERRORS = {"terms": {"severity": ["error", "ERROR", "critical", "CRITICAL", "fatal", "FATAL"]}}


def _of_group(decision: Decision, clauses: list[dict[str, Any]]) -> Iterator[Query]:
    group = decision.guilty_group.group if decision.guilty_group else ""
    kind, _, identity = group.partition("/")
    if kind == "crash":
        wanted = {"term": {"fingerprint": identity}}
        yield _query("the crashes of the guilty group", indices.CRASH_GROUPS, [*clauses, wanted])


def _query(shows: str, index: indices.Index, clauses: list[dict[str, Any]]) -> Query:
    body = {
        "query": {"bool": {"filter": clauses}},
        "sort": [{"@timestamp": "desc"}],
        "size": 100,
    }
    return Query(shows, index.pattern, body)


def summary(found: Explanation) -> list[Row]:
    """The decision itself, line by line."""
    decision, verdict = found.decision, found.verdict
    about = f"{decision.canary} beside {decision.baseline or 'nothing'}"
    if decision.flag:
        about = f"the flag {decision.flag}: {about}"
    rows = [
        Row("decision", decision.id),
        Row("what", f"{decision.action} in phase {decision.phase} of {decision.service}, {about}"),
        Row("why", decision.reason),
        Row("decided", f"{_when(decision.time)} event time, {_when(decision.processed_time)} here"),
        Row("evidence", _evidence(decision, verdict)),
        Row("relative risk", _risk(decision.relative_risk)),
        Row("guilty", _guilty(decision.guilty_metric, decision.guilty_group)),
        Row("from now on", _from_now_on(decision)),
        Row("asked for by", decision.requested_by),
        Row("not told", decision.undelivered_to),
        Row("policy", decision.policy_hash),
    ]
    if verdict is not None:
        rows += [
            Row("rollout now", f"{verdict.status} in phase {verdict.phase}: {verdict.reason}"),
            Row("held", verdict.held_because),
            Row("promotion", f"{verdict.promotion_log10:.2f} of {verdict.promote_at_log10:.2f}"),
            Row("still needed", _needed(verdict)),
        ]
    return [row for row in rows if row.text]


METRIC_COLUMNS = [
    "metric", "outcome", "risk", "lower", "upper", "evidence", "canary", "baseline", "tolerance",
]  # fmt: skip


def metric_rows(verdict: Verdict) -> list[list[str]]:
    """Each metric's numbers, the guilty one first."""
    ordered = sorted(verdict.metrics, key=lambda m: m.name != verdict.guilty_metric)
    return [_metric_row(metric) for metric in ordered]


def _metric_row(metric: MetricVerdict) -> list[str]:
    risk = metric.relative_risk
    arms = [(metric.bad.canary, metric.exposures.canary)]
    arms.append((metric.bad.baseline, metric.exposures.baseline))
    is_values = metric.kind is MetricKind.DISTRIBUTION
    canary, baseline = (
        f"median {bad:.4g} of {of:,.0f}" if is_values else f"{bad:,.0f} of {of:,.0f}"
        for bad, of in arms
    )
    return [
        metric.name + ("" if metric.is_critical else " (only watched)"),
        str(metric.outcome),
        _number(risk.estimate),
        _number(risk.lower),
        _number(risk.upper),
        f"{metric.evidence_log10:.2f}",
        canary,
        baseline,
        _number(metric.tolerance),
    ]


DELIVERY_COLUMNS = ["time", "endpoint", "attempt", "outcome", "status", "took", "reason"]


def delivery_rows(deliveries: Sequence[Delivery]) -> list[list[str]]:
    """Every attempt, in order of time."""
    return [
        [
            _when(one.time),
            one.endpoint,
            str(one.attempt),
            str(one.outcome),
            str(one.status or ""),
            f"{one.duration_ms:.0f} ms",
            one.reason,
        ]
        for one in deliveries
    ]


def _evidence(decision: Decision, verdict: Verdict | None) -> str:
    found = f"{decision.evidence_log10:.2f}"
    if verdict is None:
        return found
    alpha = 10**-verdict.rollback_at_log10
    return f"{found}, a rollback fires at {verdict.rollback_at_log10:.2f} (α = {alpha:.2g})"


def _guilty(metric: str | None, group: Contributor | None) -> str:
    if group is None:
        return metric or ""
    new = "never seen before, " if group.is_new else ""
    rates = f"{new}{group.canary:.3g} of the canary, {group.baseline:.3g} of the baseline"
    return f"{metric or 'a group'}: {group.name} ({group.group}; {rates})"


def _from_now_on(decision: Decision) -> str:
    words = []
    if decision.exposure is not None:
        words.append(f"{decision.exposure:.0%} of the traffic")
    if decision.hosts:
        words.append(f"hosts {', '.join(decision.hosts)}")
    if decision.users:
        words.append(f"users {decision.users}")
    if decision.next_phase:
        words.append(f"phase {decision.next_phase}")
    return ", ".join(words)


def _needed(verdict: Verdict) -> str:
    needed = verdict.needed
    if needed is None:
        return ""
    parts = [f"to see a harm of {needed.harm:.0%}"]
    if needed.exposures is not None:
        parts.append(f"{needed.exposures:,} more exposures")
    if needed.seconds is not None:
        parts.append(f"about {needed.seconds:,} s at today's traffic")
    return ": ".join([parts[0], ", ".join(parts[1:]) or "nobody can tell yet"])


def _risk(risk: RelativeRisk) -> str:
    if risk.estimate is None:
        return ""
    return f"×{risk.estimate:.2f} ({_number(risk.lower)} to {_number(risk.upper)})"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
