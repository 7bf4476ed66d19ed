"""docs/metrics.md against the processes, and what a metric may be called and say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import alerting.metrics
import coalmine.api.metrics
import dashboard.metrics
import ingest.metrics
import streams.index.metrics
import streams.metrics
from health.vitals import Vitals
from tests.support.metrics_page import rows_of_page

ROOT = Path(__file__).parents[3]
ROOMS = ("contracts", "ingest", "streams", "alerting", "dashboard", "health")
REGISTRIES = {
    "agent": ingest.metrics.REGISTRY,
    "worker": streams.metrics.REGISTRY,
    "indexer": streams.index.metrics.REGISTRY,
    "alerter": alerting.metrics.REGISTRY,
    "dashboard": dashboard.metrics.REGISTRY,
    "api": coalmine.api.metrics.REGISTRY,
}
_NAME = re.compile(r"coalmine_(ingest|streams|alerting|dashboard|api)_[a-z_]+")
_UNITS = ("_seconds", "_bytes", "_messages", "_entries", "_decisions", "_sources")
_FACTS = ("_waits", "_open", "_refused")
"""Endings of gauges that are 0 or 1."""


def _declared(registry: CollectorRegistry) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Name, type and labels of each metric of ours."""
    for collector in registry._collector_to_names:
        for family in collector.collect():
            if not family.name.startswith("coalmine_") or family.type == "info":
                continue
            is_counter = family.type == "counter"
            labels = tuple(getattr(collector, "_labelnames", ()))
            yield f"{family.name}_total" if is_counter else family.name, (family.type, labels)


@pytest.mark.parametrize("part", REGISTRIES)
def test_the_page_names_what_a_process_declares(part: str) -> None:
    """Name, type and labels, both ways."""
    assert dict(_declared(REGISTRIES[part])) == rows_of_page()[part]


def test_the_page_names_what_every_process_tells() -> None:
    """The vitals and the build."""
    told = {family.name for family in Vitals().collect()} | {"coalmine_build_info"}
    assert told == set(rows_of_page()["all"])


@pytest.mark.parametrize("part", REGISTRIES)
def test_names_follow_the_conventions(part: str) -> None:
    """Room first; a counter ends in _total, a histogram in its unit, a gauge in its unit where it
    has one; each has a help text of one sentence.
    """
    for name, (kind, _) in _declared(REGISTRIES[part]):
        assert _NAME.fullmatch(name), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert kind != "gauge" or name.endswith(_UNITS + _FACTS), name
    for family in REGISTRIES[part].collect():
        assert family.documentation, family.name


def test_reasons_of_dead_letters_are_words_of_ours() -> None:
    """A reason becomes a label: it is written in the code, and never made of what was read."""
    made = [
        (path, call)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "InvalidRecord"
    ]
    assert len(made) > 30
    passed_on = {ROOT / "ingest" / "dead_letters.py"}
    for path, call in made:
        reason = call.args[0]
        is_constant = isinstance(reason, ast.Name) and reason.id.isupper()
        assert is_constant or isinstance(reason, ast.Constant) or path in passed_on, (
            f"{path}:{call.lineno}"
        )
