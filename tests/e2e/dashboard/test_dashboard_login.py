"""The dashboard behind its login, in a real browser."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, expect

from contracts.settings import ElasticsearchSettings
from dashboard.words import rollout_path
from tests.support import dashboard_browser
from tests.support.dashboard_seed import Story, write

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PASSWORD = "right horse battery"


def users(*arguments: str, password: str = "") -> None:
    """``coalmine dashboard users ARGUMENTS``."""
    subprocess.run(
        [sys.executable, "-m", "coalmine", "dashboard", "users", *arguments],
        input=f"{password}\n",
        text=True,
        check=True,
        timeout=60,
    )


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    """A file with one user, made by the command."""
    path = tmp_path / "users.yaml"
    users("add", "alice", "--users", str(path), "--password-stdin", password=PASSWORD)
    return path


@pytest.fixture
def guarded(elasticsearch_settings: ElasticsearchSettings, users_file: Path) -> Iterator[str]:
    """Base URL of a dashboard that asks for a login."""
    url = elasticsearch_settings.url
    with dashboard_browser.dashboard(url, None, "--users", str(users_file)) as base:
        yield base


def test_behind_a_login_all_is_as_before(
    store: Elasticsearch, guarded: str, users_file: Path, page: Page
) -> None:
    """A deep link asks for the login and then opens; a wrong password does not; updates come;
    signing out and being shut out lead back to the login.
    """
    story = Story(
        service=f"shop-{uuid.uuid4().hex[:8]}", opened_at=int(time.time()) * 1000 - 120_000
    )
    write(store, story.traffic(60))
    address = guarded + rollout_path(story.service, story.canary)
    page.goto(address)
    expect(page).to_have_title("Sign in · Coalmine")

    sign_in(page, "wrong horse battery")
    expect(page.get_by_role("alert")).to_have_text("This user and password do not fit.")
    sign_in(page, PASSWORD)
    expect(page).to_have_url(address)
    expect(page.locator("#headline")).to_have_text("No harm shown by 1.5.0 so far")
    cookie = next(c for c in page.context.cookies() if c["name"] == "coalmine_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"

    write(store, story.rolled_back(56))
    expect(page.locator("#headline")).to_have_text("1.5.0 is being rolled back")

    page.get_by_role("button", name="Sign out alice").click()
    expect(page).to_have_title("Sign in · Coalmine")
    page.goto(address)
    sign_in(page, PASSWORD)
    expect(page.locator("#headline")).to_be_visible()

    users("remove", "alice", "--users", str(users_file))
    expect(page).to_have_title("Sign in · Coalmine")
    assert httpx.get(address, headers={"accept": "text/html"}).status_code == 303


def sign_in(page: Page, password: str) -> None:
    """Fill in the form and send it."""
    page.get_by_label("User").fill("alice")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_answers_forbid_what_pages_need_not(
    dashboard_url: str, page: Page, refused: list[str]
) -> None:
    """No inline script runs but those that the page is known to hold, and no frame holds it."""
    answer = httpx.get(dashboard_url)
    policy = answer.headers["content-security-policy"]
    page.goto(dashboard_url)
    page.wait_for_selector(".ag-row, .message")
    ran = page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.injected = 1';
            document.body.append(script);
            return window.injected;
        }"""
    )

    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "'unsafe-eval'" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ran is None
    assert len(refused) == 1
    refused.clear()
