"""Seeded documents for the dashboard: a rollout told as the indexer would store it.

Figures come from a small simulation, so that plots look like life; nothing here judges anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from contracts import indices
from contracts.histogram import bins_of
from contracts.results import (
    Action,
    ArmCounts,
    Contributor,
    CrashGroupSighting,
    Decision,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    MetricKind,
    MetricVerdict,
    Needed,
    Outcome,
    Placebo,
    RelativeRisk,
    RolloutStatus,
    SparseHistogram,
    Verdict,
    Window,
    decision_id,
)

Documents = list[tuple[indices.Index, str, dict[str, Any]]]
ALPHA_LOG10, BETA_LOG10 = 2.0, math.log10(20)
TRACE = """Traceback (most recent call last):
  File "/srv/checkout/handlers.py", line 88, in pay
    receipt = totals.settle(cart, coupon)
  File "/srv/checkout/totals.py", line 41, in settle
    discount = coupon.percent / cart.items
ZeroDivisionError: division by zero"""


def install_templates(client: Elasticsearch) -> None:
    """Put the index templates, as the indexer does in production."""
    for index in indices.ALL:
        client.indices.put_index_template(name=f"coalmine-{index.name}", body=index.template())


def write(client: Elasticsearch, documents: Documents) -> None:
    """Store documents under their ids, and make them searchable at once."""
    actions = (
        {"_index": _index_of(index, body), "_id": key, "_source": body}
        for index, key, body in documents
    )
    bulk(client, actions, refresh=True)


def _index_of(index: indices.Index, body: dict[str, Any]) -> str:
    time = body["opened_at"] if index is indices.ROLLOUTS else body["@timestamp"]
    return index.for_time(time)


@dataclass
class Story:
    """One rollout of a service, second by second.

    Args:
        opened_at: epoch milliseconds, a multiple of 10 seconds.
        bad_rate: canary's share of failing requests; the baseline's is 0.4 %.
        slower: factor of the canary's latency for one request in twelve.
    """

    service: str = "checkout"
    canary: str = "1.5.0"
    baseline: str = "1.4.2"
    opened_at: int = 1_795_428_000_000
    bad_rate: float = 0.02
    slower: float = 3.0
    requests_per_s: int = 240
    share: float = 0.1
    seed: int = 7
    message: str = "division by zero"
    looks: list[Verdict] = field(default_factory=list)

    @property
    def rollout(self) -> str:
        """The rollout's id."""
        return f"{self.service}-{self.canary}-{self.opened_at}"

    def traffic(self, seconds: int, *, until_share: int | None = None) -> Documents:
        """Windows of both arms, and a look each second; the canary's share ends with a rollback.

        Args:
            seconds: length of the story from opening on.
            until_share: second after which the canary has no traffic any more.
        """
        rng = np.random.default_rng(self.seed)
        documents: Documents = []
        total = {"canary": np.zeros(3), "baseline": np.zeros(3)}
        releases = {"canary": self.canary, "baseline": self.baseline}
        for start in range(-60, seconds, 10):
            for arm, release in releases.items():
                share = self._share(start, until_share)
                mean = self.requests_per_s * 10 * (share if arm == "canary" else 1 - share)
                if mean == 0:
                    continue
                counts, histogram = self._window(rng, arm, mean)
                time = self.opened_at + start * 1000
                documents.append(self._window_document(time, release, counts, histogram))
                if start >= 0:
                    self._add_looks(total, arm, counts, start)
        for look in self.looks:
            documents.append((indices.VERDICTS, f"{self.rollout}@{look.time}", plain(look)))
        documents.append((indices.ROLLOUTS, self.rollout, plain(self.looks[-1])))
        return documents

    def _share(self, second: int, until: int | None) -> float:
        if second < 0 or (until is not None and second >= until):
            return 0.0
        return self.share

    def _window(
        self, rng: np.random.Generator, arm: str, mean: float
    ) -> tuple[dict[str, int], SparseHistogram]:
        requests = int(rng.poisson(mean))
        rate = self.bad_rate if arm == "canary" else 0.004
        bad = int(rng.binomial(requests, rate))
        crashes = int(rng.binomial(bad, 0.7 if arm == "canary" and rate > 0.01 else 0.1))
        latency = np.exp(rng.normal(math.log(42), 0.42, requests))
        if arm == "canary":
            latency = np.where(rng.random(requests) < 1 / 12, latency * self.slower, latency)
        bins, numbers = np.unique(bins_of(latency), return_counts=True)
        counts = {"request": requests, "request.bad": bad, "crash": crashes}
        return counts, SparseHistogram(bins=bins.tolist(), counts=numbers.tolist())

    def _window_document(
        self, time: int, release: str, counts: dict[str, int], histogram: SparseHistogram
    ) -> tuple[indices.Index, str, dict[str, Any]]:
        window = Window(
            time=time,
            service=self.service,
            release=release,
            window_s=10,
            part="0",
            counts=counts,
            histograms={"request.duration_ms": histogram},
        )
        return indices.WINDOWS, f"{self.service}/{release}/{time}", plain(window)

    def _add_looks(
        self,
        total: dict[str, np.ndarray],
        arm: str,
        counts: dict[str, int],
        start: int,
    ) -> None:
        step = np.array([counts["request"], counts["request.bad"], counts["crash"]]) / 10
        if arm == "canary":
            self._pending = step
            return
        canary = getattr(self, "_pending", np.zeros(3))
        self._pending = np.zeros(3)
        for second in range(start + 1, start + 11):
            total["canary"] += canary
            total["baseline"] += step
            self.looks.append(self.look(second, total["canary"].copy(), total["baseline"].copy()))

    def look(self, second: int, canary: np.ndarray, baseline: np.ndarray) -> Verdict:
        """One verdict of a running rollout from running totals (requests, bad, crashes)."""
        metrics = [
            _ratio("error_rate", canary[0], canary[1], baseline[0], baseline[1]),
            _ratio("crash_rate", canary[0], canary[2], baseline[0], baseline[2]),
            _distribution(canary[0], baseline[0], self.slower),
            _groups(canary[0], canary[2], baseline[0], baseline[2]),
        ]
        evidence = max(m.evidence_log10 for m in metrics) - math.log10(3)
        return Verdict(
            time=self.opened_at + second * 1000,
            processed_time=self.opened_at + second * 1000 + 400,
            service=self.service,
            rollout=self.rollout,
            canary=self.canary,
            baseline=self.baseline,
            phase="canary",
            phase_started_at=self.opened_at,
            opened_at=self.opened_at,
            status=RolloutStatus.RUNNING,
            outcome=Outcome.INCONCLUSIVE,
            action=Action.CONTINUE,
            reason=(
                "The evidence does not yet tell the canary from its baseline; "
                f"{canary[0]:,.0f} canary requests were seen."
            ),
            evidence_log10=evidence,
            promotion_log10=-1.2 * evidence if evidence < 1 else -2.5,
            rollback_at_log10=ALPHA_LOG10,
            promote_at_log10=BETA_LOG10,
            share=self.share if canary[0] else None,
            metrics=metrics,
            needed=Needed(harm=0.5, exposures=9200, bad=64, seconds=95),
            policy_hash="5d1f0c2a9b3e",
        )

    def rolled_back(self, second: int, drained: int | None = None) -> Documents:
        """The rollback verdict at a second, with its decision; with the drained traffic if told."""
        last = self.looks[-1]
        of_ratios = [m for m in last.metrics if m.kind is not MetricKind.GROUPS]
        worst = max(of_ratios, key=lambda m: m.evidence_log10)
        time = self.opened_at + second * 1000
        reason = (
            f"Errors of {self.canary} are {worst.relative_risk.estimate:.1f} times those of "
            f"{self.baseline} (between {worst.relative_risk.lower:.1f} and "
            f"{worst.relative_risk.upper:.1f} times), more than the tolerated 1.1 times: "
            "the release is rolled back."
        )
        verdict = msgspec.structs.replace(
            last,
            status=RolloutStatus.ROLLED_BACK if drained else RolloutStatus.ROLLING_BACK,
            outcome=Outcome.REGRESSED,
            action=Action.ROLLBACK,
            reason=reason,
            guilty_metric=worst.name,
            evidence_log10=max(last.evidence_log10, 2.31),
            first_bad_event_at=self.opened_at + 3_200,
            decided_at=time,
            needed=None,
            rollback_verified=drained is not None,
            drained_at=None if drained is None else self.opened_at + drained * 1000,
            metrics=[
                msgspec.structs.replace(m, outcome=Outcome.REGRESSED) if m is worst else m
                for m in last.metrics
            ],
        )
        documents: Documents = [(indices.ROLLOUTS, self.rollout, plain(verdict))]
        documents.append(self.decision(DecisionAction.ROLLBACK, verdict, time))
        if drained is not None:
            at = self.opened_at + drained * 1000 + 3_000
            documents.append(self.decision(DecisionAction.ROLLBACK_VERIFIED, verdict, at))
        return documents

    def promoted(self, second: int) -> Documents:
        """The verdict that ends a good rollout."""
        time = self.opened_at + second * 1000
        verdict = msgspec.structs.replace(
            self.looks[-1],
            status=RolloutStatus.PROMOTED,
            outcome=Outcome.HEALTHY,
            action=Action.PROMOTE,
            reason=f"{self.canary} is no worse than {self.baseline} in any metric.",
            decided_at=time,
            needed=None,
        )
        decision = self.decision(DecisionAction.PROMOTE, verdict, time)
        return [(indices.ROLLOUTS, self.rollout, plain(verdict)), decision]

    def decision(
        self, action: DecisionAction, verdict: Verdict, time: int
    ) -> tuple[indices.Index, str, dict[str, Any]]:
        """One decision as stored."""
        key = decision_id(self.rollout, "canary", action)
        decision = Decision(
            id=key,
            time=time,
            processed_time=time + 300,
            expires_at=time + 900_000,
            service=self.service,
            rollout=self.rollout,
            canary=self.canary,
            baseline=self.baseline,
            phase="canary",
            action=action,
            outcome=verdict.outcome,
            reason=verdict.reason,
            guilty_metric=verdict.guilty_metric,
            relative_risk=RelativeRisk(),
            evidence_log10=verdict.evidence_log10,
        )
        return indices.DECISIONS, key, plain(decision)

    def deliveries(self, second: int, answers: Sequence[int | None] = (503, 204)) -> Documents:
        """One attempt per answer, a second apart; None is a timeout."""
        key = decision_id(self.rollout, "canary", DecisionAction.ROLLBACK)
        documents: Documents = []
        for attempt, status in enumerate(answers, start=1):
            is_good = status is not None and status < 300
            delivery = Delivery(
                id=f"{key}/deploy-tool/{attempt}",
                time=self.opened_at + second * 1000 + attempt * 700,
                decision=key,
                service=self.service,
                rollout=self.rollout,
                action=DecisionAction.ROLLBACK,
                endpoint="deploy-tool",
                url="http://127.0.0.1:8081/hooks/coalmine",
                attempt=attempt,
                outcome=DeliveryOutcome.DELIVERED if is_good else DeliveryOutcome.RETRYING,
                status=status,
                reason="" if is_good else "timeout" if status is None else f"http {status}",
                duration_ms=12.4 * attempt,
            )
            documents.append((indices.DELIVERIES, delivery.id, plain(delivery)))
        return documents

    def crashes(self) -> Documents:
        """Four groups: one that the canary brought, others that both arms have."""
        groups = (
            ("ZeroDivisionError", "checkout.totals:settle", 141, 0),
            ("TimeoutError", "checkout.stock:reserve", 18, 162),
            ("KeyError", "checkout.cart:load", 9, 88),
            ("ConnectionResetError", "checkout.pay:authorize", 4, 37),
        )
        documents: Documents = []
        for number, (kind, culprit, canary, baseline) in enumerate(groups):
            for release, count in ((self.canary, canary), (self.baseline, baseline)):
                if count:
                    documents.append(self._sighting(number, kind, culprit, release, count))
        return documents

    def _sighting(
        self, number: int, kind: str, culprit: str, release: str, count: int
    ) -> tuple[indices.Index, str, dict[str, Any]]:
        first = self.opened_at + 3_200 * (number + 1)
        if release == self.baseline:
            first -= 8_000
        message = self.message if number == 0 else f"{kind} while talking to the store"
        sighting = CrashGroupSighting(
            id=f"{self.service}/{release}/{number}",
            time=first + 20_000,
            first=first,
            service=self.service,
            release=release,
            fingerprint=f"{number}f3a9c{number}e2d17b44",
            algorithm="v1",
            title=f"{kind}: {message}",
            culprit=culprit,
            runtime="python",
            count=count,
            is_sampled=True,
            sample={
                "exception.type": kind,
                "exception.message": message,
                "exception.stacktrace": TRACE.replace("division by zero", message),
                "host.name": "web-3",
                "thread.name": "worker-2",
            },
        )
        return indices.CRASH_GROUPS, sighting.id, plain(sighting)


def plain(struct: Any) -> dict[str, Any]:
    """A struct as the document that the indexer stores."""
    document: dict[str, Any] = msgspec.to_builtins(struct, enc_hook=float)
    return document


def bad_rollout(opened_at: int, **changes: Any) -> tuple[Story, Documents]:
    """A canary that fails, is rolled back and loses its traffic, from beginning to end."""
    story = Story(opened_at=opened_at, **changes)
    documents = story.traffic(90, until_share=70)
    documents += story.rolled_back(56, drained=66) + story.deliveries(57) + story.crashes()
    return story, documents


def fleet(now_ms: int) -> Documents:
    """A handful of rollouts in every state, the one of ``checkout`` rolled back."""
    now_ms -= now_ms % 10_000
    _, documents = bad_rollout(now_ms - 100_000)
    others: Iterable[tuple[str, str, str, RolloutStatus, Outcome, float, int]] = (
        ("payments", "3.9.0", "3.8.4", RolloutStatus.HOLDING, Outcome.REGRESSED, 1.4, 4),
        ("search", "2026.11.2", "2026.11.1", RolloutStatus.RUNNING, Outcome.INCONCLUSIVE, 0.3, 9),
        ("catalog", "0.48.1", "0.48.0", RolloutStatus.RUNNING, Outcome.HEALTHY, -1.1, 22),
        ("mailer", "7.2.0", "7.1.9", RolloutStatus.RUNNING, Outcome.NO_DATA, 0.0, 2),
        ("web", "5512", "5508", RolloutStatus.PROMOTED, Outcome.HEALTHY, -2.2, 95),
        ("accounts", "4.0.0", "3.12.7", RolloutStatus.ABORTED, Outcome.INCONCLUSIVE, 0.1, 180),
    )
    for service, canary, baseline, status, outcome, evidence, minutes in others:
        story = Story(service, canary, baseline, now_ms - minutes * 60_000, bad_rate=0.004)
        story.slower = 1.0
        story.traffic(20)
        verdict = msgspec.structs.replace(
            story.looks[-1],
            status=status,
            outcome=outcome,
            evidence_log10=evidence,
            share=None if outcome is Outcome.NO_DATA else 0.05 * (1 + minutes % 5),
            guilty_metric="latency" if outcome is Outcome.REGRESSED else None,
        )
        documents.append((indices.ROLLOUTS, story.rollout, plain(verdict)))
    return documents


def _ratio(name: str, n: float, bad: float, base_n: float, base_bad: float) -> MetricVerdict:
    risk = RelativeRisk()
    evidence = 0.0
    if bad > 0.3 and base_bad > 0.3 and n:
        estimate = (bad / n) / (base_bad / base_n)
        width = math.exp(3.1 * math.sqrt(1 / bad + 1 / base_bad))
        risk = RelativeRisk(estimate=estimate, lower=estimate / width, upper=estimate * width)
        gain = bad * math.log(max(estimate, 1e-9)) - bad + bad / max(estimate, 1e-9)
        evidence = (gain if estimate > 1.1 else -0.4 * gain) / math.log(10) - 0.2
    return MetricVerdict(
        name=name,
        kind=MetricKind.RATIO,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=risk,
        evidence_log10=evidence,
        promotion_log10=-evidence,
        exposures=ArmCounts(canary=round(n), baseline=round(base_n)),
        bad=ArmCounts(canary=round(bad), baseline=round(base_bad)),
        tolerance=0.35 if name == "error_rate" else 0.1,
        placebo=Placebo(hosts=9, sd=0.1, tolerance=0.35) if name == "error_rate" else None,
    )


def _groups(n: float, bad: float, base_n: float, base_bad: float) -> MetricVerdict:
    """A new crash, most of the canary's, and one that both arms have."""
    guilty = [
        Contributor(
            name="KeyError: 'percent'",
            canary=0.8 * bad / max(n, 1),
            baseline=0.0,
            group="crash/8f0c2d",
            evidence_log10=bad / 20,
            is_new=True,
        ),
        Contributor(
            name="TimeoutError: supplier <number> did not answer",
            canary=0.2 * bad / max(n, 1),
            baseline=base_bad / max(base_n, 1),
            group="crash/11aa07",
            evidence_log10=0.2,
        ),
    ]
    return MetricVerdict(
        name="crash_groups",
        kind=MetricKind.GROUPS,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=RelativeRisk(),
        evidence_log10=bad / 25,
        promotion_log10=0.0,
        exposures=ArmCounts(canary=round(n), baseline=round(base_n)),
        bad=ArmCounts(canary=round(bad), baseline=0),
        contributors=guilty if bad > 5 else [],
        known_groups=12,
    )


def _distribution(n: float, base_n: float, slower: float) -> MetricVerdict:
    factor = 1 + (slower - 1) * 0.06
    width = math.exp(9 / math.sqrt(max(n, 1)))
    return MetricVerdict(
        name="latency",
        kind=MetricKind.DISTRIBUTION,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=RelativeRisk(estimate=factor, lower=factor / width, upper=factor * width),
        evidence_log10=(factor - 1) * n / 400,
        promotion_log10=-(factor - 1) * n / 400,
        exposures=ArmCounts(canary=round(n), baseline=round(base_n)),
        bad=ArmCounts(canary=42.0 * factor, baseline=42.0),
        contributors=[Contributor(name="above 180", canary=0.08 * factor, baseline=0.08)],
    )
