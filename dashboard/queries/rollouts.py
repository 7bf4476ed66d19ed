"""Rollouts: the latest verdict of each, for the list and for the head of a rollout's page."""

from __future__ import annotations

import msgspec
import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import ROLLOUTS, VERDICTS
from contracts.results import Verdict
from dashboard.queries.elastic import (
    Query,
    Source,
    all_of,
    newest_first,
    search,
    sources,
    step_for,
)
from dashboard.words import attention_rank

MOST_ROLLOUTS = 300
"""Newest rollouts shown in the list."""

MOST_TRENDS = 50
TREND_BUCKETS = 24
Trends = dict[str, list[float]]

COLUMNS = {
    "rollout": "str",
    "service": "str",
    "canary": "str",
    "baseline": "str",
    "phase": "str",
    "status": "str",
    "outcome": "str",
    "reason": "str",
    "evidence_log10": "float64",
    "rollback_at_log10": "float64",
    "guilty_metric": "str",
    "share": "float64",
    "exposure": "float64",
    "needed_s": "float64",
    "held_because": "str",
    "trend": "object",
    "opened_at": "int64",
    "time": "int64",
    "processed_time": "int64",
    "rank": "int64",
}


def fetch_rollouts(client: Elasticsearch) -> list[Verdict]:
    """The newest rollouts' latest verdicts.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(client, ROLLOUTS, size=MOST_ROLLOUTS, sort=newest_first("opened_at"))
    return read_verdicts(sources(answer))


def fetch_rollout(
    client: Elasticsearch, service: str, release: str, rollout: str | None
) -> Verdict | None:
    """The latest verdict of a release's newest rollout, or of the one named; None if unknown.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    conditions = [{"term": {"service.name": service}}, {"term": {"canary": release}}]
    if rollout:
        conditions.append({"term": {"rollout": rollout}})
    answer = search(
        client, ROLLOUTS, query=all_of(*conditions), size=1, sort=newest_first("opened_at")
    )
    found = read_verdicts(sources(answer))
    return found[0] if found else None


def read_verdicts(documents: list[Source]) -> list[Verdict]:
    """Documents as structs; one that this version cannot read is left out, not fatal."""
    verdicts = []
    for document in documents:
        try:
            verdicts.append(msgspec.convert(document, Verdict, strict=False))
        except msgspec.ValidationError:
            continue
    return verdicts


def fetch_trends(client: Elasticsearch, verdicts: list[Verdict]) -> Trends:
    """Evidence of harm over the life of each open rollout, at most ``MOST_TRENDS`` of them.

    Returns:
        By rollout, the share of the evidence that a rollback takes, 0 to 100, in up to
        ``TREND_BUCKETS`` stretches of time.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    drawn = [v for v in verdicts if v.status.is_open][:MOST_TRENDS]
    if not drawn:
        return {}
    answer = search(
        client,
        VERDICTS,
        query=all_of({"terms": {"rollout": [v.rollout for v in drawn]}}),
        aggs={str(number): _steps(verdict) for number, verdict in enumerate(drawn)},
    )
    found = answer.get("aggregations", {})
    return {
        v.rollout: [
            _towards(step["evidence"]["value"], v.rollback_at_log10)
            for step in found.get(str(number), {}).get("steps", {}).get("buckets", [])
        ]
        for number, v in enumerate(drawn)
    }


def _steps(verdict: Verdict) -> Query:
    step_s = step_for(verdict.time - verdict.opened_at, buckets=TREND_BUCKETS)
    steps = {"field": "@timestamp", "fixed_interval": f"{step_s}s", "min_doc_count": 1}
    return {
        "filter": {"term": {"rollout": verdict.rollout}},
        "aggs": {
            "steps": {
                "date_histogram": steps,
                "aggs": {"evidence": {"max": {"field": "evidence_log10"}}},
            }
        },
    }


def _towards(evidence: float | None, needed: float) -> float:
    return 0.0 if not evidence or needed <= 0 else round(100 * min(1, max(0, evidence / needed)))


def rollouts_frame(verdicts: list[Verdict], trends: Trends | None = None) -> pd.DataFrame:
    """One row per rollout, those that need a person first.

    Args:
        verdicts: the latest one of each rollout.
        trends: evidence over time by rollout, as ``fetch_trends`` gives it.

    Returns:
        Columns and types of ``COLUMNS``; ``share`` is NaN and ``guilty_metric`` empty where
        there is none; times in epoch milliseconds.
    """
    rows = [
        {
            "rollout": v.rollout,
            "service": v.service,
            "canary": v.canary,
            "baseline": v.baseline,
            "phase": v.phase,
            "status": v.status.value,
            "outcome": v.outcome.value,
            "reason": v.reason,
            "evidence_log10": v.evidence_log10,
            "rollback_at_log10": v.rollback_at_log10,
            "guilty_metric": v.guilty_metric or "",
            "share": v.share,
            "exposure": v.exposure,
            "needed_s": v.needed.seconds if v.needed and v.status.is_open else None,
            "held_because": v.held_because,
            "trend": (trends or {}).get(v.rollout, []),
            "opened_at": v.opened_at,
            "time": v.time,
            "processed_time": v.processed_time,
            "rank": attention_rank(v.status, v.outcome),
        }
        for v in verdicts
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["rank", "opened_at"], ascending=[True, False], ignore_index=True)
