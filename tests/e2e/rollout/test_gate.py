"""A pipeline's gate before real rollouts: a worker judges, the API tells, the gate ends."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from contracts.settings import KafkaSettings
from tests.e2e.rollout.conftest import ONE_PHASE, Gate
from tests.support.api_process import ApiProcess
from tests.support.driven import BASELINE, CANARY, DrivenTraffic, flowing
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
START = ("--start", "--baseline", BASELINE, "--timeout", "60s")


def test_a_good_release_passes_and_a_bad_one_fails_over_an_api_that_is_away(
    api: ApiProcess, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Exit 0 once it is promoted, 1 once it is rolled back; the API is stopped meanwhile and the
    gate waits for it; the job's page and the test report say what happened.
    """
    rates = {BASELINE: 0.1, CANARY: 0.1, "1.6.0": 0.5}
    summary = tmp_path / "summary.md"
    with flowing(DrivenTraffic(kafka_settings, ONE_PHASE, lambda release, _: rates[release])) as t:
        gate = Gate(api, ONE_PHASE, CANARY, *START)
        opened = wait_until(lambda: _status(api), 60, "opened")
        assert opened == "running"
        t.share = 0.5
        good = gate.end()
        assert (good.code, good.found["result"]) == (0, "healthy"), good.lines
        t.canary, t.share = "1.6.0", 0.0
        gate = Gate(
            api,
            *(ONE_PHASE, "1.6.0", *START, "--junit", str(tmp_path / "gate.xml")),
            variables={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)},
        )
        wait_until(lambda: _status(api, "1.6.0") == "running", 60, "opened")
        api.stop()
        t.share = 0.5
        api.start()
        bad = gate.end()
    assert (bad.code, bad.found["result"]) == (1, "regressed"), bad.lines
    assert bad.found["state"]["guilty_metric"] == "error_rate"
    assert any(line.startswith("::error title=Coalmine") for line in bad.lines)
    assert "regressed" in summary.read_text(encoding="utf-8")
    case = ET.parse(tmp_path / "gate.xml").getroot()[0][0]  # noqa: S314 - our own
    assert [(element.tag, element.get("type")) for element in case] == [("failure", "regressed")]


def test_a_gate_that_nobody_decides_fails_in_time_and_may_hold(api: ApiProcess) -> None:
    """5 where nothing is known; 2 where it may not ask; a start without a baseline is answered."""
    nothing = Gate(api, "nobody", CANARY, "--timeout", "1s").end()
    assert (nothing.code, nothing.found["result"]) == (5, "no_data")
    stranger = Gate(api, "nobody", CANARY, variables={"COALMINE_API_TOKEN": "wrong"}).end()
    assert stranger.code == 2
    assert any("COALMINE_API_TOKEN" in line for line in stranger.lines)
    own = Gate(api, "nobody", CANARY, "--start", "--baseline", CANARY).end()
    assert own.code == 2
    assert any("running_release" in line for line in own.lines)


def _status(api: ApiProcess, release: str = CANARY) -> str:
    with api.client() as client:
        query = {"service": ONE_PHASE, "release": release}
        found = client.get("/v1/verdict", params=query).json()
    return str(found["status"] or "")
