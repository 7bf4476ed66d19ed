"""Deliveries of one rollout: every attempt to tell an endpoint of a decision."""

from __future__ import annotations

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import DELIVERIES
from dashboard.queries.elastic import Source, all_of, newest_first, search, sources

MOST_DELIVERIES = 300

COLUMNS = {
    "time": "int64",
    "id": "str",
    "action": "str",
    "endpoint": "str",
    "url": "str",
    "attempt": "int64",
    "outcome": "str",
    "status": "float64",
    "reason": "str",
    "duration_ms": "float64",
    "is_circuit_open": "bool",
}


def fetch_deliveries(client: Elasticsearch, rollout: str) -> pd.DataFrame:
    """The newest attempts of a rollout, oldest first.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        DELIVERIES,
        query=all_of({"term": {"rollout": rollout}}),
        size=MOST_DELIVERIES,
        sort=newest_first(),
        fields=["@timestamp", *(c for c in COLUMNS if c != "time")],
    )
    return deliveries_frame(sources(answer))


def deliveries_frame(documents: list[Source]) -> pd.DataFrame:
    """One row per attempt, ascending; columns and types of ``COLUMNS``.

    ``time`` is in epoch milliseconds, ``status`` NaN where no HTTP answer came.
    """
    # a record of before circuits had a state does not have the field
    rows = [{"is_circuit_open": False, **d, "time": d["@timestamp"]} for d in documents]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["time", "attempt"], ignore_index=True)
