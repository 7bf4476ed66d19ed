"""Every page in a real browser over one seeded store: readable, reachable, current."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, Request, Route, expect

from contracts.settings import ElasticsearchSettings
from dashboard.words import crash_path, rollout_path
from tests.support import crash_seed, dashboard_browser
from tests.support.dashboard_browser import PHONE
from tests.support.dashboard_pages_seed import everything
from tests.support.dashboard_seed import write
from tests.support.drawn_plots import differences, drawn, figures_of
from tests.support.health import samples
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PAGES = {
    "/": ".ag-row",
    rollout_path("checkout", "1.5.0"): ".js-plotly-plot .main-svg",
    "/releases?service=checkout": ".js-plotly-plot .main-svg",
    "/compare?service=checkout&period=1h": ".js-plotly-plot .main-svg",
    "/crashes?service=basket&period=7d": ".ag-row",
    "/logs?service=basket&period=6h": ".log-line",
    "/hosts?service=checkout": ".js-plotly-plot .main-svg",
    "/components": ".ag-row",
    "/decisions?service=checkout": ".trail-entry",
    "/pipeline": ".js-plotly-plot .main-svg",
}
"""Every page, and what is there once it is drawn."""
WITH_PLOTS = (
    rollout_path("checkout", "1.5.0"),
    rollout_path("basket", "3.2.0"),
    "/releases?service=checkout&period=1h",
    "/compare?service=checkout&this=1.5.0&with=1.4.2&period=1h",
    "/logs?service=basket&period=6h",
    "/hosts?service=checkout",
    "/pipeline",
)
"""Every page with plots."""
PLOT = ".js-plotly-plot:has(.main-svg)"
SERIOUS = ("serious", "critical")
SESSIONS = 50


@pytest.fixture(scope="module", autouse=True)
def seeded(store: Elasticsearch) -> None:
    """Documents of every page, up to now."""
    now_ms = time.time_ns() // 1_000_000
    crashes = [*crash_seed.groups("basket", now_ms), *crash_seed.logs("basket", now_ms)]
    write(store, [*everything(now_ms), *crashes])


@pytest.fixture(scope="module")
def group(dashboard_url: str, chromium: Browser) -> str:
    """Path of one crash group's page."""
    page = chromium.new_page()
    page.goto(f"{dashboard_url}/crashes?service=basket&period=7d")
    href = page.locator(".ag-row .cell-link").first.get_attribute("href") or ""
    page.close()
    assert href.startswith(crash_path("basket", ""))
    return href


@pytest.mark.parametrize("path", [*PAGES, "group"])
def test_every_page_can_be_read_by_everybody(
    dashboard_url: str, chromium: Browser, group: str, path: str
) -> None:
    """Axe-core finds nothing serious, light or dark, and nothing is wider than a phone."""
    address, drawn = (group, ".calls") if path == "group" else (path, PAGES[path])
    # a colour on its way to another has any contrast
    context = chromium.new_context(color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(dashboard_url + address)
    page.wait_for_selector(drawn, state="attached")
    findings = _findings(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-mantine-color-scheme=dark]")
    findings += _findings(page)
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    # plots follow the window when the browser has time
    wait_until(lambda: page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], 60)
    context.close()
    assert findings == []


def _findings(page: Page) -> list[tuple[str, list[str]]]:
    """Serious findings of axe-core, with the places."""
    return [
        (finding["id"], [node["html"][:120] for node in finding["nodes"][:3]])
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in SERIOUS
    ]


def test_a_page_is_asked_for_once(dashboard_url: str, page: Page) -> None:
    """The early request of the page's first script is the only one for its content."""
    asked: list[str] = []

    def note(post: str | None) -> None:
        if post and "_pages_content" in post:
            asked.append(post)

    page.on("request", lambda request: note(request.post_data))
    page.goto(f"{dashboard_url}/decisions?service=checkout")
    page.wait_for_selector(".trail-entry")
    assert len(asked) == 1
    page.get_by_role("link", name="Pipeline").click()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert len(asked) == 2


def test_two_releases_side_by_side(dashboard_url: str, page: Page) -> None:
    """Without a word the two newest releases; a bad one is said to fail more often."""
    page.goto(f"{dashboard_url}/compare?service=checkout&this=1.5.0&with=1.4.2&period=1h")
    row = page.get_by_role("row").filter(has_text="Error rate")
    expect(row.locator(".badge")).to_have_text("Higher")
    expect(page.locator(".legendtext").first).to_have_text("1.4.2")
    expect(page.get_by_role("row").filter(has_text="Latency p99.9")).to_be_visible()
    expect(page.get_by_role("link", name="ZeroDivisionError: division by zero")).to_be_visible()


def test_the_trail_is_filtered_by_its_address(dashboard_url: str, page: Page) -> None:
    """What people asked, with their reason; a refused delivery with what was sent."""
    page.goto(f"{dashboard_url}/decisions?service=checkout&kind=answer&who=alice")
    expect(page.locator(".trail-entry")).to_have_count(2)
    expect(page.locator(".trail")).to_contain_text("waiting for the database team")
    page.goto(f"{dashboard_url}/decisions?service=checkout&outcome=refused")
    page.locator("summary").first.click()
    expect(page.locator(".trail")).to_contain_text('"token": "[redacted]"')
    expect(page.locator(".trail code")).to_contain_text("coalmine webhook resend")


def test_numbers_lead_to_their_records(dashboard_url: str, page: Page) -> None:
    """From a service to what it is made of, by keyboard."""
    page.goto(f"{dashboard_url}/components")
    page.locator(".cell-link", has_text="checkout").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{dashboard_url}/compare?service=checkout&period=1h")
    expect(page.locator("h1")).to_have_text("Compare")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Components")


def test_phases_show_what_holds_them(dashboard_url: str, page: Page) -> None:
    """Which are done, how far the current one is, and why it is not left."""
    page.goto(dashboard_url + rollout_path("basket", "3.2.0"))
    expect(page.locator(".phase")).to_have_count(3)
    expect(page.locator(".phase-now")).to_contain_text("2 min of 5 min")
    expect(page.locator(".phase-held")).to_contain_text("a freeze is on until 18:00")
    expect(page.locator(".steer")).to_have_count(0)


def test_a_plot_gives_its_numbers(dashboard_url: str, page: Page, tmp_path: Path) -> None:
    """CSV with a row for each point."""
    page.goto(f"{dashboard_url}/hosts?service=checkout")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV of CPU").dispatch_event("click")
    path = tmp_path / "cpu.csv"
    download.value.save_as(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    points = page.evaluate(
        "document.querySelector('.js-plotly-plot').data.reduce((n, t) => n + t.x.length, 0)"
    )
    assert lines[0] == "series,x,y,note"
    assert len(lines) == points + 1


@pytest.mark.parametrize("path", WITH_PLOTS)
def test_every_line_and_bar_is_where_its_numbers_are(
    dashboard_url: str, page: Page, path: str
) -> None:
    """To a pixel and a half, computed from what the server sent, gaps, steps and logs included."""
    page.route("**/_dash-update-component", _without_beats)
    with page.expect_response(lambda answer: _is_content(answer.request)) as sent:
        page.goto(dashboard_url + path)
    figures = figures_of(sent.value.json())
    wait_until(lambda: page.locator(PLOT).count() == len(figures), 60)
    plots = {plot["name"]: plot for plot in drawn(page)}

    assert plots.keys() == figures.keys()
    assert any(plot["lines"] or plot["bars"] for plot in plots.values())
    assert [d for name in figures for d in differences(figures[name], plots[name])] == []


def _is_content(request: Request) -> bool:
    return "_pages_content" in (request.post_data or "")


def _without_beats(route: Route) -> None:
    """The page gets its content, and nothing that changes it afterwards."""
    if _is_content(route.request):
        route.continue_()
    else:
        route.fulfill(status=204)


def test_a_plot_that_shows_something_else_is_found(dashboard_url: str, page: Page) -> None:
    """Of the comparison itself: a number that is ten per cent off is told."""
    page.route("**/_dash-update-component", _without_beats)
    page.goto(dashboard_url + "/hosts?service=checkout")
    wait_until(lambda: page.locator(PLOT).count() == 4, 60)
    plot = drawn(page)[0]
    figure = {"data": page.evaluate("document.querySelector('.js-plotly-plot').data")}
    assert differences(figure, plot) == []
    figure["data"][0]["y"] = [y * 1.1 for y in figure["data"][0]["y"]]
    assert differences(figure, plot)


def test_fifty_sessions_cost_elasticsearch_what_five_do(
    elasticsearch_settings: ElasticsearchSettings,
) -> None:
    """Searches in ten seconds of live updates, by the dashboard's own count; both are printed."""
    port = dashboard_browser.free_port()
    options = ("--health-port", str(port))
    with dashboard_browser.dashboard(elasticsearch_settings.url, None, *options) as url:
        few, many = (_searches(url, port, sessions) for sessions in (5, SESSIONS))
    print(f"searches in 10 s: {few:.0f} for 5 sessions, {many:.0f} for {SESSIONS}")
    assert few > 0
    # a second more or less decides about one round of searches
    assert many <= 1.5 * few + 10


def _searches(url: str, port: int, sessions: int) -> float:
    """Searches while so many sessions beat once a second."""
    body = _beat(url)

    before = samples(port)["coalmine_dashboard_searches_total"]
    with httpx.Client(timeout=60) as client:
        end = time.monotonic() + 10
        while (began := time.monotonic()) < end:
            for _ in range(sessions):
                client.post(f"{url}/_dash-update-component", json=body).raise_for_status()
            time.sleep(max(0.0, began + 1 - time.monotonic()))
    return samples(port)["coalmine_dashboard_searches_total"] - before


def _beat(url: str) -> dict[str, object]:
    """The request that a rollout's page sends each second."""
    outputs = [
        {"id": "rollout", "property": "children"},
        *[[] for _ in range(3)],
        {"id": "rollout-seen", "property": "data"},
        {"id": "rollout-fresh", "property": "data"},
    ]
    known = httpx.get(f"{url}/_dash-dependencies").json()
    [output] = [one["output"] for one in known if "rollout-seen.data" in one["output"]]
    address = {"service": "checkout", "release": "1.5.0", "rollout": ""}
    return {
        "output": output,
        "outputs": outputs,
        "inputs": [{"id": "rollout-beat", "property": "data", "value": {"beat": 1, "zone": "UTC"}}],
        "changedPropIds": ["rollout-beat.data"],
        "state": [
            {"id": "rollout-address", "property": "data", "value": address},
            {"id": "rollout-seen", "property": "data", "value": {}},
        ],
    }
