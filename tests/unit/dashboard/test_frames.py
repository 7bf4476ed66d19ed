"""Documents as the indexer stores them become typed frames, with nothing lost or invented."""

from __future__ import annotations

import math

import pandas as pd

from contracts import indices
from contracts.results import Outcome, RolloutStatus
from dashboard.components.tables import rollout_rows
from dashboard.queries.crashes import crash_frame
from dashboard.queries.decisions import COLUMNS as DECISION_COLUMNS
from dashboard.queries.decisions import decisions_frame
from dashboard.queries.deliveries import deliveries_frame
from dashboard.queries.elastic import step_for
from dashboard.queries.reader import Freshness, RolloutList
from dashboard.queries.rollouts import COLUMNS, read_verdicts, rollouts_frame
from dashboard.queries.verdicts import looks_frame, metrics_frame
from dashboard.queries.windows import add_histograms, bucket_s, counts_frame
from tests.support.dashboard_seed import Documents, Story, bad_rollout, fleet

NOW = 1_795_435_200_000
ARMS = {"canary": "1.5.0", "baseline": "1.4.2"}


def _of(documents: Documents, index: indices.Index) -> list[dict[str, object]]:
    return [body for kind, _, body in documents if kind is index]


def test_rollouts_that_need_a_person_stand_first() -> None:
    """Held ones first, then those that run, then what ended; the newest first among equals."""
    frame = rollouts_frame(read_verdicts(_of(fleet(NOW), indices.ROLLOUTS)))

    services = frame["service"].tolist()
    assert services[0] == "payments"
    assert services.index("mailer") < services.index("search") < services.index("catalog")
    assert frame["status"].tolist()[-1] == RolloutStatus.PROMOTED
    assert {c: str(t) for c, t in frame.dtypes.items()} == {
        c: str(t) for c, t in pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS).dtypes.items()
    }


def test_unreadable_verdict_is_left_out() -> None:
    """A document of a later version does not take the whole page away."""
    good = _of(fleet(NOW), indices.ROLLOUTS)

    assert len(read_verdicts([*good, {"service.name": "x", "status": "dancing"}])) == len(good)


def test_looks_and_metrics_keep_every_value() -> None:
    """One row per look, one per look and metric, with unknown risks as NaN."""
    story = Story()
    story.traffic(20)

    looks, metrics = looks_frame(story.looks), metrics_frame(story.looks)

    assert looks["time"].tolist() == [v.time for v in story.looks]
    assert len(metrics) == sum(len(v.metrics) for v in story.looks)
    first = metrics.iloc[0]
    risk = story.looks[0].metrics[0].relative_risk
    assert first["metric"] == "error_rate"
    assert math.isnan(first["estimate"]) == (risk.estimate is None)


def test_parts_of_a_window_add_up() -> None:
    """Histograms of several documents of one arm are summed bin by bin; others are left out."""
    documents = [
        {"service.version": "1.5.0", "histograms": {"request.duration_ms": [[1, 2], [10, 5]]}},
        {"service.version": "1.5.0", "histograms": {"request.duration_ms": [[2], [7]]}},
        {"service.version": "1.4.2", "histograms": {}},
        {"service.version": "0.9", "histograms": {"request.duration_ms": [[1], [99]]}},
    ]

    total = add_histograms(documents, ARMS, "request.duration_ms")

    assert total == {"canary": {1: 10, 2: 12}, "baseline": {}}


def test_counts_leave_out_arms_without_documents() -> None:
    """A bucket in which an arm sent nothing gives no row of zeros for it."""
    sums = {"request": {"value": 5.0}, "request.bad": {"value": 1.0}, "crash": {"value": None}}
    buckets = {"canary": {"doc_count": 2, **sums}, "baseline": {"doc_count": 0, **sums}}
    answer = {"aggregations": {"steps": {"buckets": [{"key": NOW, "arms": {"buckets": buckets}}]}}}

    frame = counts_frame(answer)

    assert frame.to_dict("records") == [
        {"time": NOW, "arm": "canary", "request": 5, "request.bad": 1, "crash": 0}
    ]


def test_decisions_and_deliveries_are_in_order() -> None:
    """Both come oldest first; a delivery without an HTTP answer has no status."""
    story, documents = bad_rollout(NOW)
    late = story.deliveries(57, answers=(None,))

    decided = decisions_frame(_of(documents, indices.DECISIONS)[::-1])
    delivered = deliveries_frame(_of(documents + late, indices.DELIVERIES)[::-1])

    assert decided["action"].tolist() == ["rollback", "rollback_verified"]
    assert delivered["time"].is_monotonic_increasing
    assert delivered["status"].isna().sum() == 1


def test_nothing_gives_empty_typed_frames() -> None:
    """No document is an empty frame with its columns, not an error."""
    for frame in (
        rollouts_frame([]),
        looks_frame([]),
        metrics_frame([]),
        counts_frame({}),
        deliveries_frame([]),
        crash_frame([], {}),
    ):
        assert frame.empty
    assert list(decisions_frame([]).columns) == list(DECISION_COLUMNS)


def test_buckets_are_bounded() -> None:
    """However long a rollout lasts, a plot has a bounded number of points."""
    for span_s in (60, 3_600, 86_400, 30 * 86_400):
        assert span_s / step_for(span_s * 1000, buckets=360) <= 360
        assert bucket_s(NOW, NOW + span_s * 1000) >= 10


def test_outcomes_survive_the_store() -> None:
    """A verdict read back from its document is the verdict that was written."""
    _, documents = bad_rollout(NOW)

    verdict = read_verdicts(_of(documents, indices.ROLLOUTS)[-1:])[0]

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.status is RolloutStatus.ROLLED_BACK
    assert verdict.rollback_verified


def test_the_list_tells_when_the_judge_last_looked_at_anything_open() -> None:
    """Closed rollouts get no more looks: they say nothing about how far behind the page is."""
    frame = rollouts_frame(read_verdicts(_of(fleet(NOW), indices.ROLLOUTS)))
    is_open = frame["status"].isin(["running", "holding", "rolling_back"])
    assert RolloutList(frame, Freshness(NOW)).last_look_ms == frame[is_open]["processed_time"].max()
    assert RolloutList(frame[~is_open], Freshness(NOW)).last_look_ms is None
    assert RolloutList(None, Freshness(0, "away")).last_look_ms is None


def test_rows_of_the_list_tell_which_rollouts_are_open() -> None:
    """Those that run, are held, or are being rolled back."""
    frame = rollouts_frame(read_verdicts(_of(fleet(NOW), indices.ROLLOUTS)))
    is_open = frame["status"].isin(["running", "holding", "rolling_back"])
    assert [row["is_open"] for row in rollout_rows(frame)] == is_open.tolist()
    assert 0 < is_open.sum() < len(frame)
