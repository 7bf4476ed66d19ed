"""docs/metrics.md, read as the processes must be."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_SECTION = re.compile(r"^## .*\(`(?P<part>\w+)`\)$")
_ROW = re.compile(r"^\| `(?P<name>coalmine_\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\| \S")


def documented() -> dict[str, set[str]]:
    """Names of the metrics by part; those of every process stand under ``all``."""
    return {part: set(rows) for part, rows in rows_of_page().items()}


def rows_of_page() -> dict[str, dict[str, tuple[str, tuple[str, ...]]]]:
    """Type and labels by part and name."""
    found: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}
    part = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if section := _SECTION.match(line):
            part = section["part"]
            found[part] = {}
        elif row := _ROW.match(line):
            labels = tuple(re.findall(r"`(\w+)`", row["labels"]))
            found[part][row["name"]] = (row["type"], labels)
    return found
