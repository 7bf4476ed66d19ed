"""Tests of policies: what a ``*.test.yaml`` beside a policy says.

A test gives traffic, as rates or as recorded events, and says what must come of it. A test names a
counter as the policy does; what it may say of one depends on the name::

    request: 200/s            # a counter: so many a second
    request.bad: 0.1%         # or so many of a hundred exposures of the metric that counts it
    request.duration_ms: 120  # a histogram: the median of its values
    crash/NullPointer: 1/h    # a group, where a metric of groups judges crashes
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from contracts.config import Seconds, load
from contracts.errors import ConfigError
from contracts.policy import TESTS_SUFFIXES
from contracts.results import Action, Outcome, RolloutCommandAction, RolloutStatus

Load = dict[str, str | float]
"""Counter, histogram or group to ``200/s``, ``0.1%``, or the median of its values."""

_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is different for a while: in a phase, between two moments, or both."""

    phase: str = ""
    """Only while the rollout is in this phase."""
    after: Seconds = Seconds(0)
    """Since the start of the test."""
    until: Seconds | None = None
    both: Load = {}
    baseline: Load = {}
    canary: Load = {}


class Word(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person asks of the rollout in the middle of a test."""

    after: Seconds
    """Since the start of the test."""
    action: RolloutCommandAction
    phase: str = ""
    reason: str = ""
    requested_by: str = "test"


class Given(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The traffic of a test."""

    lasts: Seconds = Seconds(3600)
    """The test ends after it, or when its rollout has ended."""
    starts: datetime = datetime.fromisoformat("2026-11-23T10:00:00Z")
    """Event time; by default a Monday, ten o'clock UTC."""
    every: Seconds = Seconds(1)
    """How often the judge looks: a test of days is faster with ``10s``."""
    share: _Share | None = None
    """The canary's share of what ``both`` counts; by default the exposure of the phase."""
    both: Load = {}
    """Of both arms together; the share of the canary goes to it. Rates in per cent and medians hold
    for each arm."""
    baseline: Load = {}
    canary: Load = {}
    """What an arm says by itself goes before what both say."""
    changes: list[Change] = []
    """Later ones go before earlier ones."""
    commands: list[Word] = []
    is_obeyed: bool = msgspec.field(default=True, name="obeyed")
    """Whether a rollback takes the canary's traffic away."""


class Recorded(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Recorded events instead, as ``coalmine replay`` reads them."""

    files: list[Path]
    """Beside the test."""
    service: str = ""
    canary: str = ""
    baseline: str = ""


class Expected(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What must come of it; what is not said is not looked at."""

    outcome: Outcome | None = None
    """Of the last verdict before the rollout ended; likewise what follows."""
    action: Action | None = None
    status: RolloutStatus | None = None
    """Of the last verdict of all."""
    phase: str | None = None
    guilty_metric: str | None = None
    guilty_group: str | None = None
    """Its title, or its name."""
    held_because: str | None = None
    """A part of the sentence."""
    reason: str | None = None
    """A part of the sentence."""
    decisions: list[str] | None = None
    """All of them, in order: ``rollback``, or with its phase, ``canary/promote``."""
    never: list[str] = []
    """Decisions that must not be made, written likewise."""
    answers: list[str] | None = None
    """The codes of the answers to the commands, in order."""
    within: Seconds | None = None
    """The first rollback or promotion is decided so soon after the start."""
    not_before: Seconds | None = None
    """… and not earlier than that."""
    webhooks: dict[str, dict[str, Any]] = {}
    """Endpoint to what the last body it is sent must hold; further fields are not looked at. Of a
    tool that takes no JSON: ``body`` and ``requests``, what is said to it, in order."""


class Case(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One test: its name is the fact that it proves."""

    name: str
    given: Given | None = None
    recorded: Recorded | None = None
    expect: Expected


class Cases(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One file of tests."""

    policy: Path | None = None
    """Beside this file; by default the policy of the same name."""
    endpoints: Path | None = None
    """Beside this file: who is told what."""
    tests: list[Case]


def load_cases(path: Path) -> Cases:
    """Read one file of tests; the files that it names are taken from beside it.

    Raises:
        ConfigError: with file, line, field, value and what was expected.
    """
    cases = load(path, Cases)
    names = [case.name for case in cases.tests]
    for number, case in enumerate(cases.tests):
        field = f"tests[{number}]"
        if (case.given is None) == (case.recorded is None):
            raise ConfigError(str(path), "expected given or recorded, one of them", field=field)
        if case.name in names[:number]:
            raise ConfigError(
                str(path), "expected a name of its own", field=f"{field}.name", value=case.name
            )
        if case.given is not None and case.given.every < 1:
            raise ConfigError(str(path), "expected 1s or more", field=f"{field}.given.every")
        if case.expect.webhooks and cases.endpoints is None:
            expected = "expected endpoints: the file that says who is told"
            raise ConfigError(str(path), expected, field=f"{field}.expect.webhooks")
    return cases


def policy_path(path: Path, cases: Cases) -> Path:
    """The policy that a file of tests is about.

    >>> policy_path(Path("p/checkout.test.yaml"), Cases(tests=[]))
    PosixPath('p/checkout.yaml')
    """
    if cases.policy is not None:
        return path.parent / cases.policy
    suffix = next(s for s in (*TESTS_SUFFIXES, path.suffix) if path.name.endswith(s))
    return path.with_name(path.name.removesuffix(suffix) + path.suffix)
