"""Views read from a real Elasticsearch hold what the indexer stored."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from contracts import indices
from contracts.clock import ManualClock, SystemClock
from contracts.settings import ElasticsearchSettings
from dashboard.queries.elastic import Unavailable
from dashboard.queries.reader import Reader
from dashboard.queries.rollouts import fetch_rollouts
from tests.support.dashboard_seed import Documents, Story, bad_rollout, install_templates, write

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def store(elasticsearch_settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """The run's Elasticsearch with the index templates in it."""
    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        yield client


@pytest.fixture(scope="module")
def told(store: Elasticsearch) -> tuple[Story, Documents]:
    """A rollout that was rolled back, stored from beginning to end."""
    opened_at = (int(time.time()) - 200) // 10 * 10_000
    story, documents = bad_rollout(opened_at, service=f"shop-{uuid.uuid4().hex[:8]}")
    write(store, documents)
    return story, documents


def test_view_holds_what_was_stored(store: Elasticsearch, told: tuple[Story, Documents]) -> None:
    """Looks, counters, histograms, decisions, deliveries and crashes equal the documents."""
    story, documents = told

    view = Reader(store, SystemClock()).rollout(story.service, story.canary).view

    assert view is not None
    assert view.verdict.rollback_verified
    assert view.looks["time"].tolist() == [v.time for v in story.looks]
    windows = [d for i, _, d in documents if i is indices.WINDOWS]
    shown = [w for w in windows if w["@timestamp"] >= story.opened_at - 30_000]
    for counter in ("request", "request.bad", "crash"):
        assert view.counts[counter].sum() == sum(w["counts"][counter] for w in shown)
    since = [
        w
        for w in windows
        if w["@timestamp"] >= story.opened_at - 10_000 and w["service.version"] == "1.5.0"
    ]
    assert sum(view.histograms["canary"].values()) == sum(w["counts"]["request"] for w in since)
    assert list(view.decisions["action"]) == ["rollback", "rollback_verified"]
    assert list(view.deliveries["outcome"]) == ["retrying", "delivered"]


def test_crash_groups_are_counted_per_arm(
    store: Elasticsearch, told: tuple[Story, Documents]
) -> None:
    """A group's sightings add up per release, and its first release saw it first."""
    story, _ = told

    view = Reader(store, SystemClock()).rollout(story.service, story.canary).view

    assert view is not None
    groups = view.crashes.set_index(view.crashes["title"].str.split(":").str[0])
    assert list(groups.loc["ZeroDivisionError", ["canary", "baseline"]]) == [141, 0]
    assert groups.loc["ZeroDivisionError", "first_release"] == "1.5.0"
    assert list(groups.loc["TimeoutError", ["canary", "baseline"]]) == [18, 162]
    assert groups.loc["TimeoutError", "first_release"] == "1.4.2"


def test_the_arms_of_a_flag_are_its_variants(store: Elasticsearch) -> None:
    """A flag's rollout within one release shows the windows and crashes of its two variants."""
    opened_at = (int(time.time()) - 200) // 10 * 10_000
    story, documents = bad_rollout(opened_at, service=f"flagged-{uuid.uuid4().hex[:8]}")
    write(store, [(index, name, _of_flag(one)) for index, name, one in documents])

    view = Reader(store, SystemClock()).rollout(story.service, "on").view

    assert view is not None
    of_canary = view.counts[view.counts["arm"] == "canary"]
    windows = [d for i, _, d in documents if i is indices.WINDOWS]
    seen = [w for w in windows if w["service.version"] == "1.5.0"]
    assert of_canary["request"].sum() == sum(w["counts"]["request"] for w in seen) > 0
    assert sum(view.histograms["canary"].values()) > 0
    groups = view.crashes.set_index(view.crashes["title"].str.split(":").str[0])
    assert list(groups.loc["TimeoutError", ["canary", "baseline"]]) == [18, 162]


def _of_flag(document: dict[str, Any]) -> dict[str, Any]:
    """The same story, told of two variants within release 1.4.2."""
    told = dict(document)
    if "canary" in told:
        told |= {"flag": "vouchers", "canary": "on", "baseline": "off"}
    if "service.version" in told:
        is_on = told["service.version"] == "1.5.0"
        told |= {"arm": f"vouchers:{'on' if is_on else 'off'}", "service.version": "1.4.2"}
    return told


def test_sample_falls_back_to_another_release(
    store: Elasticsearch, told: tuple[Story, Documents]
) -> None:
    """A group that the canary never showed still has a sample, from the release that did."""
    story, _ = told
    reader = Reader(store, SystemClock())
    view = reader.rollout(story.service, story.canary).view
    assert view is not None

    sample = reader.sample(story.service, view.crashes["fingerprint"][0], "9.9.9").value

    assert sample is not None
    assert "Traceback" in sample["sample"]["exception.stacktrace"]


def test_unknown_rollout_is_no_error(store: Elasticsearch) -> None:
    """A release that nobody rolled out has no view and no error."""
    answer = Reader(store, SystemClock()).rollout("nobody", "0.0.0")

    assert answer.view is None
    assert answer.freshness.error == ""


def test_away_elasticsearch_is_one_sentence() -> None:
    """No answer is one typed error with a sentence for people."""
    with (
        Elasticsearch("http://127.0.0.1:9", request_timeout=1, max_retries=0) as client,
        pytest.raises(Unavailable, match="Elasticsearch does not answer"),
    ):
        fetch_rollouts(client)


def test_a_red_shard_is_told_and_not_taken_for_missing_data(store: Elasticsearch) -> None:
    """Without a shard an answer would be incomplete: the last good one stays, marked as old."""
    reader = Reader(store, clock := ManualClock(now_ms=1_700_000_000_000))
    assert not reader.rollouts().freshness.error
    day = indices.ROLLOUTS.for_time(1_500_000_000_000)
    nowhere = {"index.routing.allocation.require._name": "nowhere"}
    store.indices.create(index=day, settings=nowhere, wait_for_active_shards="0")
    try:
        clock.advance(60)
        found = reader.rollouts()
        assert "Elasticsearch refused a search" in found.freshness.error
        assert found.frame is not None
        assert found.freshness.as_of_ms == 1_700_000_000_000
    finally:
        store.indices.delete(index=day)
    clock.advance(60)
    assert not reader.rollouts().freshness.error
