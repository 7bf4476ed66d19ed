"""``coalmine releases`` over what the judge and the indexer stored in a real Elasticsearch."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from typer.testing import CliRunner

from coalmine.cli.main import build
from contracts import topics
from contracts.errors import Fatal
from contracts.policy import Metric, Policy, Unit
from contracts.results import Cell, Partial, Source, Window
from contracts.settings import ElasticsearchSettings
from streams.index.documents import Document, documents_of
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.messages import Message
from streams.windows import ids, units
from tests.support.dashboard_seed import install_templates

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
POLICY = Policy(
    metrics=[
        Metric(name="crash_rate", of="session", bad="crash"),
        Metric(name="crashed_users", of="session", bad="crash", unit=Unit.USER, critical=False),
    ]
)


class PhoneApp:
    """Users of an app over some hours, through the real judge to documents."""

    def __init__(self, start_ms: int) -> None:
        self.service = f"app-{uuid.uuid4().hex[:8]}"
        self._start_ms = start_ms
        self._state = ServiceState(service=self.service)
        self._said: list[Window] = []
        self._offset = 0

    def use(self, hour: float, release: str, users: Sequence[int], crashed: int = 0) -> None:
        """Each of these users has one session, and so many of them a crash."""
        self._offset += 1
        tick = self._start_ms + round(hour * 3600) * 1000
        every = np.array(users, dtype=np.uint64)
        sketches = {}
        for kind, shift in (("user", 0), ("session", 10**6 * (1 + round(hour * 10)))):
            hashes = ids.mixed(every + np.uint64(shift))
            sketches[f"session@{kind}"] = units.sketch(hashes)
            sketches[f"crash@{kind}"] = units.sketch(hashes[:crashed])
        counts = {"session": len(users), "crash": crashed}
        cell = Cell(
            tick=tick,
            release=release,
            agent="a",
            last=tick + 500,
            counts=counts,
            units={name: sketch for name, sketch in sketches.items() if sketch},
        )
        source = Source(topic="coalmine.events", partition=0, offset=self._offset)
        self._hear(Partial(service=self.service, source=source, sent_at=tick, cells=[cell]))

    def documents(self) -> Iterator[Document]:
        """Everything that was written, as the indexer stores it."""
        self._hear(Partial(service=self.service, sent_at=self._start_ms + 100 * HOUR_MS))
        for offset, window in enumerate(self._said):
            value = msgspec.json.encode(window)
            yield from documents_of(Message(topics.WINDOWS.name, 0, offset, 0, {}, value))

    def _hear(self, partial: Partial) -> None:
        said = apply_partial(self._state, partial, POLICY, processed_time=partial.sent_at)
        self._said += [one for one in said if isinstance(one, Window)]


def test_releases_in_the_wild(
    elasticsearch_settings: ElasticsearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adoption, crash-free users, the comparison at the same age, and what support can end."""
    monkeypatch.setenv("COALMINE_ELASTICSEARCH", elasticsearch_settings.url)
    monkeypatch.setenv("COALMINE_KAFKA", "127.0.0.1:9")
    app = PhoneApp((time.time_ns() // 1_000_000 - 12 * HOUR_MS) // 10_000 * 10_000)
    for hour in range(11):
        app.use(hour, "1.0", range(4))
        app.use(hour + 0.01, "2.0", range(4, 400 - 30 * hour), crashed=2)
        if hour >= 6:
            app.use(hour + 0.02, "3.0", range(250 - 30 * (hour - 6), 600), crashed=100)
    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        newest = {(d.index, d.id): d for d in app.documents()}
        actions = ({"_index": d.index, "_id": d.id, "_source": d.body} for d in newest.values())
        bulk(client, actions, refresh=True)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(build(), ["releases", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    report = json.loads(run(app.service, "--days", "0.5", "--json"))
    one, two, three = report["releases"]
    assert [r["release"] for r in report["releases"]] == ["1.0", "2.0", "3.0"]
    assert (report["unit"], report["exposure"]) == ("user", "session")
    assert (one["users"]["total"], one["users"]["share"]) == (4, 1)
    assert (two["users"]["total"], two["users"]["crashed"]) == (396, 2)
    assert two["exposures"] == sum(400 - 30 * hour - 4 for hour in range(11))
    assert [s["left_behind"] for s in report["support"][:2]] == [4, 130]
    assert "Ending support for 1.0 and older would leave 0.7 % of the users" in report["summary"]
    same = three["same_age"]
    assert same["predecessor"] == "2.0"
    assert same["other"]["total"] == sum(396 - 30 * hour for hour in range(6))
    assert same["upper"] < 0
    assert sum(p["share"] for p in report["adoption"]) == pytest.approx(
        len({p["time"] for p in report["adoption"]})
    )
    table = run(app.service, "--days", "0.5")
    assert "against 2.0" in table
    assert report["summary"] in table
    with pytest.raises(Fatal, match="no release of nobody had traffic"):
        run("nobody")
