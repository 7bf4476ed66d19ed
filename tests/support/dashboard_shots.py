"""Pictures of every page from seeded documents: ``python -m tests.support.dashboard_shots DIR``.

Starts an Elasticsearch of its own and writes the documents into it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from elasticsearch import Elasticsearch
from playwright.sync_api import Browser

from coalmine.stack.local import LocalStack
from contracts import indices
from contracts.settings import ElasticsearchSettings, elasticsearch_settings
from dashboard.queries.crash_groups import fetch_groups
from dashboard.words import crash_path, rollout_path
from tests.support import crash_seed
from tests.support.dashboard_browser import PHONE, Size, browser, dashboard
from tests.support.dashboard_pages_seed import everything
from tests.support.dashboard_seed import Documents, install_templates, write

WINDOW: Size = (1440, 880)
_SCALE = 0.8
"""Of the pictures: so that each takes about 100 kB."""
_AHEAD_MS = 900_000
_PLOT = ".js-plotly-plot .main-svg"


def main(directory: Path) -> None:
    """Write a picture of every page, light and dark, and of two on a phone."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coalmine-shots-", ignore_cleanup_errors=True) as name:
        state = Path(name)
        state.chmod(0o755)
        stack = LocalStack(state)
        stack.start(kafka=False)
        try:
            _take_all(elasticsearch_settings(stack.environment()), directory)
        finally:
            stack.stop()


def _take_all(settings: ElasticsearchSettings, directory: Path) -> None:
    with Elasticsearch(**settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        now_ms = int(time.time() * 1000)
        write(client, _looked_at(everything(now_ms), now_ms))
        write(client, [*crash_seed.groups("basket", now_ms), *crash_seed.logs("basket", now_ms)])
        group = fetch_groups(client, "basket", now_ms - 604_800_000, now_ms)[-2].fingerprint
    pages = {
        "rollouts": ("/", ".ag-row"),
        "rollout": (rollout_path("checkout", "1.5.0"), _PLOT),
        "phases": (rollout_path("basket", "3.2.0"), _PLOT),
        "releases": ("/releases?service=checkout&period=1h", _PLOT),
        "compare": ("/compare?service=checkout&this=1.5.0&with=1.4.2&period=1h", _PLOT),
        "crashes": ("/crashes?service=basket&period=7d", ".ag-row"),
        "crash": (crash_path("basket", group), ".calls"),
        "logs": ("/logs?service=basket&period=6h", ".log-line"),
        "hosts": ("/hosts?service=checkout", _PLOT),
        "components": ("/components", ".ag-row"),
        "decisions": ("/decisions?service=checkout", ".trail-entry"),
        "pipeline": ("/pipeline", _PLOT),
    }
    with dashboard(settings.url) as url, browser() as running:
        for name, (path, drawn) in pages.items():
            _take(running, url + path, drawn, directory / name, WINDOW)
        for name in ("rollouts", "rollout"):
            path, drawn = pages[name]
            _take(running, url + path, drawn, directory / f"{name}-phone", PHONE)


def _looked_at(documents: Documents, now_ms: int) -> Documents:
    """As if the judge went on looking: no page is stale while its picture is taken."""
    return [
        (index, key, {**body, "processed_time": now_ms + _AHEAD_MS})
        if index is indices.ROLLOUTS
        else (index, key, body)
        for index, key, body in documents
    ]


def _take(running: Browser, url: str, drawn: str, path: Path, size: Size) -> None:
    """A picture in the light, and one in the dark."""
    page = running.new_page(
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=_SCALE if size is WINDOW else 1,
        color_scheme="light",
        timezone_id="Europe/Berlin",
    )
    page.goto(url)
    page.wait_for_selector(drawn, state="attached", timeout=60_000)
    page.wait_for_timeout(2_500)  # fonts, grid rows and the remaining plots
    page.screenshot(path=path.with_name(f"{path.name}-light.png"))
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(600)
    page.screenshot(path=path.with_name(f"{path.name}-dark.png"))
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/dashboard"))
