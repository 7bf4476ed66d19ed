"""How the pipeline itself is: how new each kind of document is, and what was set aside."""

from __future__ import annotations

from typing import Any

import pandas as pd
from elasticsearch import Elasticsearch

from contracts import indices
from dashboard.queries.elastic import Source, all_of, between, newest_first, search, sources

MOST_REASONS = 50
MOST_LETTERS = 20
RECENT_MS = 300_000

KINDS = (
    (indices.WINDOWS, "counts of releases"),
    (indices.VERDICTS, "looks of the judge"),
    (indices.DECISIONS, "decisions"),
    (indices.ANSWERS, "answers to people"),
    (indices.DELIVERIES, "attempts to deliver"),
    (indices.CRASH_GROUPS, "sightings of crashes"),
    (indices.LOGS, "log lines"),
    (indices.HOSTS, "load of hosts"),
    (indices.DEADLETTERS, "records set aside"),
)
"""What is stored, and what it is to people."""

KIND_COLUMNS = {"kind": "str", "name": "str", "recent": "int64", "newest": "float64"}
LETTER_COLUMNS = {"stage": "str", "reason": "str", "count": "int64", "last": "int64"}
DELAY_COLUMNS = {"time": "int64", "delay_s": "float64", "last_s": "float64"}


def fetch_kinds(client: Elasticsearch, now_ms: int) -> pd.DataFrame:
    """Each kind of document: how many in the last five minutes, and the newest one's own time.

    Returns:
        Columns and types of ``KIND_COLUMNS``; ``newest`` in epoch ms, NaN where there is none.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    rows = []
    for index, words in KINDS:
        answer = search(
            client,
            index,
            aggs={
                "newest": {"max": {"field": "@timestamp"}},
                "recent": {"filter": between(now_ms - RECENT_MS)},
            },
        )
        found = answer.get("aggregations", {})
        rows.append(
            {
                "kind": index.name,
                "name": words,
                "recent": found.get("recent", {}).get("doc_count", 0),
                "newest": found.get("newest", {}).get("value"),
            }
        )
    return pd.DataFrame(rows, columns=list(KIND_COLUMNS)).astype(KIND_COLUMNS)


def fetch_delays(client: Elasticsearch, start_ms: int, end_ms: int, step_s: int) -> pd.DataFrame:
    """Seconds from the end of what was judged to the look at it, over time.

    Returns:
        Columns and types of ``DELAY_COLUMNS``: mean of each stretch, and its newest look.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    processed = {"field": "processed_time"}
    answer = search(
        client,
        indices.VERDICTS,
        query=all_of(between(start_ms, end_ms)),
        aggs={
            "steps": {
                "date_histogram": {
                    "field": "@timestamp",
                    "fixed_interval": f"{step_s}s",
                    "min_doc_count": 1,
                },
                "aggs": {
                    "looked": {"avg": processed},
                    "judged": {"avg": {"field": "@timestamp"}},
                    "last_look": {"max": processed},
                    "last": {"max": {"field": "@timestamp"}},
                },
            }
        },
    )
    return delays_frame(answer)


def delays_frame(answer: dict[str, Any]) -> pd.DataFrame:
    """The aggregation of ``fetch_delays`` as rows; columns and types of ``DELAY_COLUMNS``."""
    rows = [
        {
            "time": step["key"],
            "delay_s": (step["looked"]["value"] - step["judged"]["value"]) / 1000,
            "last_s": (step["last_look"]["value"] - step["last"]["value"]) / 1000,
        }
        for step in answer.get("aggregations", {}).get("steps", {}).get("buckets", [])
        if step["looked"]["value"] is not None
    ]
    return pd.DataFrame(rows, columns=list(DELAY_COLUMNS)).astype(DELAY_COLUMNS)


def fetch_dead_letters(
    client: Elasticsearch, start_ms: int, end_ms: int
) -> tuple[pd.DataFrame, list[Source]]:
    """What was set aside between two moments, by stage and reason; and the newest letters.

    Returns:
        Columns and types of ``LETTER_COLUMNS``, the most frequent first; documents.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        indices.DEADLETTERS,
        query=all_of(between(start_ms, end_ms)),
        size=MOST_LETTERS,
        sort=newest_first(),
        fields=["@timestamp", "stage", "reason", "detail", "origin", "service*", "replayed_at"],
        aggs={
            "stages": {
                "terms": {"field": "stage", "size": MOST_REASONS},
                "aggs": {
                    "reasons": {
                        "terms": {"field": "reason", "size": MOST_REASONS},
                        "aggs": {"last": {"max": {"field": "@timestamp"}}},
                    }
                },
            }
        },
    )
    return letters_frame(answer), sources(answer)


def letters_frame(answer: dict[str, Any]) -> pd.DataFrame:
    """The aggregation of ``fetch_dead_letters`` as rows, the most frequent first."""
    rows = [
        {
            "stage": stage["key"],
            "reason": reason["key"],
            "count": reason["doc_count"],
            "last": int(reason["last"]["value"]),
        }
        for stage in answer.get("aggregations", {}).get("stages", {}).get("buckets", [])
        for reason in stage["reasons"]["buckets"]
    ]
    frame = pd.DataFrame(rows, columns=list(LETTER_COLUMNS)).astype(LETTER_COLUMNS)
    return frame.sort_values("count", ascending=False, ignore_index=True)
