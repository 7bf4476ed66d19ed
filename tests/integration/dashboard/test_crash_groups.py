"""Crash groups and log lines read from a real Elasticsearch."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import msgspec
import pytest
from elasticsearch import AsyncElasticsearch, Elasticsearch

from contracts import indices
from contracts.clock import SystemClock
from contracts.settings import ElasticsearchSettings
from dashboard.queries.crash_groups import fetch_group, fetch_groups, fetch_services
from dashboard.queries.crash_records import GroupRecord
from dashboard.queries.crash_states import CrashState
from dashboard.queries.logs import LogSearch, fetch_around, fetch_logs
from dashboard.queries.search_reader import SearchReader
from streams.index.writer import delete_beyond
from tests.support.crash_seed import HOUR_MS, crash, groups, logs, sightings_of
from tests.support.dashboard_seed import Documents, install_templates, plain, write

pytestmark = pytest.mark.integration

DAY_MS = 24 * HOUR_MS


@pytest.fixture(scope="module")
def store(elasticsearch_settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """The run's Elasticsearch with the index templates in it."""
    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        yield client


@pytest.fixture(scope="module")
def now_ms() -> int:
    """One moment for all that is stored."""
    return int(time.time() * 1000)


@pytest.fixture(scope="module")
def service(store: Elasticsearch, now_ms: int) -> str:
    """A service with groups of every state, and log lines."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    write(store, [*groups(name, now_ms), *logs(name, now_ms)])
    return name


def by_call(found: list[GroupRecord]) -> dict[str, GroupRecord]:
    """Groups by the last word of their culprit."""
    return {record.culprit.rpartition(".")[2]: record for record in found}


def test_each_group_has_its_state(store: Elasticsearch, service: str, now_ms: int) -> None:
    """New, ongoing, back after a release, resolved, and back though resolved; sorted by need."""
    found = fetch_groups(store, service, now_ms - 7 * DAY_MS, now_ms)
    states = {name: record.state for name, record in by_call(found).items()}
    assert states == {
        "fresh": CrashState.NEW,
        "steady": CrashState.ONGOING,
        "returned": CrashState.REGRESSED,
        "fixed": CrashState.RESOLVED,
        "not_fixed": CrashState.REGRESSED,
    }
    order = [*CrashState]
    assert [order.index(record.state) for record in found] == sorted(
        order.index(record.state) for record in found
    )
    patient = fetch_groups(store, service, now_ms - 7 * DAY_MS, now_ms, absent=2)
    assert by_call(patient)["returned"].state is CrashState.ONGOING


def test_sightings_add_up(store: Elasticsearch, service: str, now_ms: int) -> None:
    """Counts, users and times of all releases; arms within; the trend of the time asked for."""
    since = now_ms - 24 * HOUR_MS
    steady = by_call(fetch_groups(store, service, since, now_ms))["steady"]
    assert [(r.release, r.count) for r in steady.releases] == [
        ("1.5.0", 20), ("1.4.2", 20), ("1.4.0", 20), ("1.3.0", 20),
    ]  # fmt: skip
    assert (steady.total, steady.count, steady.users) == (80, 40, 7)
    assert sum(count for _, count in steady.trend) == 40
    assert steady.releases[0].arms == {"": 18, "canary": 2}
    assert steady.first_release == "1.3.0"
    assert steady.first == now_ms - 39 * HOUR_MS
    assert fetch_services(store, since).count(service) == 1


def test_a_rule_that_merges_keeps_the_history(store: Elasticsearch, now_ms: int) -> None:
    """What was stored before the rule belongs to the group, under either fingerprint."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    documents: Documents = []
    before = [sightings_of([crash(name, "1", now_ms - DAY_MS, call)], n)[0]
              for n, call in enumerate(("one", "other"))]  # fmt: skip
    after = [
        msgspec.structs.replace(
            one, id=f"{one.id}/after", fingerprint="merged", base=one.fingerprint, time=now_ms,
            first=now_ms, release="2",
        )
        for one in before
    ]  # fmt: skip
    documents += [(indices.CRASH_GROUPS, one.id, plain(one)) for one in [*before, *after]]
    write(store, documents)
    [merged] = fetch_groups(store, name, now_ms - HOUR_MS, now_ms + 1)
    assert merged.fingerprint == "merged"
    assert (merged.total, merged.count, merged.users) == (4, 2, 1)
    assert merged.first_release == "1"
    found = fetch_group(store, name, before[0].fingerprint, now_ms - HOUR_MS, now_ms, 1)
    assert found is not None
    assert found.fingerprint == "merged"


def test_a_group_has_a_sample_of_each_release_and_the_lines_around(
    store: Elasticsearch, service: str, now_ms: int
) -> None:
    """The newest release's first, with the calls that made the group."""
    reader = SearchReader(store, SystemClock())
    returned = by_call(fetch_groups(store, service, now_ms - DAY_MS, now_ms))["returned"]
    view = reader.group(service, returned.fingerprint, "7d").value
    assert view is not None
    assert [one["service.version"] for one in view.samples] == ["1.5.0", "1.4.0"]
    assert view.samples[0]["calls"][-1] == "cart.returned"
    assert "in returned" in view.samples[0]["sample"]["exception.stacktrace"]
    assert view.around
    assert reader.group(service, "none", "7d").value is None


def test_lines_are_found_by_each_condition(store: Elasticsearch, service: str, now_ms: int) -> None:
    """And by their template; newest first, with how many there are over time."""

    def found(**fields: str) -> list[str]:
        wanted = LogSearch(
            start_ms=now_ms - 3 * HOUR_MS, end_ms=now_ms, **{"service": service, **fields}
        )
        page = fetch_logs(store, wanted)
        assert [row.time for row in page.rows] == sorted((r.time for r in page.rows), reverse=True)
        return [row.message for row in page.rows]

    assert len(found(severity="error")) == 20
    assert len(found(trace=f"t-{service}")) == 8
    assert found(text="u7 paid") == ["user u7 paid 7 EUR"]
    assert found(text='"paid 7 EUR" u7') == ["user u7 paid 7 EUR"]
    assert found(text="u7 nothing") == found(release="9") == found(host="web-4") == []
    assert set(found(template="user <*> paid <*> EUR")) == {
        f"user u{n} paid {n % 90} EUR" for n in range(1, 400, 2)
    }
    assert found(template="user <*> paid <*>, EUR") == []
    page = fetch_logs(
        store, LogSearch(start_ms=now_ms - 3 * HOUR_MS, end_ms=now_ms, service=service)
    )
    assert page.is_cut
    assert (sum(s[1] for s in page.steps), sum(s[2] for s in page.steps)) == (20, 380)


def test_lines_around_a_crash_are_near_it_or_of_its_trace(
    store: Elasticsearch, service: str, now_ms: int
) -> None:
    """Of the host, within half a minute; in the order of time, each once."""
    at = now_ms - HOUR_MS
    rows = fetch_around(store, service, "web-3", f"t-{service}", at)
    assert [row.time for row in rows] == [at + 3_000 * n for n in range(-10, 10)]
    assert len({row.key for row in rows}) == len(rows)
    assert fetch_around(store, service, "web-4", "", at) == []


@pytest.mark.asyncio
async def test_the_oldest_days_of_a_kind_are_deleted_first(
    store: Elasticsearch, elasticsearch_settings: ElasticsearchSettings
) -> None:
    """Until what is left is small enough, and never the newest."""
    kind = indices.Index(f"sized-{uuid.uuid4().hex[:8]}", {}, retention_days=7)
    days = [kind.for_time(1_700_000_000_000 + n * DAY_MS) for n in range(3)]
    for day in days:
        store.index(index=day, document={"text": uuid.uuid4().hex}, refresh=True)
    async with AsyncElasticsearch(**elasticsearch_settings.client_options()) as client:
        assert await delete_beyond(client, kind, 0) == []
        assert await delete_beyond(client, kind, 10**12) == []
        assert await delete_beyond(client, kind, 1) == days[:2]
    assert [*store.indices.get(index=kind.pattern)] == days[2:]
