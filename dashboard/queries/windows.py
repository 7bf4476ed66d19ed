"""Windows: counts and histograms of both arms. Parts of a window add up, so everything sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import WINDOWS
from dashboard.queries.elastic import (
    Query,
    Source,
    all_of,
    between,
    newest_first,
    of_arm,
    of_arms,
    search,
    sources,
    step_for,
)

COUNTERS = ("request", "request.bad", "crash")
"""Counters that the page plots."""

MOST_BUCKETS = 240
MOST_HISTOGRAMS = 720
"""Newest window documents whose histograms are added up: an hour of two arms."""

COUNT_COLUMNS = {"time": "int64", "arm": "str", **dict.fromkeys(COUNTERS, "int64")}

Sparse = tuple[list[int], list[int]]
"""A histogram as windows store it: its bins, and the count of each."""

Histograms = dict[str, dict[int, int]]
"""Arm to histogram: bin of ``contracts.histogram`` to count."""


def bucket_s(start_ms: int, end_ms: int) -> int:
    """Seconds per bucket of ``fetch_counts``; never shorter than a storage window."""
    return step_for(end_ms - start_ms, buckets=MOST_BUCKETS, at_least_s=10)


def fetch_counts(
    client: Elasticsearch, service: str, arms: dict[str, str], start_ms: int, end_ms: int
) -> pd.DataFrame:
    """Counters of both arms over time.

    Args:
        client: Elasticsearch.
        service: name of the service.
        arms: release of each arm, by ``canary`` and ``baseline``.
        start_ms: first moment, epoch milliseconds.
        end_ms: first moment after.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step = bucket_s(start_ms, end_ms)
    sums = {name: {"sum": {"field": f"counts.{name}"}} for name in COUNTERS}
    filters = {arm: of_arm(name) for arm, name in arms.items()}
    answer = search(
        client,
        WINDOWS,
        query=_both(service, arms, start_ms, end_ms),
        aggs={
            "steps": {
                "date_histogram": {
                    "field": "@timestamp",
                    "fixed_interval": f"{step}s",
                    "min_doc_count": 1,
                },
                "aggs": {"arms": {"filters": {"filters": filters}, "aggs": sums}},
            }
        },
    )
    return counts_frame(answer)


def counts_frame(answer: dict[str, Any]) -> pd.DataFrame:
    """The aggregation of ``fetch_counts`` as rows: one per bucket and arm that has documents.

    Returns:
        Columns and types of ``COUNT_COLUMNS``; ``time`` is the bucket's start in epoch ms.
    """
    rows = [
        {
            "time": step["key"],
            "arm": arm,
            **{name: round(bucket[name]["value"] or 0) for name in COUNTERS},
        }
        for step in answer.get("aggregations", {}).get("steps", {}).get("buckets", [])
        for arm, bucket in step["arms"]["buckets"].items()
        if bucket["doc_count"]
    ]
    return pd.DataFrame(rows, columns=list(COUNT_COLUMNS)).astype(COUNT_COLUMNS)


def fetch_histograms(
    client: Elasticsearch,
    service: str,
    arms: dict[str, str],
    start_ms: int,
    end_ms: int,
    name: str = "request.duration_ms",
) -> Histograms:
    """Histograms of both arms over the newest windows, added up.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        WINDOWS,
        query=_both(service, arms, start_ms, end_ms),
        size=MOST_HISTOGRAMS,
        sort=newest_first(),
        fields=["service.version", "service*", "arm", "histograms*"],
    )
    return add_histograms(sources(answer), arms, name)


def fetch_spread_histograms(
    client: Elasticsearch,
    service: str,
    arms: dict[str, str],
    start_ms: int,
    end_ms: int,
    name: str = "request.duration_ms",
) -> Histograms:
    """As ``fetch_histograms``, but of windows from all over a longer stretch of time.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    step = step_for(end_ms - start_ms, buckets=MOST_BUCKETS, at_least_s=10)
    picked = {"top_hits": {"size": 1, "_source": ["histograms"]}}
    steps = {"field": "@timestamp", "fixed_interval": f"{step}s", "min_doc_count": 1}
    found: Histograms = {}
    for arm, named in arms.items():
        answer = search(
            client,
            WINDOWS,
            query=all_of(
                {"term": {"service.name": service}}, of_arm(named), between(start_ms, end_ms)
            ),
            aggs={"steps": {"date_histogram": steps, "aggs": {"picked": picked}}},
        )
        buckets = answer.get("aggregations", {}).get("steps", {}).get("buckets", [])
        documents = [b["picked"]["hits"]["hits"][0]["_source"] for b in buckets]
        told = [{**one, "service.version": named} for one in documents]
        found |= add_histograms(told, {arm: named}, name)
    return found


def add_histograms(documents: list[Source], arms: dict[str, str], name: str) -> Histograms:
    """Sum of one histogram over window documents, by arm; both arms are always present."""
    arm_of = {release: arm for arm, release in arms.items()}
    parts: dict[str, list[Sparse]] = {arm: [] for arm in arms}
    for document in documents:
        named = (str(document.get(field)) for field in ("arm", "service.version"))
        arm = next((arm_of[one] for one in named if one in arm_of), None)
        sparse = document.get("histograms", {}).get(name)
        if arm and sparse:
            parts[arm].append(sparse)
    return {arm: added(sparse) for arm, sparse in parts.items()}


def added(parts: list[Sparse]) -> dict[int, int]:
    """Sum of sparse histograms.

    Raises:
        ValueError: one has not as many counts as bins.

    >>> added([([3, 5], [1, 2]), ([5], [4])])
    {3: 1, 5: 6}
    """
    if not parts:
        return {}
    if any(len(bins) != len(counts) for bins, counts in parts):
        raise ValueError("a histogram has not as many counts as bins")
    bins = np.concatenate([np.asarray(one, np.int64) for one, _ in parts])
    counts = np.concatenate([np.asarray(one, np.int64) for _, one in parts])
    found, place = np.unique(bins, return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, place, counts)
    return dict(zip(found.tolist(), total.tolist(), strict=True))


def _both(service: str, arms: dict[str, str], start_ms: int, end_ms: int) -> Query:
    return all_of(
        {"term": {"service.name": service}},
        of_arms(arms.values()),
        between(start_ms, end_ms),
    )
