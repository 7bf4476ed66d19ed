"""``coalmine init`` and ``check`` ``--from-telemetry`` on a real Elasticsearch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.stack.ports import free_port
from contracts import indices
from contracts.errors import Fatal
from contracts.policy import load_policies
from contracts.results import Window
from contracts.settings import ElasticsearchSettings
from tests.support.dashboard_seed import Documents, install_templates, plain, write
from tests.support.stack import unique

pytestmark = pytest.mark.integration


def _windows(service: str, now_ms: int) -> Documents:
    """Ten minutes: 100 requests a second, one in a hundred fails, a tenth of them in 1.5.0."""
    return [
        (
            indices.WINDOWS,
            f"{service}/{release}/{start}",
            plain(
                Window(
                    time=start,
                    service=service,
                    release=release,
                    window_s=10,
                    part="0",
                    counts={"request": requests, "request.bad": requests // 100},
                    histograms={},
                )
            ),
        )
        for start in range(now_ms - 660_000, now_ms - 60_000, 10_000)
        for release, requests in (("1.4.2", 900), ("1.5.0", 100))
    ]


def test_a_policy_fits_the_traffic_that_telemetry_shows(
    stack_environment: Mapping[str, str],
    elasticsearch_settings: ElasticsearchSettings,
    tmp_path: Path,
) -> None:
    """Its comment has the figures, its phases are long enough; a shorter one is warned of; a
    service without traffic is an error, Elasticsearch away no reason to call a file wrong.
    """
    now_ms, service = int(time.time()) * 1000, unique("fitted")
    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        write(client, _windows(service, now_ms))

    def run(*arguments: str, **variables: str) -> Any:
        environment = {**stack_environment, **variables}
        return CliRunner(env=environment).invoke(build(), list(arguments))

    done = run("init", str(tmp_path), "--service", service, "--from-telemetry")
    assert done.exit_code == 0, done.output
    policies = tmp_path / "policies"
    path = policies / f"{service}.yaml"
    text = path.read_text(encoding="utf-8")
    assert "100 requests/s, 1 % of them failed; releases 1.4.2 (90 %), 1.5.0 (10 %)." in text
    assert load_policies(policies)[service].min_exposures == 500
    checked = run("check", str(policies), "--from-telemetry", "--strict")
    assert checked.exit_code == 0, checked.output

    shorter = text.replace("\n    max_duration: ", "\n    max_duration: 31m # ")
    path.write_text(shorter, encoding="utf-8")
    warned = run("check", str(path), "--from-telemetry", "--strict", "--json")
    assert warned.exit_code == 3
    assert json.loads(warned.stdout)[1]["message"].endswith(f"(of {service})")
    away = {"COALMINE_ELASTICSEARCH": f"http://127.0.0.1:{free_port()}"}
    assert run("check", str(path), "--from-telemetry", "--strict", **away).exit_code == 0
    nothing = run("init", str(tmp_path), "--service", unique("none"), "--from-telemetry")
    assert isinstance(nothing.exception, Fatal)
