"""What Coalmine says: the documents on the results topics, in JSON but for partials.

Field names in JSON are ECS names where ECS has one (``@timestamp``, ``service.name``,
``service.version``, ``host.name``); times are epoch milliseconds, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

_ECS = {
    "time": "@timestamp",
    "service": "service.name",
    "release": "service.version",
    "host": "host.name",
}


class Outcome(StrEnum):
    """What was found. No data is never a regression and never health."""

    HEALTHY = "healthy"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


class Action(StrEnum):
    """What to do about it."""

    CONTINUE = "continue"
    HOLD = "hold"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class RolloutStatus(StrEnum):
    """Where a rollout is in its life."""

    RUNNING = "running"
    HOLDING = "holding"
    ROLLING_BACK = "rolling_back"
    TRAFFIC_STOPPED = "traffic_stopped"
    """As before, but no release has traffic any more: whether the canary is gone cannot be told."""
    ROLLED_BACK = "rolled_back"
    WATCHING = "watching"
    """Promoted, and still compared for ``watch_after``."""
    PROMOTED = "promoted"
    ABORTED = "aborted"
    CLOSED = "closed"
    """Ended without a decision: neither arm had exposures for ``close_after``."""

    @property
    def is_open(self) -> bool:
        """Whether the judge still looks at this rollout."""
        return self.is_draining or self in _LOOKED_AT

    @property
    def is_draining(self) -> bool:
        """Whether a rollback was decided and is not verified yet."""
        return self in (RolloutStatus.ROLLING_BACK, RolloutStatus.TRAFFIC_STOPPED)


_LOOKED_AT = (RolloutStatus.RUNNING, RolloutStatus.HOLDING, RolloutStatus.WATCHING)


class MetricKind(StrEnum):
    """How a metric is judged: bad outcomes per exposure, or a value that must not shift."""

    RATIO = "ratio"
    DISTRIBUTION = "distribution"
    GROUPS = "groups"
    """Bad outcomes per exposure of every crash group, or log template, by itself."""


# --- partials: what one telemetry message says about one service -----------------------------


class SparseHistogram(msgspec.Struct, array_like=True):
    """Counts of the bins of ``contracts.histogram`` that are not empty, bins ascending."""

    bins: list[int]
    counts: list[int]


Sums = tuple[int, int, int]
"""Of a histogram: number of values, sum of their bins, sum of the squares of their bins."""


class Cell(msgspec.Struct, kw_only=True, rename=_ECS, omit_defaults=True):
    """Counts of one release, host, arm and stratum within one tick.

    Of events a host's cell tells what the comparison of hosts asks for: how many there were, how
    many were bad, and ``sums``. Everything else is told of all hosts and agents together, in a cell
    that is ``is_of_all_hosts``, unless a metric is about it.

    ``counts`` are additive counters named as in ``docs/glossary.md``: ``request`` (exposures),
    ``request.bad``, ``request.bytes``, ``request.status.500``, ``crash``, ``log``, ``log.error``.
    ``histograms`` are named by their value: ``request.duration_ms``, ``host.cpu_percent``.
    """

    tick: int
    release: str
    host: str = ""
    agent: str = ""
    """The shipping agent, or ``topic/partition`` for foreign messages: whose watermark moves."""
    arm: str = ""
    is_of_all_hosts: bool = False
    """Whether it adds to what cells of hosts say, of which each has an agent that was heard."""
    last: int
    """Latest event time in this cell."""
    first_bad: int | None = None
    """Earliest event time of a bad outcome or crash in this cell."""
    counts: dict[str, int] = {}
    histograms: dict[str, SparseHistogram] = {}
    sums: dict[str, Sums] = {}
    """What the comparison of hosts asks of this host's histograms."""
    stratum: str = ""
    """What the load balancer routes on, where the policy says ``stratify_by``: the route."""
    units: dict[str, bytes] = {}
    """Sketches of the distinct sessions and users behind counters: ``request@session``.

    The counter of the same name says how many of the events had such an id.
    """
    groups: dict[str, int] = {}
    """Counts of crash groups and log templates: ``crash/<id>``, ``log.error/<id>``.

    As in ``counts``, ``crash/<id>@session`` says how many of them had an id; its sketch is in
    ``units`` beside it.
    """
    titles: dict[str, str] = {}
    """What people call these groups: of each one at least once in a partial."""


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a partial comes from: a stretch of messages of one telemetry partition."""

    topic: str
    partition: int
    offset: int
    """Offset of the last message."""
    first: int = -1
    """Offset of the first one; by default the same."""
    without: tuple[int, ...] = ()
    """Offsets between them that were fenced or set aside: they are no part of it."""

    @property
    def place(self) -> str:
        """``topic/partition``."""
        return f"{self.topic}/{self.partition}"

    @property
    def start(self) -> int:
        """Offset of the first message."""
        return self.offset if self.first < 0 else self.first


class Partial(msgspec.Struct, kw_only=True, rename=_ECS):
    """Everything a stretch of telemetry messages says about one service; the judge adds them up.

    Without a ``source`` it is a heartbeat: nothing came for a while, so what is pending is judged.
    """

    service: str
    folded: list[str] = []
    """Services beyond the limit that this one stands for."""
    source: Source | None = None
    sent_at: int
    """When the last of its messages arrived, or the heartbeat was sent; epoch milliseconds."""
    arrived_at: int = 0
    """When the first of its messages arrived."""
    counted_at: int = 0
    """By the clock of the worker that counted them; 0 if nobody said."""
    listening_since: int = 0
    """Of a heartbeat: since when its sender would have heard anything, epoch milliseconds."""
    cells: list[Cell] = []


_PARTIALS = msgspec.msgpack.Decoder(Partial)
_WRITTEN_PARTIALS = msgspec.json.Decoder(Partial)


def encode_partial(partial: Partial) -> bytes:
    """A partial as it travels: MessagePack, as half of it are the hashes of units."""
    return msgspec.msgpack.encode(partial)


def decode_partial(data: bytes) -> Partial:
    """A partial that travelled, also in JSON: heartbeats do, and what older workers have left.

    Raises:
        msgspec.DecodeError: it is none.

    >>> partial = Partial(service="checkout", sent_at=7)
    >>> decode_partial(encode_partial(partial)) == partial
    True
    >>> decode_partial(b'{"service.name": "checkout", "sent_at": 7}') == partial
    True
    """
    decoder = _WRITTEN_PARTIALS if data[:1] == b"{" else _PARTIALS
    return decoder.decode(data)


# --- windows, verdicts, decisions ------------------------------------------------------------


class Window(msgspec.Struct, kw_only=True, rename=_ECS):
    """Counts of one release over one storage window ``[time, time + window_s)``.

    A window that late records reopen is written as a further ``part``: readers add the parts up.
    """

    time: int
    service: str
    release: str
    arm: str = ""
    window_s: int
    part: str
    counts: dict[str, int]
    histograms: dict[str, SparseHistogram]
    units: dict[str, bytes] = {}
    """Theta sketches of the distinct units (``request@session``, ``crash@user``) of a stretch that
    begins in this window: in a part of their own, named ``UNITS_PART``, which counts nothing."""
    version: int = 0
    """How many messages its service's state had taken in: of two copies the later one counts."""


UNITS_PART = "units-"
"""How the ``part`` of a window begins that carries units."""


class RelativeRisk(msgspec.Struct, kw_only=True):
    """Canary rate divided by baseline rate, with the 95 % interval that holds at all times.

    ``None`` where the data say nothing yet: ``upper`` has no bound, for example, while the baseline
    has had no bad outcome.
    """

    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None


class ArmCounts(msgspec.Struct, kw_only=True):
    """The same figure of both arms."""

    canary: float = 0
    baseline: float = 0


class Needed(msgspec.Struct, kw_only=True):
    """Forecast: what is still needed until a harm of the size given would be seen."""

    harm: float
    exposures: int | None = None
    bad: int | None = None
    seconds: int | None = None


class MetricWindow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stretch of time in one stratum, as a metric judged it: exposures and bad outcomes.

    A distribution metric has the values of both arms instead. The windows of all looks at a
    rollout, in order, give its evidence again to the last digit (``streams.judge.audit``).
    """

    stratum: str = ""
    canary_bad: float = 0.0
    baseline_bad: float = 0.0
    canary_exposures: float = 0.0
    baseline_exposures: float = 0.0
    canary_values: SparseHistogram | None = None
    baseline_values: SparseHistogram | None = None
    groups: dict[str, tuple[float, float]] = {}
    """Outcomes of canary and baseline by group, for a metric of groups."""


class Contributor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A part of a metric's difference: a stratum, the values above a limit, or a group.

    ``canary`` and ``baseline`` are rates: bad outcomes per exposure, or the share of values above.
    """

    name: str
    canary: float
    baseline: float
    group: str = ""
    """``crash/<fingerprint>`` or ``log.error/<template>``."""
    evidence_log10: float = 0.0
    """Of a group by itself."""
    is_new: bool = False
    """Whether a group was never seen before this rollout."""


class Placebo(msgspec.Struct, kw_only=True):
    """How much the baseline's hosts differ among themselves, which no release can be blamed for."""

    hosts: int
    """Baseline hosts that were compared with one another."""
    sd: float
    """Standard deviation of the logarithm of their rates, or values, beyond chance."""
    tolerance: float
    """Relative difference between the arms that such hosts explain: the least tolerance."""


class MetricVerdict(msgspec.Struct, kw_only=True):
    """One metric's share of a verdict."""

    name: str
    kind: MetricKind
    outcome: Outcome
    relative_risk: RelativeRisk
    evidence_log10: float
    promotion_log10: float
    exposures: ArmCounts
    bad: ArmCounts
    """Bad outcomes of a ratio metric; the medians of a distribution metric."""
    tolerance: float | None = None
    """Largest relative harm that is accepted: the policy's, or the placebo's where that is more."""
    is_critical: bool = True
    """Whether it can roll back; one that cannot only holds the promotion."""
    is_judged: bool = True
    """Whether it is judged in this phase; evidence of its own phases stays."""
    placebo: Placebo | None = None
    contributors: list[Contributor] = []
    """The strata, or the tail, in which the arms differ most; largest first."""
    needed: Needed | None = None
    windows: list[MetricWindow] = []
    """What this look added to the evidence; empty where nothing new was complete."""
    known_groups: int = 0
    """How many groups the service had before the rollout: what a group weighs depends on it."""
    new_groups: list[str] = []
    """Groups in ``windows`` that it did not have."""


class PhaseProgress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One phase of a rollout: what the policy asks of it, and how far it came."""

    name: str
    exposure: float | None = None
    users: str = ""
    """The group of users that gets the canary in it, where the policy names one."""
    min_duration_s: float = 0.0
    min_exposures: int = 0
    max_duration_s: float | None = None
    started_at: int | None = None
    """Epoch milliseconds of event time; ``None`` before it begins."""
    ended_at: int | None = None
    exposures: int = 0
    """Of the canary in this phase."""


class Verdict(msgspec.Struct, kw_only=True, rename=_ECS):
    """What one look found; also the state of its rollout, so that the last one tells all."""

    time: int
    """End of the last tick that was judged."""
    processed_time: int
    service: str
    rollout: str
    canary: str
    baseline: str
    phase: str
    phase_started_at: int
    opened_at: int
    status: RolloutStatus
    outcome: Outcome
    action: Action
    reason: str
    """One sentence for people."""
    evidence_log10: float
    promotion_log10: float
    rollback_at_log10: float
    """The evidence that fires a rollback: log10(1/α)."""
    promote_at_log10: float
    share: float | None = None
    """Canary's share of the exposures of this look, 0 to 1."""
    sample_ratio_log10: float | None = None
    """Evidence that the arms do not get the configured shares; ``None`` where none is set."""
    guilty_metric: str | None = None
    guilty_group: Contributor | None = None
    """The crash group, or log template, that speaks most for harm."""
    metrics: list[MetricVerdict] = []
    needed: Needed | None = None
    first_bad_event_at: int | None = None
    policy_hash: str = ""
    decided_at: int | None = None
    rollback_verified: bool = False
    drained_at: int | None = None
    """End of the last tick in which the canary had exposures, once the rollback is verified."""
    flag: str = ""
    """The feature flag whose variants are the arms; empty where releases are."""
    exposure: float | None = None
    """The canary's share that the phase configures."""
    phases: list[PhaseProgress] = []
    held_because: str = ""
    """Why a phase is not left although health is shown: a person, a freeze, the hour."""
    folded: dict[str, int] = {}
    """Kind of label (``route``, ``release``, …) to the events counted as ``other`` because their
    service has too many such labels.
    """
    version: int = 0
    """How many messages its service's state had taken in: of two copies the later one counts."""


class DecisionAction(StrEnum):
    """What a decision asks for, or tells, the outside world."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK_VERIFIED = "rollback_verified"
    ABORTED = "aborted"
    """Ended from outside, by a person or a newer release: what was decided before is void."""
    ESCALATE = "escalate"
    RETURNED = "returned"
    """A release that was rolled back has traffic again."""


class Decision(msgspec.Struct, kw_only=True, rename=_ECS):
    """What must be done; its id is ``<rollout>/<phase>/<action>`` and never says two things.

    The second stay in a phase, and the second return of a release, have a number: ``<phase>~2``.
    """

    id: str
    time: int
    processed_time: int
    expires_at: int
    """After this moment the decision is stale and must not be sent."""
    service: str
    rollout: str
    canary: str
    baseline: str
    phase: str
    action: DecisionAction
    outcome: Outcome
    reason: str
    guilty_metric: str | None = None
    guilty_group: Contributor | None = None
    relative_risk: RelativeRisk
    evidence_log10: float
    policy_hash: str = ""
    undelivered_to: str = ""
    """The endpoint that could not be told, where that is why people are called."""
    flag: str = ""
    """The feature flag whose variants are the arms; empty where releases are."""
    next_phase: str = ""
    """The phase that a promotion leads to; empty after the last one."""
    exposure: float | None = None
    """The canary's share from now on: of the next phase after a promotion (1 after the last one),
    0 after a rollback, of the earlier ``phase`` that a person sent the rollout back to (a hold),
    ``None`` where nothing is said of it."""
    hosts: list[str] = []
    """Globs of the hosts that run the canary from now on, where the policy names them."""
    users: str = ""
    """The group of users that gets the canary from now on, where the policy names one."""
    notify: list[str] = []
    """The endpoints that are told, where the phase names them."""
    requested_by: str = ""
    """Who asked for it, where a person overrode the evidence; ``reason`` is theirs."""


def decision_id(rollout: str, phase: str, action: DecisionAction) -> str:
    """Deterministic id, the webhook's idempotency key."""
    return f"{rollout}/{phase}/{action.value}"


class DeliveryOutcome(StrEnum):
    """How one attempt, or the whole delivery, ended."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    REFUSED = "refused"
    EXPIRED = "expired"
    OBSOLETE = "obsolete"
    """Its rollout ended, or a later decision took its place, before it could be delivered."""
    SILENCED = "silenced"
    """A person said that nobody is to be told of this for a while."""
    EXHAUSTED = "exhausted"
    NOT_SENT = "not_sent"
    """A person asked for it to be sent again, and it must not be: no attempt was made."""


class Delivery(msgspec.Struct, kw_only=True, rename=_ECS):
    """Record of one attempt to tell one endpoint of one decision."""

    id: str
    """``<decision id>/<endpoint>/<attempt>``."""
    time: int
    decision: str
    service: str
    rollout: str
    action: DecisionAction
    endpoint: str
    url: str
    """Without user info and query: they may hold secrets."""
    attempt: int
    outcome: DeliveryOutcome
    status: int | None = None
    reason: str = ""
    """Named cause of a failure, for example ``timeout`` or ``http 503``."""
    duration_ms: float = 0.0
    body: str = ""
    is_circuit_open: bool = False
    """Whether, after this attempt, the endpoint's circuit is open: it is only probed."""
    requested_by: str = ""
    """Who sent it again by hand; empty where the alerter did by itself."""
    request_reason: str = ""
    """Why, in that person's words."""
    request: str = ""
    """Id of the ``ResendRequest`` that it answers."""
    steps: list[str] = []
    """Each request of the attempt and how it was answered, where it took more than one."""
    verified: bool | None = None
    """Whether the tool was seen to have done what it took on; ``None`` where it was not asked, or
    did not say."""


class ResendRequest(msgspec.Struct, kw_only=True, rename=_ECS):
    """What a person asks of the alerter on ``coalmine.resends``; answered by one ``Delivery``."""

    id: str
    """Idempotency key: the same id twice is one request."""
    time: int
    decision: str
    """Id of what is to be sent once more."""
    decided_at: int
    """The decision's processed time, epoch milliseconds: from there on it is looked for."""
    service: str
    rollout: str
    action: DecisionAction
    endpoint: str
    reason: str
    requested_by: str
    is_forced: bool = False
    """Whether it is sent although it expired or was overruled."""


class RolloutCommandAction(StrEnum):
    """What a person or a deploy tool asks of a rollout."""

    START = "start"
    ABORT = "abort"
    """End it without a decision."""
    HOLD = "hold"
    """Stay in this phase until ``resume``, whatever the evidence says; a rollback still fires."""
    RESUME = "resume"
    PHASE = "phase"
    """Go to a phase, forward or back."""
    PROMOTE = "promote"
    """Override: leave this phase for the next one."""
    ROLLBACK = "rollback"
    """Override: roll back."""


class RolloutCommand(msgspec.Struct, kw_only=True, rename=_ECS):
    """A request on ``coalmine.rollouts``: open a rollout, steer it, or end it."""

    id: str
    """Idempotency key: the same id twice is one request."""
    time: int
    service: str
    action: RolloutCommandAction
    canary: str = ""
    baseline: str = ""
    flag: str = ""
    """A feature flag: ``canary`` and ``baseline`` are then two of its variants."""
    phase: str = ""
    """Where to begin, or where to go."""
    reason: str = ""
    requested_by: str = ""


class AnswerCode(StrEnum):
    """What became of a command."""

    ACCEPTED = "accepted"
    ALREADY_OPEN = "already_open"
    """A rollout of this very canary is under way: nothing was changed."""
    REPLACED = "replaced"
    """Accepted; the open rollout of another canary was ended by it."""
    NO_OPEN_ROLLOUT = "no_open_rollout"
    RUNNING_RELEASE = "running_release"
    """The canary is the only release with traffic, or its own baseline."""
    UNKNOWN_PHASE = "unknown_phase"
    COOLDOWN = "cooldown"
    """It was rolled back lately (``cooldown``)."""
    CLOCK_SKEW = "clock_skew"
    """The command's time is more than ten minutes from the worker's."""
    NOT_NOW = "not_now"
    """The rollout is in a state in which this cannot be asked: its rollback is under way."""
    REASON_MISSING = "reason_missing"
    """An override needs a reason."""
    RELEASE_MISSING = "release_missing"
    """A start needs the release, or the variant, that is the canary."""

    @property
    def is_accepted(self) -> bool:
        """Whether the command did what it asked for."""
        return self in (AnswerCode.ACCEPTED, AnswerCode.REPLACED, AnswerCode.ALREADY_OPEN)


class Answer(msgspec.Struct, kw_only=True, rename=_ECS):
    """What the judge made of one command, on ``coalmine.answers``; the audit trail of people.

    The same command twice is answered the same way twice.
    """

    id: str
    """The command's."""
    time: int
    """When it was answered, epoch milliseconds of processed time."""
    service: str
    action: RolloutCommandAction
    code: AnswerCode
    message: str
    """One sentence for people."""
    rollout: str = ""
    """The rollout it was about, or opened."""
    canary: str = ""
    baseline: str = ""
    flag: str = ""
    phase: str = ""
    reason: str = ""
    """The command's."""
    requested_by: str = ""
    version: int = 0
    """How many messages its service's state had taken in."""


class CrashGroupSighting(msgspec.Struct, kw_only=True, rename=_ECS):
    """How often one telemetry message showed one crash group in one release and arm.

    Sightings of a group add up: its count is their sum, first seen their earliest ``first``, its
    users the union of theirs.
    """

    id: str
    time: int
    """Latest crash in this sighting."""
    first: int
    service: str
    release: str
    fingerprint: str
    algorithm: str
    title: str
    culprit: str
    runtime: str
    count: int
    arm: str = ""
    """As the crashes say it, where a feature flag separates canary from baseline."""
    base: str = ""
    """The fingerprint before a rule of the user merged or split it; empty where none did."""
    users: list[int] = []
    """Hashes of the distinct users, 63 bits each: Elasticsearch makes the sketch of any of them."""
    is_sampled: bool = False
    sample: dict[str, Any] = {}
    """One crash in full but bounded, by its JSON names; not every sighting has one."""
    calls: list[str] = []
    """With the sample: the calls that made the fingerprint, outermost first."""


class CrashMarkKind(StrEnum):
    """What a person said of a crash group."""

    RESOLVED = "resolved"
    REOPENED = "reopened"
    """What was said before is void."""


class CrashMark(msgspec.Struct, kw_only=True, rename=_ECS):
    """What a person said of one crash group of one service; the newest mark counts."""

    id: str
    time: int
    service: str
    fingerprint: str
    kind: CrashMarkKind
    release: str = ""
    """The first release without the crash, where it is resolved."""
    reason: str = ""
    requested_by: str = ""


class DeadLetter(msgspec.Struct, kw_only=True, rename=_ECS):
    """A record set aside with its cause; ``payload`` is base64 of the original bytes."""

    id: str
    time: int
    stage: str
    """The part that set it aside, for example ``ingest.parse`` or ``streams.aggregate``."""
    reason: str
    detail: str = ""
    origin: str
    """``file:position`` or ``topic/partition/offset``."""
    service: str = ""
    payload: str = ""
    truncated: bool = False
    schema: str = ""
    """The ``schema`` header of the message; empty for JSON, and for what was no message."""
    replayed_at: int | None = None
    """When it was sent again; a letter is sent again once."""
