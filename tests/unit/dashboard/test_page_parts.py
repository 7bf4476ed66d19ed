"""What the page says about a rollout, and what it sends when something changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import msgspec
import pytest
from dash import no_update
from dash._utils import to_json

from contracts.clock import ManualClock
from contracts.results import Contributor, MetricKind, Needed, Outcome, Placebo
from dashboard.components.explanation import needed_sentence, sentences
from dashboard.components.rollout import crash_sample, draw
from dashboard.components.verdict import steps_of
from dashboard.live import changed, checksums, patch_of
from dashboard.queries.cache import Cache
from dashboard.queries.crashes import crash_frame
from dashboard.queries.decisions import decisions_frame
from dashboard.queries.deliveries import deliveries_frame
from dashboard.queries.elastic import Unavailable
from dashboard.queries.reader import RolloutView
from dashboard.queries.rollouts import read_verdicts
from dashboard.queries.verdicts import looks_frame, metrics_frame
from dashboard.queries.windows import counts_frame
from dashboard.words import headline, rollout_path
from tests.support.dashboard_seed import Documents, Story

NOW = 1_795_435_200_000


def _view(story: Story, documents: Documents) -> RolloutView:
    def of(kind: str) -> list[dict[str, object]]:
        return [body for index, _, body in documents if index.name == kind]

    return RolloutView(
        verdict=read_verdicts(of("rollouts"))[-1],
        looks=looks_frame(story.looks),
        metrics=metrics_frame(story.looks),
        counts=counts_frame({}),
        bucket_s=10,
        histograms={},
        decisions=decisions_frame(of("decisions")),
        deliveries=deliveries_frame(of("deliveries")),
        crashes=crash_frame([], {}),
    )


def _running() -> RolloutView:
    story = Story(opened_at=NOW)
    return _view(story, story.traffic(60))


def _rolled_back() -> RolloutView:
    story = Story(opened_at=NOW)
    documents = story.traffic(60) + story.rolled_back(40, drained=50) + story.deliveries(41)
    return _view(story, documents)


def test_headline_says_what_happened() -> None:
    """The big sentence is about the release and its end."""
    assert headline(_running().verdict) == "No harm shown by 1.5.0 so far"
    assert headline(_rolled_back().verdict) == "1.5.0 was rolled back"


def test_steps_are_in_order() -> None:
    """Opened, first bad event, verdict, webhook, traffic gone: by time."""
    steps = steps_of(_rolled_back())

    assert [s.word for s in steps] == [
        "Opened",
        "First bad event",
        "Verdict: roll back",
        "Webhook delivered",
        "Traffic gone",
    ]
    times = [s.time for s in steps if s.time is not None]
    assert times == sorted(times)


def test_awaited_steps_have_no_time() -> None:
    """A running rollout still waits for its verdict, and says so."""
    assert [(s.word, s.time is None) for s in steps_of(_running())][-1] == ("Verdict", True)


def test_only_what_changed_is_sent() -> None:
    """From a running to a rolled-back rollout the head changes; the risk plot's data do not."""
    before, after = draw(_running(), "UTC"), draw(_rolled_back(), "UTC")
    seen, now = checksums(before.slots), checksums(after.slots)

    sent = changed(["hero", "quantiles"], after.slots, now, seen)

    assert sent[0] is after.slots["hero"]
    assert sent[1] is no_update
    assert before.structure == after.structure


def test_patch_replaces_data_and_leaves_the_range() -> None:
    """A patch names data, shapes and labels, never an axis range: zoom stays."""
    figure = draw(_rolled_back(), "UTC").figures["evidence"]

    operations = patch_of(figure).to_plotly_json()["operations"]

    places = {tuple(o["location"]) for o in operations}
    assert ("data", 0, "y") in places
    assert ("layout", "shapes") in places
    assert not any("range" in place for place in places)


def test_crash_text_stays_text() -> None:
    """Markup in a crash is a string in the page's tree, never a component or raw markup."""
    hostile = "<script>alert(1)</script>"
    shown = crash_sample({"title": hostile, "sample": {"exception.stacktrace": hostile}})

    title, _, _, trace, _ = shown
    assert title.children == trace.children == hostile
    assert "dangerously" not in str(to_json(shown))


def test_forecast_is_a_sentence() -> None:
    """What is still needed is told in exposures and time."""
    told = needed_sentence(Needed(harm=0.5, exposures=9200, bad=None, seconds=95))

    assert told == (
        "Still needed until a harm of +50% would be seen: 9\u202f200 exposures, about 1 min 35 s."
    )


def test_cache_asks_once_and_keeps_the_last_good_value() -> None:
    """Within its lifetime a value is asked for once; a failure keeps it and says why."""
    clock, asked = ManualClock(1_000), []
    cache = Cache(clock)

    def load() -> int:
        asked.append(1)
        if len(asked) > 1:
            raise Unavailable("Elasticsearch does not answer")
        return 42

    assert cache.get("k", 1.0, load).value == cache.get("k", 1.0, load).value == 42
    assert len(asked) == 1
    clock.advance(2)
    stale = cache.get("k", 1.0, load)
    assert (stale.value, stale.as_of_ms, stale.error) == (
        42,
        1_000,
        "Elasticsearch does not answer",
    )


def test_cache_serves_the_old_value_while_threads_load_it_anew() -> None:
    """What is dear delays no page, unless its value is older than twice its lifetime."""
    clock, asked, may_load = ManualClock(1_000), [], Event()
    cache = Cache(clock)

    def load() -> int:
        asked.append(1)
        assert len(asked) != 2 or may_load.wait(10)
        return len(asked)

    assert cache.get("k", 1.0, load).value == 1
    with ThreadPoolExecutor() as threads:
        clock.advance(1.5)
        for _ in range(3):
            assert cache.get("k", 1.0, load, beside=threads).value == 1
        may_load.set()
    assert len(asked) == 2
    assert cache.get("k", 1.0, load).value == 2

    clock.advance(2.5)
    with ThreadPoolExecutor() as threads:
        assert cache.get("k", 1.0, load, beside=threads).value == 3


def test_cache_forgets_the_least_used() -> None:
    """The cache holds a bounded number of values."""
    cache = Cache(ManualClock(), most_entries=2)
    asked: list[str] = []
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, 60.0, lambda key=key: asked.append(key))  # type: ignore[misc]

    assert asked == ["a", "b", "c", "b"]


@pytest.mark.parametrize(
    ("service", "release", "path"),
    [("checkout", "1.5.0", "/s/checkout/r/1.5.0"), ("a/b", "1 2", "/s/a%2Fb/r/1%202")],
)
def test_addresses_are_quoted(service: str, release: str, path: str) -> None:
    """Names with slashes and blanks still give one path."""
    assert rollout_path(service, release) == path


def test_a_metric_explains_itself() -> None:
    """Where the arms differ, what hosts explain, what is needed, and that it only watches."""
    metric = msgspec.structs.replace(
        _running().verdict.metrics[0],
        kind=MetricKind.RATIO,
        outcome=Outcome.INCONCLUSIVE,
        tolerance=0.35,
        is_critical=False,
        contributors=[Contributor(name="/pay", canary=0.12, baseline=0.01)],
        placebo=Placebo(hosts=9, sd=0.1, tolerance=0.35),
        needed=Needed(harm=1.0, exposures=38_000, bad=40, seconds=720),
    )
    assert sentences(metric) == [
        "The arms differ most in /pay (12 % bad, baseline 1 %).",
        "The baseline's 9 hosts differ by 10 % (sd), so up to 35 % is not blamed on the release.",
        needed_sentence(Needed(harm=1.0, exposures=38_000, bad=40, seconds=720)),
        "Watched only: it can hold a promotion, never roll back.",
    ]
