"""What a user says about crash groups: rules in a YAML file, read once at start.

A rule gives the crashes that it matches a fingerprint of its own, so that groups are merged or
split; ``in_app`` says whose code a frame is. The first rule that matches counts.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from contracts.config import load
from contracts.errors import ConfigError

DEFAULT = "{{ default }}"
"""Stands in a rule's fingerprint for the one that the crash would have had."""


class FrameRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"is_own": "is"}):
    """Whose code the frames are that match every glob given."""

    is_own: bool
    module: str = ""
    function: str = ""
    path: str = ""


class When(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which crashes a rule is for: all globs given must match; those of frames, one same frame."""

    type: str = ""
    message: str = ""
    module: str = ""
    function: str = ""
    path: str = ""
    service: str = ""


class CrashRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The fingerprint, and if wanted the title, of the crashes that match."""

    when: When
    fingerprint: tuple[str, ...]
    title: str = ""


class CrashRules(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole file of rules; without any, nothing changes."""

    crash_rules: tuple[CrashRule, ...] = ()
    in_app: tuple[FrameRule, ...] = ()


NO_CRASH_RULES = CrashRules()


def load_crash_rules(path: Path) -> CrashRules:
    """The rules of a file.

    Raises:
        ConfigError: unreadable, a wrong field, a rule for every crash, or an empty fingerprint.
    """
    rules = load(path, CrashRules)
    for number, rule in enumerate(rules.crash_rules):
        field = f"crash_rules[{number}]"
        if rule.when == When():
            raise ConfigError(str(path), "expected at least one glob", field=f"{field}.when")
        if not any(rule.fingerprint):
            raise ConfigError(str(path), "expected a text", field=f"{field}.fingerprint")
    for number, frame in enumerate(rules.in_app):
        if not (frame.module or frame.function or frame.path):
            raise ConfigError(
                str(path), "expected a module, function or path", field=f"in_app[{number}]"
            )
    return rules
