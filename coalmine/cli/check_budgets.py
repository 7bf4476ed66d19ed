"""``coalmine check --traffic``, ``--from-telemetry``: warnings about budgets that cannot work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.cli.asking import elasticsearch_client
from coalmine.cli.output import say
from coalmine.policies.rates import per_second, share_of_one
from contracts.clock import SystemClock
from contracts.config import Document
from contracts.errors import ConfigError, Recoverable
from contracts.policy import Policy, load_policy
from contracts.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from coalmine.policies.budgets import Flow, Shortfall

_SINCE_MS = 86_400_000
"""How much of the past says what a service's traffic is, milliseconds."""

TrafficOption = Annotated[
    str,
    typer.Option(
        "--traffic", help="Exposures of both arms together, as 20/s: warn of phases too short."
    ),
]
FailureRateOption = Annotated[
    str, typer.Option("--failure-rate", help="Bad outcomes each, as 0.1%; with --traffic.")
]
FromTelemetry = Annotated[
    bool,
    typer.Option("--from-telemetry", help="Take both from what Elasticsearch has of a day."),
]

Flows = list[tuple[str, Mapping[str, "Flow"]]]
"""Service, empty where flags say it, to the flow of each metric."""
FlowsFor = Callable[[Policy], Flows]


def given_flows(traffic: str, failure_rate: str) -> FlowsFor | None:
    """The flows that the flags say of every policy; ``None`` where they say nothing.

    Raises:
        ConfigError: one flag without the other, or a value that is none.
    """
    if not traffic and not failure_rate:
        return None
    per_s, rate = per_second(traffic), share_of_one(failure_rate)
    if per_s is None or per_s <= 0:
        raise ConfigError("--traffic", "expected a rate such as 20/s or 1200/m", value=traffic)
    if rate is None:
        raise ConfigError("--failure-rate", "expected a share such as 0.1%", value=failure_rate)

    def of_policy(policy: Policy) -> Flows:
        from coalmine.policies.budgets import Flow, flows_of  # noqa: PLC0415 - loads scipy

        return [("", flows_of(policy, Flow(per_s, rate)))]

    return of_policy


def seen_flows(settings: ElasticsearchSettings, policies: Collection[Policy]) -> FlowsFor | None:
    """What Elasticsearch shows of these policies' services; ``None`` where it does not answer.

    The policy of ``*`` is looked at with every service that has none of its own here.
    """
    from coalmine.policies import observed  # noqa: PLC0415 - loads scipy

    counters = list(dict.fromkeys(c for policy in policies for c in observed.counters_of(policy)))
    now_ms = SystemClock().now_ms()
    try:
        with elasticsearch_client(settings) as client:
            seen = observed.fetch_services(
                client, counters, since_ms=now_ms - _SINCE_MS, until_ms=now_ms
            )
    except Recoverable as error:
        say(f"coalmine: budgets were not looked at: {error}")
        return None
    named = {policy.service for policy in policies}

    def of_policy(policy: Policy) -> Flows:
        return [
            (one.name, observed.flows_seen(policy, one))
            for one in seen
            if one.name == policy.service or (policy.service == "*" and one.name not in named)
        ]

    return of_policy


def warnings_of(path: Path, flows_for: FlowsFor) -> Iterator[tuple[Shortfall, int | None, str]]:
    """Budgets of one policy file that cannot work: what, in which line, and the sentence."""
    from coalmine.policies.budgets import shortfalls  # noqa: PLC0415 - loads scipy

    policy = load_policy(path)
    document = Document.read(path)
    for service, flows in flows_for(policy):
        for found in shortfalls(policy, flows):
            line = document.line_of(found.field)
            where = f"{path}:{line}" if line else str(path)
            of = f" (of {service})" if service else ""
            yield found, line, f"{where}: {found.message}{of}"
