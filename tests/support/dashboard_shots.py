"""Pictures of every page from seeded documents: ``python -m tests.support.dashboard_shots DIR``.

Starts an Elasticsearch of its own and writes the documents into it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from elasticsearch import Elasticsearch

from coalmine.stack.local import LocalStack
from contracts.settings import ElasticsearchSettings, elasticsearch_settings
from dashboard.queries.crash_groups import fetch_groups
from dashboard.words import crash_path, rollout_path
from tests.support import crash_seed
from tests.support.dashboard_browser import DESKTOP, PHONE, dashboard, take_screenshot
from tests.support.dashboard_seed import fleet, install_templates, write


def main(directory: Path) -> None:
    """Write the pictures of the list and of one rollout, light, dark and on a phone."""
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
        write(client, fleet(now_ms))
        write(client, [*crash_seed.groups("basket", now_ms), *crash_seed.logs("basket", now_ms)])
        group = fetch_groups(client, "basket", now_ms - 604_800_000, now_ms)[-2].fingerprint
    rollout = rollout_path("checkout", "1.5.0")
    with dashboard(settings.url) as url:
        take_screenshot(url, directory / "rollouts-light.png")
        take_screenshot(url + rollout, directory / "rollout-light.png", size=DESKTOP)
        take_screenshot(url + rollout, directory / "rollout-dark.png", dark=True)
        take_screenshot(url + rollout, directory / "rollout-phone.png", size=PHONE)
        crashes = f"{url}/crashes?service=basket&period=7d"
        logs = f"{url}/logs?service=basket&period=6h"
        take_screenshot(crashes, directory / "crashes-light.png")
        take_screenshot(crashes, directory / "crashes-phone.png", size=PHONE)
        page = url + crash_path("basket", group)
        take_screenshot(page, directory / "crash-light.png", full_page=True, wait_for=".calls")
        take_screenshot(page, directory / "crash-dark.png", dark=True, wait_for=".calls")
        take_screenshot(logs, directory / "logs-light.png", wait_for=".log-line")
        take_screenshot(logs, directory / "logs-dark.png", dark=True, wait_for=".log-line")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
