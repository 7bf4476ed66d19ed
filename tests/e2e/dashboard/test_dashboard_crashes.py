"""Crashes and logs in a real browser, on real Elasticsearch."""

from __future__ import annotations

import time
import uuid

import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, expect

from tests.support.crash_seed import HOSTILE, groups, logs
from tests.support.dashboard_seed import write

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def service(store: Elasticsearch) -> str:
    """A service with groups of every state, and log lines."""
    now_ms = int(time.time() * 1000)
    name = f"shop-{uuid.uuid4().hex[:8]}"
    write(store, [*groups(name, now_ms), *logs(name, now_ms)])
    return name


def test_from_the_list_to_a_group_to_the_logs(page: Page, dashboard_url: str, service: str) -> None:
    """A group's state, releases, calls and log lines, all as text, whatever stands in it."""
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("dialog", lambda _: pytest.fail("a log line was run as a script"))
    page.goto(f"{dashboard_url}/crashes?service={service}&period=7d")
    first = page.locator(".ag-center-cols-container .ag-row").first
    expect(first.locator(".badge")).to_have_text("Regressed")
    expect(page.locator(".ag-center-cols-container .ag-row")).to_have_count(5)
    page.get_by_text(HOSTILE).click()
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    expect(page.locator(".page-head .badge")).to_have_text("New")
    expect(page.locator(".calls li").first).to_have_text("cart.fresh")
    expect(page.get_by_role("cell", name="1.5.0")).to_be_visible()
    expect(page.locator(".log-crash")).to_have_count(1)
    page.locator(".log-of-trace a").first.click()
    expect(page.locator(".log-line")).to_have_count(8)
    assert f"trace=t-{service}" in page.url
    assert page.locator(".log-text img").count() == 0
    assert all(url.startswith((dashboard_url, "data:", "blob:")) for url in asked)


def test_a_search_stands_in_the_address(page: Page, dashboard_url: str, service: str) -> None:
    """What was typed is found, survives a reload, and a picture of time stands above it."""
    page.goto(f"{dashboard_url}/logs?service={service}&period=6h")
    expect(page.locator(".log-line")).to_have_count(200)
    page.locator("input[name=text]").fill('"paid 7 EUR" u7')
    page.locator("select[name=severity]").select_option("info")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".log-text")).to_have_text("user u7 paid 7 EUR")
    assert "text=%22paid+7+EUR%22+u7" in page.url
    page.reload()
    expect(page.locator(".log-text")).to_have_text("user u7 paid 7 EUR")
    expect(page.locator("input[name=text]")).to_have_value('"paid 7 EUR" u7')
    expect(page.locator("select[name=severity]")).to_have_value("info")
    expect(page.locator(".js-plotly-plot .bars").first).to_be_attached()
