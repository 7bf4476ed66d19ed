"""A decision in words."""

from __future__ import annotations

import json
import shlex
from typing import Any

from coalmine.api.bodies import Explanation
from coalmine.explaining import delivery_rows, metric_rows, queries, summary
from contracts.results import DeliveryOutcome, MetricKind, Needed
from tests.support.results import decision, delivery, metric, regressed

FOUND = Explanation(decision(), regressed(), [delivery(1, outcome=DeliveryOutcome.RETRYING)])


def _said(**changes: Any) -> dict[str, str]:
    return dict(summary(Explanation(decision(**changes), regressed(), [])))


def test_the_numbers_and_their_thresholds_are_told() -> None:
    """Evidence beside what fires, the guilty metric and group, the policy, what is true now."""
    said = _said()
    assert said["evidence"] == "3.50, a rollback fires at 2.00 (α = 0.01)"
    assert said["relative risk"] == "×9.40 (2.20 to 31.00)"
    assert "ZeroDivisionError in discount (crash/5f0c; never seen before" in said["guilty"]
    assert (said["from now on"], said["policy"]) == ("0% of the traffic", "0123456789ab")
    assert "held" not in said


def test_who_overrode_the_evidence_is_told() -> None:
    """With the phase that it leads to."""
    said = _said(requested_by="alice", next_phase="all", exposure=1.0, hosts=["web-*"])
    assert said["asked for by"] == "alice"
    assert said["from now on"] == "100% of the traffic, hosts web-*, phase all"


def test_a_decision_whose_verdict_is_forgotten_is_told_all_the_same() -> None:
    """Nothing is invented."""
    said = dict(summary(Explanation(decision(), None, [])))
    assert said["evidence"] == "3.50"
    assert "rollout now" not in said


def test_what_is_still_needed_is_told() -> None:
    """In exposures and in time."""
    needed = Needed(harm=0.5, exposures=12_000, seconds=90)
    found = Explanation(decision(), regressed(needed=needed), [])
    expected = "to see a harm of 50%: 12,000 more exposures, about 90 s at today's traffic"
    assert dict(summary(found))["still needed"] == expected


def test_metrics_are_rows_the_guilty_one_first() -> None:
    """Counts of both arms; of a distribution the medians; what is only watched says so."""
    slow = metric(name="latency", kind=MetricKind.DISTRIBUTION, is_critical=False)
    rows = metric_rows(regressed(metrics=[slow, metric()]))
    assert [row[0] for row in rows] == ["error_rate", "latency (only watched)"]
    assert rows[0][6:8] == ["6 of 400", "50 of 4,000"]
    assert rows[1][6] == "median 6 of 400"


def test_attempts_are_rows() -> None:
    """With status and cause."""
    rows = delivery_rows([delivery(1, outcome=DeliveryOutcome.RETRYING, reason="http 503")])
    assert rows[0][1:4] == ["deploy-tool", "1", "retrying"]
    assert rows[0][-1] == "http 503"


def test_each_query_is_a_command_that_a_shell_takes() -> None:
    """Whatever stands in a name: the body is quoted, and is JSON."""
    evil = decision(service="it's; rm -rf $HOME")
    asking = queries(Explanation(evil, regressed(), []))
    assert next(query.index for query in asking) == "coalmine-crash-groups-*"
    for query in asking:
        words = shlex.split(query.curl)
        assert json.loads(words[-1]) == query.body
        assert words[2].startswith("$COALMINE_ELASTICSEARCH/coalmine-")
    assert len(queries(Explanation(decision(guilty_group=None), None, []))) == len(asking) - 1
