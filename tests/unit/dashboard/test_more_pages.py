"""The pages around the rollouts: phases, trail, hosts, processes, buttons, addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import plotly.graph_objects as go
import pytest
from dash._utils import to_json

from contracts.clock import ManualClock
from contracts.errors import ConfigError
from contracts.results import PhaseProgress, RolloutCommandAction, RolloutStatus
from dashboard import words
from dashboard.access.users import Role
from dashboard.components.controls import controls, offered, other_phases
from dashboard.components.phases import phase_strip, state_of
from dashboard.components.services import component_rows, host_rows, restart_sentence
from dashboard.components.trail import resend_command, result_label, trail
from dashboard.figures.adoption import adoption
from dashboard.figures.base import renamed
from dashboard.figures.delays import delays
from dashboard.figures.evidence import evidence
from dashboard.figures.hosts import TITLES, load
from dashboard.pages.addresses import span_of
from dashboard.queries.audit import entry_of
from dashboard.queries.components import components_frame
from dashboard.queries.hosts import hosts_frame, load_frame
from dashboard.queries.parts import READY, PartsReader, part_of, read_targets
from dashboard.queries.pipeline import delays_frame, letters_frame
from dashboard.queries.rollouts import rollouts_frame
from dashboard.queries.verdicts import looks_frame
from dashboard.steering import operator_of
from tests.support.dashboard_pages_seed import answers, refused_delivery
from tests.support.dashboard_seed import Story

NOW = 1_795_435_200_000


def test_every_state_has_words() -> None:
    """A new status, action or outcome cannot leave a page without a word for it."""
    assert set(words.STATUSES) == set(RolloutStatus)
    assert set(words.REQUESTS) == set(RolloutCommandAction)
    ranks = {
        words.attention_rank(status, outcome)
        for status in RolloutStatus
        for outcome in words.OUTCOMES
    }
    assert len(ranks) == len(RolloutStatus) * len(words.OUTCOMES)


def test_phases_tell_what_is_done_and_what_is_missing() -> None:
    """Time and exposures beside what the policy asks, and why a phase is not left."""
    story = Story(opened_at=NOW)
    story.traffic(60)
    verdict = msgspec.structs.replace(
        story.looks[-1],
        phase="early",
        held_because="alice asked to hold",
        phases=[
            PhaseProgress(name="canary", started_at=NOW, ended_at=NOW + 20_000, exposures=500),
            PhaseProgress(
                name="early", started_at=NOW + 20_000, min_duration_s=400, min_exposures=9_000
            ),
            PhaseProgress(name="everywhere", min_duration_s=600),
        ],
    )
    assert [state_of(p, verdict) for p in verdict.phases] == ["done", "now", "next"]
    told = str(to_json(phase_strip(verdict)))
    assert "40 s of 6 min 40 s" in told
    assert "because alice asked to hold" in told
    assert "at least 10 min" in told
    assert phase_strip(story.looks[-1]) is None


def test_the_trail_tells_what_people_asked_and_how_to_send_again() -> None:
    """Answers have their person and reason; a refused delivery its command and what was sent."""
    found = [entry_of("answer", body) for _, _, body in answers("shop", NOW)]
    assert [result_label(entry).word for entry in found] == ["Accepted", "Reason missing"]
    assert found[0].who == "alice"
    assert "waiting for the database team" in found[0].text
    [(_, _, body)] = refused_delivery("shop", NOW)
    entry = entry_of("delivery", body)
    assert resend_command(entry).endswith("--endpoint chat")
    assert "[redacted]" in str(to_json(trail([entry])))


def test_buttons_follow_the_state() -> None:
    """What is over offers nothing; what is held can be resumed, not held again."""
    assert not any(offered(RolloutStatus.ROLLED_BACK).values())
    assert str(to_json(controls(RolloutStatus.RUNNING))).count('"hidden":true') == 1
    held = offered(RolloutStatus.HOLDING)
    assert held["resume"]
    assert not held["hold"]


def test_only_the_role_of_the_gate_counts() -> None:
    """Nobody steers without the role, or without a name."""
    told = {"X-Coalmine-User": "alice", "x-coalmine-role": Role.OPERATE.value}
    assert operator_of(told) == "alice"
    assert operator_of({**told, "x-coalmine-role": "read"}) == ""
    assert operator_of({"x-coalmine-role": Role.OPERATE.value}) == ""


def test_a_fleet_shows_when_a_decision_is_expected() -> None:
    """Seconds of the forecast, and evidence over time, of what is open."""
    story = Story(opened_at=NOW)
    story.traffic(30)
    frame = rollouts_frame([story.looks[-1]], {story.rollout: [10.0, 60.0]})
    assert frame["needed_s"].tolist() == [95.0]
    assert frame["trend"].tolist() == [[10.0, 60.0]]


def test_services_lead_to_their_records() -> None:
    """Rates of counters, quantiles of the newest windows, links of a number's records."""
    sums = {"request": 200, "request.bad": 3, "crash": 2, "log.error": 5}
    bucket = {
        "key": "shop/cart",
        **{name: {"value": value} for name, value in sums.items()},
        "last": {"value": NOW},
        "trend": {"buckets": [{"key": NOW, "request": {"value": 9}, "request.bad": {"value": 1}}]},
        "releases": {"buckets": [{"key": "2"}, {"key": "1"}]},
        "newest": {
            "hits": {
                "hits": [{"_source": {"histograms": {"request.duration_ms": [[100, 200], [9, 1]]}}}]
            }
        },
    }
    frame = components_frame({"aggregations": {"services": {"buckets": [bucket]}}}, NOW, 10)
    [row] = component_rows(frame, "1h")
    assert row["error_rate"] == 0.015
    assert row["trend"][0] == 9
    assert row["p99"] > row["p50"]
    assert row["crashes_href"] == "/crashes?service=shop%2Fcart&period=1h"


def test_hosts_are_drawn_by_release() -> None:
    """A line for the middle host and a thin one for the busy ones, in the data's own numbers."""
    step = {
        "key": NOW,
        "hosts": {"value": 3},
        **{
            value: {"values": [{"value": 40.0}, {"value": 70.0}]}
            for value in ("cpu_percent", "memory_percent", "load1", "disk_percent")
        },
    }
    answer = {
        "aggregations": {"releases": {"buckets": [{"key": "<b>2", "steps": {"buckets": [step]}}]}}
    }
    figure = load(load_frame(answer), "cpu_percent", span=(NOW, NOW + 60_000))
    go.Figure(figure)
    assert [trace["y"] for trace in figure["data"]] == [[40.0], [70.0]]
    assert figure["data"][0]["name"] == "&lt;b&gt;2"
    empty = hosts_frame({}, NOW, 60)
    assert host_rows(empty) == []


def test_delays_are_of_the_looks() -> None:
    """Seconds between the end of what was judged and the look."""
    step = {
        "key": NOW,
        "looked": {"value": NOW + 900.0},
        "judged": {"value": NOW + 100.0},
        "last_look": {"value": NOW + 2_000.0},
        "last": {"value": NOW + 500.0},
    }
    frame = delays_frame({"aggregations": {"steps": {"buckets": [step]}}})
    figure = delays(frame, span=(NOW, NOW + 60_000))
    go.Figure(figure)
    assert [trace["y"] for trace in figure["data"]] == [[0.8], [1.5]]
    assert letters_frame({}).empty


def test_the_words_of_the_thresholds_keep_away_from_those_of_decisions() -> None:
    """Decisions are told at the right, thresholds at the left, one above and one below its line."""
    story = Story(opened_at=NOW)
    story.traffic(20)
    figure = evidence(
        looks_frame(story.looks), rollback_at=2.0, promote_at=1.3, span=(NOW, NOW + 20_000)
    )
    rolls_back, is_healthy = figure["layout"]["annotations"][:2]
    assert {rolls_back["xanchor"], is_healthy["xanchor"]} == {"left"}
    assert (rolls_back["yanchor"], is_healthy["yanchor"]) == ("bottom", "top")


def test_a_legend_can_name_releases() -> None:
    """Text of telemetry in place of the arms, escaped."""
    figure = renamed({"data": [{"name": "canary"}], "layout": {}}, {"canary": "<i>"})
    assert figure["data"] == [{"name": "&lt;i&gt;"}]


def test_a_process_by_its_metrics() -> None:
    """The worst lag, all that waits, what was late and what was set aside."""
    text = (
        'coalmine_streams_lag_seconds{topic="a"} 2.5\ncoalmine_streams_lag_seconds{topic="b"} 0\n'
        'coalmine_streams_lag_messages{topic="a"} 7\n'
        "# TYPE coalmine_streams_late_records_total counter\n"
        "coalmine_streams_late_records_total 4\n"
        "# TYPE coalmine_streams_dead_letters_total counter\n"
        'coalmine_streams_dead_letters_total{stage="s",reason="r"} 3\n'
    )
    part = part_of("worker", text, READY)
    assert (part.lag_s, part.lag_messages, part.late, part.dead) == (2.5, 7, 4, 3)


def test_processes_come_from_a_file_of_targets(tmp_path: Path) -> None:
    """As Prometheus reads it; one that does not answer is said to be silent, a bad file refused."""
    path = tmp_path / "targets.json"
    path.write_text(
        json.dumps([{"targets": ["127.0.0.1:9"], "labels": {"part": "worker"}}]), encoding="utf-8"
    )
    assert read_targets(path) == [("worker", "127.0.0.1:9")]
    [part] = PartsReader(path, ManualClock(NOW)).read()
    assert part.label.word == "Does not answer"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="file_sd_configs"):
        read_targets(path)


def test_an_address_names_a_stretch_of_time() -> None:
    """Its end is what was typed, or now."""
    assert span_of({"period": "15m", "until": "2026-11-25 22:00"}, NOW) == (
        1_795_644_000_000 - 900_000,
        1_795_644_000_000,
    )
    assert span_of({"period": "1h", "until": ""}, NOW)[1] == NOW + 1_000


def test_adoption_adds_up_to_the_whole() -> None:
    """Each stretch is one; releases with little traffic share a band."""
    points = [(NOW, f"1.{n}", 100 - 9 * n) for n in range(11)] + [(NOW + 10_000, "1.0", 5)]
    figure = adoption(points, span=(NOW, NOW + 20_000))
    go.Figure(figure)
    assert len(figure["data"]) == 9
    assert figure["data"][-1]["name"] == "others"
    assert sum(trace["y"][0] for trace in figure["data"]) == pytest.approx(1, abs=1e-3)
    assert figure["data"][0]["y"][1] == 1


def test_restarts_are_of_the_release_that_ran_afterwards() -> None:
    """A time of start that moved by less than a minute is the same one; without any, no word."""

    def boot(at_ms: int, release: str) -> dict[str, Any]:
        source = {"_source": {"service.version": release}}
        return {"key": at_ms, "first": {"hits": {"hits": [source]}}}

    def host(name: str, *boots: dict[str, Any]) -> dict[str, Any]:
        values = {key: {"value": 1.0} for key in (*TITLES, "worst_cpu")}
        newest = {"hits": {"hits": [{"_source": {"service.version": "2"}}]}}
        return {
            "key": name, **values, "last": {"value": NOW}, "newest": newest,
            "steps": {"buckets": []}, "boots": {"buckets": list(boots)},
        }  # fmt: skip

    moved = [boot(NOW - 900_000, "1"), boot(NOW - 899_000, "1"), boot(NOW - 60_000, "2")]
    answer = {"aggregations": {"hosts": {"buckets": [host("a", *moved), host("b")]}}}
    frame = hosts_frame(answer, NOW - 3_600_000, 60)
    assert [row["restarts"] for row in host_rows(frame)] == [1, None]
    assert restart_sentence(frame).endswith("ran afterwards: 1 (2).")
    assert restart_sentence(frame[1:]) == ""


def test_a_rollout_is_sent_to_another_phase() -> None:
    """The next one is proposed, in the last phase the one before; never the present one."""
    phases = ["few", "half", "all"]
    assert other_phases({"phases": phases, "phase": "few"}) == (["half", "all"], "half")
    assert other_phases({"phases": phases, "phase": "all"}) == (["few", "half"], "half")
    assert other_phases({"phases": ["few"], "phase": "few"}) == ([], None)
    assert other_phases({}) == ([], None)
