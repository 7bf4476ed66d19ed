"""Decisions of one rollout: what had to be done, and why."""

from __future__ import annotations

import pandas as pd
from elasticsearch import Elasticsearch

from contracts.indices import DECISIONS
from dashboard.queries.elastic import Source, all_of, newest_first, search, sources

MOST_DECISIONS = 200

COLUMNS = {
    "time": "int64",
    "processed_time": "int64",
    "id": "str",
    "action": "str",
    "outcome": "str",
    "phase": "str",
    "reason": "str",
}


def fetch_decisions(client: Elasticsearch, rollout: str) -> pd.DataFrame:
    """The newest decisions of a rollout, oldest first.

    Raises:
        Unavailable: Elasticsearch did not answer.
    """
    answer = search(
        client,
        DECISIONS,
        query=all_of({"term": {"rollout": rollout}}),
        size=MOST_DECISIONS,
        sort=newest_first(),
    )
    return decisions_frame(sources(answer))


def decisions_frame(documents: list[Source]) -> pd.DataFrame:
    """One row per decision, ascending; columns and types of ``COLUMNS``, times in epoch ms."""
    rows = [{**d, "time": d["@timestamp"]} for d in documents]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["time", "processed_time"], ignore_index=True)
