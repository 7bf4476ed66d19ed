"""The example alert rules: each about metrics that exist, each with its entry in the runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.metrics_page import documented

ROOT = Path(__file__).parents[3]
RUNBOOK = ROOT / "docs" / "runbooks" / "own-health.md"
_METRIC = re.compile(r"\bcoalmine_\w+")


def _rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "examples" / "prometheus-rules.yaml").read_text("utf-8"))
    assert list(document) == ["groups"]
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_each_alert_is_about_metrics_of_the_page() -> None:
    """A renamed metric would make its alert silent for ever."""
    names = set().union(*documented().values())
    known = names | {f"{n}_{end}" for n in names for end in ("bucket", "count", "sum")}
    for rule in _rules():
        used = set(_METRIC.findall(rule["expr"]))
        assert used <= known, rule["alert"]
        assert used or "up{" in rule["expr"] or "process_" in rule["expr"], rule["alert"]


def test_each_alert_says_how_urgent_it_is_and_where_to_read() -> None:
    """Page or ticket, one sentence, and an entry of the runbook."""
    for rule in _rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        expected = f"docs/runbooks/own-health.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == expected


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    """In the order of the rules; and what a readiness check waits for is explained."""
    text = RUNBOOK.read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [rule["alert"] for rule in _rules()]
    needs = set()
    for room in ("ingest", "streams", "alerting", "dashboard"):
        for path in (ROOT / room).rglob("*.py"):
            needs |= set(re.findall(r"\.need\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8")))
    assert len(needs) == 7
    assert [need for need in needs if need not in text] == []
