"""One browser and one dashboard for the tests of this directory, over the run's Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, expect

from contracts.settings import ElasticsearchSettings
from tests.support import dashboard_browser
from tests.support.alerting import alerting, listen, process, receiver, wire
from tests.support.dashboard_seed import install_templates

POLICY = "Content Security Policy"
"""Stands in what a browser says when a page does what its headers forbid."""


@pytest.fixture(scope="module")
def store(elasticsearch_settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """The run's Elasticsearch with the index templates in it."""
    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        yield client


@pytest.fixture(scope="module")
def dashboard_url(
    store: Elasticsearch, elasticsearch_settings: ElasticsearchSettings
) -> Iterator[str]:
    """Base URL of a dashboard process."""
    assert store
    with dashboard_browser.dashboard(elasticsearch_settings.url) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One headless Chromium."""
    # generous: the run shares its cores with servers and other tests
    expect.set_options(timeout=60_000)
    with dashboard_browser.browser() as running:
        yield running


@pytest.fixture
def refused() -> list[str]:
    """What the browser refused a page because of its content security policy."""
    return []


@pytest.fixture
def page(chromium: Browser, refused: list[str]) -> Iterator[Page]:
    """A page in a context of its own; its clock is in Berlin. It does nothing forbidden."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 1000}, timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(60_000)
    context.on("console", lambda m: refused.append(m.text) if POLICY in m.text else None)
    yield context.new_page()
    context.close()
    assert refused == []


__all__ = ["alerting", "listen", "process", "receiver", "wire"]
