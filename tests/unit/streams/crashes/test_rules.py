"""A user's rules merge and split groups, say whose code a frame is, and lose no history."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.crash_rules import load_crash_rules
from contracts.errors import ConfigError
from contracts.records import Crash
from streams.crashes.group import group_of
from streams.crashes.rules import Rules

TRACE = """Traceback (most recent call last):
  File "/srv/shop/1.4/{file}.py", line 7, in {function}
  File "/srv/shop/1.4/generated.py", line 7, in call
{error}
"""


def crash(file: str, function: str, error: str, service: str = "shop") -> Crash:
    """A crash in one function."""
    text = TRACE.format(file=file, function=function, error=error)
    return Crash(time=1, service=service, release="1", stacktrace=text)


def rules(tmp_path: Path, text: str) -> Rules:
    """Rules as they stand in a file."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return Rules(load_crash_rules(path))


def test_a_rule_merges_groups_and_keeps_what_they_were(tmp_path: Path) -> None:
    """Two places of one cause become one group that remembers both fingerprints."""
    merging = rules(
        tmp_path,
        "crash_rules: [{when: {type: '*Timeout', message: '*database*'},"
        " fingerprint: [database-down], title: Database is down}]",
    )
    crashes = [
        crash("cart", "total", "db.Timeout: Database gone"),
        crash("a", "b", "db.Timeout: database"),
    ]
    merged = [group_of(c, merging) for c in crashes]
    assert merged[0].fingerprint == merged[1].fingerprint
    assert merged[0].title == "Database is down"
    assert [g.base for g in merged] == [group_of(c).fingerprint for c in crashes]
    other = crash("a", "b", "KeyError: 'database'")
    assert group_of(other, merging) == group_of(other)


def test_a_rule_splits_a_group_by_what_it_matches(tmp_path: Path) -> None:
    """The group's own fingerprint with a word of the rule is a new group."""
    text = (
        "crash_rules: [{when: {service: 'pay*', path: '*/cart.py'},"
        " fingerprint: ['{{ default }}', pay]}]"
    )
    splitting = rules(tmp_path, text)
    one, two = (
        crash("cart", "total", "KeyError: 1"),
        crash("cart", "total", "KeyError: 1", "payment"),
    )
    assert group_of(one, splitting) == group_of(one)
    assert group_of(two, splitting).fingerprint != group_of(two).fingerprint
    assert group_of(two, splitting).base == group_of(one).fingerprint


def test_a_rule_says_whose_code_a_frame_is(tmp_path: Path) -> None:
    """What is marked as foreign does not make a group; what is marked as own does."""
    marking = rules(tmp_path, "in_app: [{path: '*/generated.py', is: false}]")
    assert [c.name for c in group_of(crash("cart", "total", "E: 1"), marking).frames] == [
        "cart.total"
    ]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("crash_rules: [{when: {}, fingerprint: [x]}]", "crash_rules[0].when"),
        ("crash_rules: [{when: {type: x}, fingerprint: []}]", "crash_rules[0].fingerprint"),
        ("crash_rules: [{when: {typ: x}, fingerprint: [x]}]", "crash_rules[0].when.typ"),
        ("in_app: [{is: true}]", "in_app[0]"),
        ("in_app: [{module: x, is: perhaps}]", "in_app[0].is"),
    ],
)
def test_a_wrong_rule_is_refused_by_its_field(tmp_path: Path, text: str, field: str) -> None:
    """The message names file and field."""
    with pytest.raises(ConfigError) as raised:
        rules(tmp_path, text)
    assert raised.value.field == field
