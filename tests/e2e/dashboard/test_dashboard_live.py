"""The dashboard in a real browser over a real Elasticsearch: live, deep-linked, readable."""

from __future__ import annotations

import socket
import time
import uuid
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, Request, expect

from contracts.settings import ElasticsearchSettings
from dashboard.words import rollout_path
from tests.support import dashboard_browser
from tests.support.dashboard_seed import Story, bad_rollout, write
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PLOT = ".js-plotly-plot .main-svg"


def _opened_at() -> int:
    now = int(time.time() * 1000) - 120_000
    return now - now % 10_000


def _story(**changes: object) -> Story:
    return Story(
        service=f"shop-{uuid.uuid4().hex[:8]}",
        opened_at=_opened_at(),
        **changes,  # type: ignore[arg-type]  # fields of a story
    )


def _open(page: Page, url: str, story: Story) -> None:
    page.goto(url + rollout_path(story.service, story.canary))
    page.wait_for_selector(PLOT)


def test_rollback_appears_without_reload(
    store: Elasticsearch, dashboard_url: str, page: Page
) -> None:
    """A page that is open shows the rollback, its delivery and its verification by itself."""
    story = _story()
    write(store, story.traffic(60))
    _open(page, dashboard_url, story)
    expect(page.locator("#headline")).to_have_text("No harm shown by 1.5.0 so far")
    page.evaluate("window.stayed = true")

    write(store, story.rolled_back(56) + story.deliveries(57))

    expect(page.locator("#headline")).to_have_text("1.5.0 is being rolled back")
    expect(page.locator(".steps")).to_contain_text("Webhook delivered")
    expect(page.locator("body")).to_contain_text("deploy-tool")
    assert page.locator(".annotation-text", has_text="roll back").count() >= 1

    write(store, story.rolled_back(56, drained=66))

    expect(page.locator("#headline")).to_have_text("1.5.0 was rolled back")
    expect(page.locator(".steps")).to_contain_text("Traffic gone")
    assert page.evaluate("window.stayed") is True


def test_zoom_survives_live_updates(store: Elasticsearch, dashboard_url: str, page: Page) -> None:
    """A range that a reader chose stays over three updates that bring new data."""
    story = _story()
    documents = story.traffic(60)
    write(store, documents)
    _open(page, dashboard_url, story)
    plot = "document.querySelectorAll('.js-plotly-plot')[0]"
    zoomed = page.evaluate(
        f"""() => {{
            const plot = {plot};
            const x = plot.data[0].x;
            return Plotly.relayout(plot, {{
                'xaxis.range': [x[10], x[20]], 'yaxis.range': [-1, 1]
            }}).then(() => [plot.layout.xaxis.range.map(String), plot.layout.yaxis.range]);
        }}"""
    )

    for seconds in (70, 80, 90):
        before = page.evaluate(f"{plot}.data[0].x.length")
        more = Story(story.service, opened_at=story.opened_at)
        write(store, more.traffic(seconds))
        grown = f"{plot}.data[0].x.length > {before}"
        wait_until(lambda: page.evaluate(grown), timeout_s=60)  # noqa: B023 - called at once

    now = page.evaluate(f"[{plot}.layout.xaxis.range.map(String), {plot}.layout.yaxis.range]")
    assert now == zoomed


def test_no_request_leaves_for_another_host(
    store: Elasticsearch, dashboard_url: str, page: Page
) -> None:
    """Scripts, styles, fonts, icons and data come from the dashboard alone."""
    story, documents = bad_rollout(_opened_at(), service=f"shop-{uuid.uuid4().hex[:8]}")
    write(store, documents)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - playwright marks handlers

    page.goto(dashboard_url)
    page.wait_for_selector(".ag-row")
    page.locator(".cell-link", has_text=story.service).click()
    page.wait_for_selector(PLOT)
    page.wait_for_timeout(1_000)

    hosts = {urlsplit(r.url).netloc for r in asked if r.url.startswith(("http", "ws"))}
    assert hosts == {urlsplit(dashboard_url).netloc}
    assert page.url.endswith(rollout_path(story.service, story.canary))


def test_deep_link_and_title(store: Elasticsearch, dashboard_url: str, page: Page) -> None:
    """A rollout's address opens its page; an unknown one says so and fills when it starts."""
    story = _story()
    page.goto(dashboard_url + rollout_path(story.service, story.canary))
    expect(page.locator(".message-title")).to_contain_text("No rollout of 1.5.0")

    write(store, story.traffic(20))

    expect(page.locator("#headline")).to_be_visible()
    expect(page).to_have_title(f"{story.service} 1.5.0 · Coalmine")


def test_markup_in_a_crash_is_text(store: Elasticsearch, dashboard_url: str, page: Page) -> None:
    """A crash message with a script is shown as it was written, in the table and in the trace."""
    hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    story, documents = bad_rollout(
        _opened_at(), service=f"shop-{uuid.uuid4().hex[:8]}", message=hostile
    )
    write(store, documents)
    _open(page, dashboard_url, story)

    row = page.locator(".grid-crashes .line-strong", has_text="ZeroDivisionError")
    expect(row).to_contain_text("<script>window.hacked = 1</script>")
    row.click()

    expect(page.locator(".stacktrace")).to_contain_text(hostile)
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_follows_the_colour_scheme(
    store: Elasticsearch, dashboard_url: str, chromium: Browser, scheme: str
) -> None:
    """Page, plots and grid take the system's scheme, and the switch changes it."""
    story, documents = bad_rollout(_opened_at(), service=f"shop-{uuid.uuid4().hex[:8]}")
    write(store, documents)
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # dark or light
    page = context.new_page()
    _open(page, dashboard_url, story)
    luma = """selector => getComputedStyle(document.querySelector(selector)).backgroundColor
        .match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3"""
    page.wait_for_selector(".ag-row")

    is_dark = [page.evaluate(luma, s) < 90 for s in ("body", ".card", ".ag-row")]
    page.locator("#scheme").click()
    page.wait_for_timeout(300)
    switched = [page.evaluate(luma, s) < 90 for s in ("body", ".card", ".ag-row")]

    assert is_dark == [scheme == "dark"] * 3
    assert switched == [scheme == "light"] * 3
    context.close()


def test_phone_has_no_overlap(store: Elasticsearch, dashboard_url: str, chromium: Browser) -> None:
    """On a phone nothing sticks out sideways and no card covers another."""
    story, documents = bad_rollout(_opened_at(), service=f"shop-{uuid.uuid4().hex[:8]}")
    write(store, documents)
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    _open(page, dashboard_url, story)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = page.evaluate(
        """[...document.querySelectorAll('header, .hero, .card')]
            .map(n => n.getBoundingClientRect()).map(b => [b.top, b.bottom])"""
    )
    assert all(first[1] <= second[0] + 1 for first, second in pairwise(boxes))
    context.close()


def test_stale_banner_when_elasticsearch_stops(
    store: Elasticsearch, elasticsearch_settings: ElasticsearchSettings, page: Page
) -> None:
    """When Elasticsearch stops answering, the last data stay and a banner says how old they are."""
    story = _story()
    write(store, story.traffic(120))
    with (
        FaultProxy(urlsplit(elasticsearch_settings.url).netloc) as proxy,
        dashboard_browser.dashboard(proxy.url) as url,
    ):
        _open(page, url, story)
        expect(page.locator("#stale")).not_to_contain_text("Elasticsearch")

        proxy.refuse()

        expect(page.locator("#stale")).to_contain_text("Elasticsearch does not answer")
        expect(page.locator("#headline")).to_be_visible()

        proxy.accept()

        expect(page.locator("#stale")).not_to_contain_text("Elasticsearch does not answer")


def test_without_elasticsearch_the_page_says_so(page: Page) -> None:
    """A dashboard whose Elasticsearch never answered is up, healthy, and explains itself."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with dashboard_browser.dashboard(f"http://127.0.0.1:{port}") as url:
        page.goto(url)

        expect(page.locator(".message-title")).to_have_text("Elasticsearch does not answer")
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_times_follow_the_switch(store: Elasticsearch, dashboard_url: str, page: Page) -> None:
    """Times are the reader's; the switch shows UTC on the page and on the axes."""
    story = _story()
    write(store, story.traffic(30))
    _open(page, dashboard_url, story)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    plot = "document.querySelector('.js-plotly-plot:has(.main-svg)')"
    first = f"{plot}?.data[0].x[0]"
    local = page.evaluate(first)
    shown = page.locator(".steps time").first.inner_text()

    page.locator("#zone").get_by_text("UTC").click()

    wait_until(lambda: page.evaluate(first) not in (None, local), timeout_s=60)
    assert local[11:13] != page.evaluate(first)[11:13]
    assert page.locator(".steps time").first.inner_text() != shown
