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
from dashboard.words import rollout_path
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
        write(client, fleet(int(time.time() * 1000)))
    rollout = rollout_path("checkout", "1.5.0")
    with dashboard(settings.url) as url:
        take_screenshot(url, directory / "rollouts-light.png")
        take_screenshot(url + rollout, directory / "rollout-light.png", size=DESKTOP)
        take_screenshot(url + rollout, directory / "rollout-dark.png", dark=True)
        take_screenshot(url + rollout, directory / "rollout-phone.png", size=PHONE)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
