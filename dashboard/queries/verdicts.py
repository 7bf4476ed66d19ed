"""Verdicts: every look of the judge at one rollout, thinned to what a plot can show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import VERDICTS
from contracts.results import Verdict
from dashboard.queries.elastic import all_of, between, newest_first, search, step_for
from dashboard.queries.rollouts import read_verdicts

MOST_LOOKS = 360

LOOK_COLUMNS = {
    "time": "int64",
    "evidence_log10": "float64",
    "promotion_log10": "float64",
    "share": "float64",
    "outcome": "str",
    "status": "str",
    "phase": "str",
}
METRIC_COLUMNS = {
    "time": "int64",
    "metric": "str",
    "estimate": "float64",
    "lower": "float64",
    "upper": "float64",
    "evidence_log10": "float64",
    "exposures_canary": "float64",
    "exposures_baseline": "float64",
    "bad_canary": "float64",
    "bad_baseline": "float64",
}


def step_s(start_ms: int, end_ms: int) -> int:
    """Seconds of each step, so that ``MOST_LOOKS`` of them reach from the one time to the other."""
    return step_for(end_ms - start_ms, buckets=MOST_LOOKS)


def fetch_looks(
    client: Elasticsearch, rollout: str, start_ms: int, end_ms: int, step: int
) -> list[Verdict]:
    """The last look of every step (seconds) between two times, both included, ascending.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    if end_ms <= start_ms:
        return []
    evidence_only = {"excludes": ["metrics.windows", "metrics.new_groups"]}
    last = {"top_hits": {"size": 1, "sort": newest_first(), "_source": evidence_only}}
    answer = search(
        client,
        VERDICTS,
        query=all_of({"term": {"rollout": rollout}}, between(start_ms, end_ms + 1)),
        aggs={
            "steps": {
                "date_histogram": {
                    "field": "@timestamp",
                    "fixed_interval": f"{step}s",
                    "min_doc_count": 1,
                },
                "aggs": {"last": last},
            }
        },
    )
    return read_verdicts(_last_of_each_step(answer))


def _last_of_each_step(answer: dict[str, Any]) -> list[dict[str, Any]]:
    buckets = answer.get("aggregations", {}).get("steps", {}).get("buckets", [])
    return [b["last"]["hits"]["hits"][0]["_source"] for b in buckets]


def looks_frame(looks: list[Verdict]) -> pd.DataFrame:
    """One row per look; columns and types of ``LOOK_COLUMNS``, times in epoch milliseconds."""
    rows = [
        {
            "time": v.time,
            "evidence_log10": v.evidence_log10,
            "promotion_log10": v.promotion_log10,
            "share": v.share,
            "outcome": v.outcome.value,
            "status": v.status.value,
            "phase": v.phase,
        }
        for v in looks
    ]
    return pd.DataFrame(rows, columns=list(LOOK_COLUMNS)).astype(LOOK_COLUMNS)


def metrics_frame(looks: list[Verdict]) -> pd.DataFrame:
    """One row per look and metric; columns and types of ``METRIC_COLUMNS``, NaN for None."""
    rows = [
        {
            "time": v.time,
            "metric": m.name,
            "estimate": _finite(m.relative_risk.estimate),
            "lower": _finite(m.relative_risk.lower),
            "upper": _finite(m.relative_risk.upper),
            "evidence_log10": m.evidence_log10,
            "exposures_canary": m.exposures.canary,
            "exposures_baseline": m.exposures.baseline,
            "bad_canary": m.bad.canary,
            "bad_baseline": m.bad.baseline,
        }
        for v in looks
        for m in v.metrics
    ]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS)).astype(METRIC_COLUMNS)


def _finite(value: float | None) -> float:
    return value if value is not None and np.isfinite(value) else np.nan
