"""The policy: what matters for a service's releases, and how sure Coalmine must be.

An empty policy is valid: it watches errors, crashes and latency, and rolls back a release that is
no worse than its baseline at most once in a hundred rollouts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from contracts.config import Seconds, load
from contracts.crash_rules import NO_CRASH_RULES, CrashRules, load_crash_rules
from contracts.errors import ConfigError
from contracts.results import MetricKind

Rate = Annotated[float, msgspec.Meta(gt=0, lt=0.5)]
Harm = Annotated[float, msgspec.Meta(ge=0, le=100)]
Negligible = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Weight = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


CRASH_RULES_STEM = "crash-rules"
"""Name of the file with rules of crash groups, beside the policies."""
TESTS_SUFFIXES = (".test.yaml", ".test.yml")
"""How the names of files with tests of policies end; they stand beside them."""


class Direction(StrEnum):
    """Which change of a metric is harm."""

    INCREASE = "increase"
    DECREASE = "decrease"


class Unit(StrEnum):
    """What counts as one exposure of a ratio metric.

    A session that fails five times has failed once. Where an event has no session id its user id
    stands for it, and where it has neither the event counts by itself.
    """

    SESSION = "session"
    USER = "user"
    EVENT = "event"


class StratifyBy(StrEnum):
    """Which field of an event separates traffic that is compared only with its own kind."""

    NONE = ""
    ROUTE = "route"


class Metric(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One thing that must not get worse.

    A ``ratio`` counts ``bad`` outcomes per exposure ``of``; a ``distribution`` compares all values
    of ``value``; ``groups`` judges every group of the ``bad`` outcomes by itself: each crash group
    of ``crash``, each log template of ``log.error``. All name counters or histograms of
    ``contracts.results.Cell``.
    """

    name: str
    """What verdicts call it; its own in the policy."""
    kind: MetricKind = MetricKind.RATIO
    """How it is judged: a ratio, a distribution, or groups."""
    of: str = "request"
    """The counter of exposures."""
    bad: str = ""
    """The counter of bad outcomes, of a ratio or of groups."""
    value: str = ""
    """The histogram of a distribution."""
    direction: Direction = Direction.INCREASE
    """Which way is worse: crashes must not ``increase``, clicks must not ``decrease``; of groups
    only more is worse."""
    tolerance: Harm | None = None
    """Largest relative harm that is accepted; the policy's where not given."""
    negligible_rate: Negligible | None = None
    """Rate of bad outcomes that harms nobody; the policy's where not given, 0 for none."""
    critical: bool = True
    """Whether it may roll back. One that may not is watched, and holds the promotion."""
    unit: Unit = Unit.SESSION
    """What a ratio counts: distinct sessions, distinct users, or single events."""
    reports_within: Seconds = Seconds(0)
    """For reports that come late (crashes of phones): each stretch of time is judged this long
    after its end, with what has come by then, so that both arms are compared at the same age."""
    weight: Weight = 1.0
    """Its part of the evidence and of α, beside the weights of the other critical metrics."""
    phases: list[str] = []
    """Phases in which it is judged; all where none is named. A phase with a tolerance of its own is
    a metric of its own: evidence of all metrics is averaged with weights that are set before."""


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


_TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class BusinessHours(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """When people are there: only then a phase is left for the next one. Rollbacks do not wait."""

    days: list[Weekday] = msgspec.field(default_factory=lambda: [*Weekday][:5])
    """Monday to Friday by default."""
    start: _TimeOfDay = "09:00"
    """Local time."""
    end: _TimeOfDay = "17:00"
    """Local time, the first moment after."""
    zone: str = "UTC"
    """A name of the time zone database: ``Europe/Berlin``."""


class Freeze(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A time ``[start, end)`` in which no phase is left for the next one. Rollbacks do not wait."""

    start: datetime
    """With its offset: ``2026-12-23T00:00:00Z``."""
    end: datetime
    """The first moment after."""
    reason: str
    """What people are told while a phase is held."""
    owner: str = ""
    """Whom to ask."""


class AtEnd(StrEnum):
    """What happens when a phase has lasted ``max_duration`` without a decision."""

    HOLD = "hold"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Phase(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One step of a rollout: left for the next one when its minima are met and health is shown."""

    name: str = "canary"
    """Its own in the policy."""
    exposure: Share | None = None
    """The canary's share of the traffic."""
    hosts: list[str] = []
    """Globs of the hosts that run the canary, for the deploy tool."""
    users: str = ""
    """The group of users that gets the canary, such as ``internal``, for the router or the flag."""
    min_duration: Seconds = Seconds(0)
    """How long it lasts at least."""
    min_exposures: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Exposures that the canary needs in it at least."""
    max_duration: Seconds | None = None
    """How long it may last without a decision; without one, for ever."""
    at_end: AtEnd = AtEnd.HOLD
    """What happens after ``max_duration``."""
    notify: list[str] = []
    """Names of the endpoints that are told of this phase; without any, all that want it."""


def _default_metrics() -> list[Metric]:
    return [
        Metric(name="error_rate", bad="request.bad"),
        Metric(name="crash_rate", bad="crash"),
        Metric(
            name="latency", kind=MetricKind.DISTRIBUTION, value="request.duration_ms", of="request"
        ),
        Metric(name="crash_groups", kind=MetricKind.GROUPS, bad="crash", weight=0.5),
        Metric(name="error_logs", kind=MetricKind.GROUPS, bad="log.error", weight=0.5),
    ]


class Policy(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the releases of one service are judged."""

    service: str = "*"
    """Service name; ``*`` is the policy of every service without one of its own."""
    false_rollback_rate: Rate = 0.01
    """α: how often, at most, a release that is no worse is rolled back."""
    false_promotion_rate: Rate = 0.05
    """β: how often, at most, a release as bad as ``harm`` is promoted."""
    tolerance: Harm = 0.1
    """Largest relative harm that is accepted: 0.1 is ten per cent more."""
    harm: Harm = 0.5
    """Smallest relative harm that must never be promoted; above ``tolerance``."""
    negligible_rate: Negligible = 0.0001
    """Bad outcomes per exposure below which a ratio metric is healthy, whatever the baseline's.

    So that a service that never fails is promoted: without failures nothing can be compared.
    """
    min_exposures: Annotated[int, msgspec.Meta(ge=0)] = 100
    """Exposures that the canary needs before it can be found healthy.

    A regression needs no minimum: its evidence is valid at any count.
    """
    stratify_by: StratifyBy = StratifyBy.NONE
    """Compare like with like where the arms get different traffic: each route by itself."""
    shares_settle_after: Seconds = Seconds(60)
    """How long after the start of a phase the router may take to give the arms their shares."""
    lateness: Seconds = Seconds(5)
    """How long, in event time, a tick waits for the slower arm."""
    drain_after: Seconds = Seconds(3)
    """How long others must have traffic, and the canary none, until a rollback is verified."""
    escalate_after: Seconds = Seconds(60)
    """How long after a rollback its traffic may last before people are called."""
    decision_expires_after: Seconds = Seconds(900)
    """How long a decision may be delivered; after that it is stale."""
    business_hours: BusinessHours | None = None
    """When a phase may be left for the next one; at any hour without."""
    freezes: list[Freeze] = []
    """Times in which no phase is left for the next one."""
    watch_after: Seconds = Seconds(0)
    """How long a release that was promoted is still compared, while its baseline has traffic."""
    close_after: Seconds = Seconds(7 * 86_400)
    """How long neither arm may have exposures until an open rollout is closed."""
    cooldown: Seconds = Seconds(0)
    """How long after a rollback the same release is not taken again, unless a person says so."""
    autodetect: bool = False
    """Open a rollout when a release never seen before appears beside a known one."""
    metrics: list[Metric] = msgspec.field(default_factory=_default_metrics)
    """What must not get worse; errors, crashes, latency, and each crash group and log template by
    itself, where none is given."""
    phases: list[Phase] = msgspec.field(default_factory=lambda: [Phase()])
    """In the order in which they follow; one of the name ``canary`` where none is given."""

    def tolerance_of(self, metric: Metric) -> float:
        """The metric's own tolerance, or the policy's."""
        return self.tolerance if metric.tolerance is None else metric.tolerance

    def negligible_rate_of(self, metric: Metric) -> float:
        """The metric's own negligible rate, or the policy's; 0 where less is worse."""
        if metric.direction is Direction.DECREASE:
            return 0.0
        own = metric.negligible_rate
        return self.negligible_rate if own is None else own

    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the policy's content, however it was written."""
        content = msgspec.json.encode(self, order="sorted", enc_hook=float)
        return hashlib.sha256(content).hexdigest()[:12]


def load_policy(path: Path) -> Policy:
    """Read and check one policy file.

    Raises:
        ConfigError: with file, line, field, value and what was expected.
    """
    from contracts.policy_checks import wrong  # noqa: PLC0415 - it speaks of the types above

    policy = load(path, Policy)
    for field, expected, value in wrong(policy):
        raise ConfigError(str(path), expected, field=field, value=value)
    return policy


class Policies:
    """The policy of every service: its own, or the one of ``*``.

    >>> Policies({"checkout": Policy(service="checkout")})["search"].service
    '*'
    """

    def __init__(
        self,
        by_service: Mapping[str, Policy] | None = None,
        crash_rules: CrashRules = NO_CRASH_RULES,
    ) -> None:
        self._by_service = {"*": Policy(), **(by_service or {})}
        self.crash_rules = crash_rules
        self.units = frozenset(
            metric.unit for policy in self._by_service.values() for metric in policy.metrics
        )
        """What any policy counts by; nothing else need be counted."""
        self.counters = frozenset(
            name
            for policy in self._by_service.values()
            for metric in policy.metrics
            for name in (metric.of, metric.bad)
            if name
        )
        """Those that any metric is about."""
        self.severities = frozenset(
            metric.bad.removeprefix("log.")
            for policy in self._by_service.values()
            for metric in policy.metrics
            if metric.kind is MetricKind.GROUPS and metric.bad.startswith("log.")
        )
        """Severities whose lines any policy judges template by template."""

    def take(self, other: Policies) -> None:
        """Become the other, for all who hold this one."""
        vars(self).update(vars(other))

    def __getitem__(self, service: str) -> Policy:
        """The policy that this service is judged by."""
        return self._by_service.get(service) or self._by_service["*"]

    def __contains__(self, service: str) -> bool:
        """Whether a service has a policy of its own."""
        return service in self._by_service

    def is_stratified(self, service: str) -> bool:
        """Whether its events are counted route by route."""
        return self[service].stratify_by is StratifyBy.ROUTE


def load_policies(directory: Path) -> Policies:
    """Every ``*.yaml`` of a directory, by service; ``crash-rules.yaml`` has rules of crash groups.

    Tests of policies (``*.test.yaml``) may stand beside them.

    Raises:
        ConfigError: a file is wrong, or two files speak for one service.
    """
    policies: dict[str, Policy] = {}
    rules = NO_CRASH_RULES
    for path in sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]):
        if path.name.endswith(TESTS_SUFFIXES):
            continue
        if path.stem == CRASH_RULES_STEM:
            rules = load_crash_rules(path)
            continue
        policy = load_policy(path)
        if policy.service in policies:
            raise ConfigError(
                str(path), "another policy has this service", field="service", value=policy.service
            )
        policies[policy.service] = policy
    return Policies(policies, rules)
