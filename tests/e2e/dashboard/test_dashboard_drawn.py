"""Each plot shows what its figure says: pixels of a real browser beside the figure's numbers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, Request, Route

from dashboard.words import rollout_path
from tests.support import crash_seed
from tests.support.dashboard_pages_seed import everything
from tests.support.dashboard_seed import write
from tests.support.drawn_plots import differences, drawn
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PAGES = (
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


@pytest.fixture(scope="module", autouse=True)
def seeded(store: Elasticsearch) -> None:
    """Documents of every page, up to now."""
    now_ms = time.time_ns() // 1_000_000
    crashes = [*crash_seed.groups("basket", now_ms), *crash_seed.logs("basket", now_ms)]
    write(store, [*everything(now_ms), *crashes])


@pytest.mark.parametrize("path", PAGES)
def test_every_line_and_bar_is_where_its_numbers_are(
    dashboard_url: str, page: Page, path: str
) -> None:
    """To a pixel and a half, computed from what the server sent, gaps, steps and logs included."""
    page.route("**/_dash-update-component", _without_beats)
    with page.expect_response(lambda answer: _is_content(answer.request)) as sent:
        page.goto(dashboard_url + path)
    figures = _figures(sent.value.json())
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


def _figures(content: Any) -> dict[str, dict[str, Any]]:
    """All figures of an answer, by name."""
    if isinstance(content, list):
        return {name: figure for one in content for name, figure in _figures(one).items()}
    if not isinstance(content, dict):
        return {}
    properties = content.get("props", {})
    if content.get("type") == "Graph":
        return {properties["id"]["name"]: properties["figure"]}
    return {name: figure for one in content.values() for name, figure in _figures(one).items()}


def test_a_plot_that_shows_something_else_is_found(dashboard_url: str, page: Page) -> None:
    """Of the comparison itself: a number that is ten per cent off is told."""
    page.goto(dashboard_url + "/hosts?service=checkout")
    wait_until(lambda: page.locator(PLOT).count() == 4, 60)
    plot = drawn(page)[0]
    data = page.evaluate("document.querySelector('.js-plotly-plot').data")
    figure = json.loads(json.dumps({"data": data}))
    assert differences(figure, plot) == []
    figure["data"][0]["y"] = [y * 1.1 for y in figure["data"][0]["y"]]
    assert differences(figure, plot)
