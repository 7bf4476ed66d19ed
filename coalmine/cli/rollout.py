"""``coalmine rollout``: open, look at, list and end rollouts."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, Exit, print_json, print_table, say
from coalmine.cli.sending import send
from coalmine.cli.state import StateDirectory, servers
from contracts import indices, topics
from contracts.clock import SystemClock
from contracts.errors import ConfigError, Fatal, Recoverable
from contracts.policy import Policy, load_policy
from contracts.results import RolloutCommand, RolloutCommandAction, RolloutStatus, Verdict
from contracts.settings import ElasticsearchSettings

_TIMEOUT_S = 15

Service = Annotated[str, typer.Argument(help="The service's name (service.name).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why, in one sentence, for those who read it later.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Open, look at, list and end rollouts.")
    group.command(
        epilog="Example: coalmine rollout start checkout --canary 1.5.0 --baseline 1.4.2"
    )(start)
    group.command(epilog="Example: coalmine rollout status checkout --json")(status)
    group.command("list", epilog="Example: coalmine rollout list --open")(list_rollouts)
    group.command(epilog='Example: coalmine rollout abort checkout --reason "wrong build"')(abort)
    group.command(
        "audit",
        epilog="Example: coalmine rollout audit checkout-1.5.0-20261123T101500.250 "
        "--policy policies/checkout.yaml. Exit codes: 0 the same, 1 different, "
        "2 wrong usage or configuration.",
    )(audit_rollout)
    app.add_typer(group, name="rollout")


def start(
    service: Service,
    canary: Annotated[str, typer.Option(help="Release under test (service.version).")],
    baseline: Annotated[
        str, typer.Option(help="Release beside it; the busiest one if not given.")
    ] = "",
    reason: Reason = "",
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask for a rollout: from now on the canary is judged beside the baseline."""
    command = _command(
        service, RolloutCommandAction.START, canary=canary, baseline=baseline, reason=reason
    )
    send(topics.ROLLOUTS, service, command, servers(state)[0])
    _confirm(command, f"Asked to watch {canary} of {service}.", as_json=as_json)


def abort(
    service: Service, reason: Reason = "", state: StateDirectory = None, *, as_json: AsJson = False
) -> None:
    """Ask to end the open rollout of a service without a verdict."""
    command = _command(service, RolloutCommandAction.ABORT, reason=reason)
    send(topics.ROLLOUTS, service, command, servers(state)[0])
    _confirm(command, f"Asked to end the open rollout of {service}.", as_json=as_json)


def status(service: Service, state: StateDirectory = None, *, as_json: AsJson = False) -> None:
    """Show the latest rollout of a service; it is an error when there is none."""
    found = _search(servers(state)[1], service=service, limit=1)
    if not found:
        raise Fatal(f"no rollout of {service} is known")
    if as_json:
        print_json(found[0])
        return
    print_table(["field", "value"], _facts(found[0]))


def list_rollouts(
    service: Annotated[str, typer.Option(help="Only those of this service.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    state: StateDirectory = None,
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those under way.")] = False,
    as_json: AsJson = False,
) -> None:
    """List rollouts, the latest first."""
    found = _search(servers(state)[1], service=service, limit=limit, only_open=only_open)
    if as_json:
        print_json(found)
        return
    columns = ["service", "canary", "baseline", "status", "outcome", "evidence", "opened"]
    print_table(columns, [_row(verdict) for verdict in found])


def audit_rollout(
    rollout: Annotated[
        str, typer.Argument(help="The rollout's id, as rollout list --json has it.")
    ],
    policy: Annotated[
        Path | None, typer.Option(help="Policy it was opened with; by default an empty one.")
    ] = None,
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Compute a rollout's evidence again from its stored windows, and compare."""
    from streams.judge.audit import audit  # noqa: PLC0415 - loads scipy

    rules = load_policy(policy) if policy else Policy()
    verdicts = _looks(servers(state)[1], rollout)
    if verdicts[-1].policy_hash != rules.content_hash():
        raise ConfigError(
            str(policy or "the empty policy"),
            f"the rollout was opened with the policy {verdicts[-1].policy_hash}",
            value=rules.content_hash(),
        )
    rows = audit(rules, verdicts)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["metric", "windows", "stored log10", "recomputed log10", ""],
            [
                [
                    r.name,
                    str(r.windows),
                    repr(r.stored),
                    repr(r.recomputed),
                    "same" if r.agrees else "DIFFERENT",
                ]
                for r in rows
            ],
        )
    if not all(row.agrees for row in rows):
        raise SystemExit(Exit.FAILED)


for _function in (start, abort, status, list_rollouts):
    _function.__doc__ = f"{_function.__doc__}\n\n{EXIT_CODES}"


def _command(service: str, action: RolloutCommandAction, **fields: str) -> RolloutCommand:
    return RolloutCommand(
        id=str(uuid.uuid4()),
        time=SystemClock().now_ms(),
        service=service,
        action=action,
        requested_by="cli",
        **fields,
    )


def _confirm(command: RolloutCommand, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(command)
    else:
        say(sentence)


def _search(
    settings: ElasticsearchSettings, *, service: str, limit: int, only_open: bool = False
) -> list[dict[str, Any]]:
    """The latest verdict of each rollout, latest rollout first."""
    import elasticsearch  # noqa: PLC0415 - slow to import

    client = elasticsearch.Elasticsearch(
        **settings.client_options(), request_timeout=_TIMEOUT_S, max_retries=1
    )
    try:
        answer = client.search(
            index=indices.ROLLOUTS.pattern,
            query={"bool": {"filter": rollout_filter(service=service, only_open=only_open)}},
            sort=[{"opened_at": {"order": "desc", "unmapped_type": "date"}}],
            size=limit,
            ignore_unavailable=True,
        )
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not answer: {error}") from error
    finally:
        client.close()
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def _looks(settings: ElasticsearchSettings, rollout: str) -> list[Verdict]:
    """Every look of one rollout, in order of time."""
    import elasticsearch  # noqa: PLC0415 - slow to import
    from elasticsearch import helpers  # noqa: PLC0415 - see above

    query = {"query": {"term": {"rollout": rollout}}}
    try:
        with elasticsearch.Elasticsearch(
            **settings.client_options(), request_timeout=_TIMEOUT_S, max_retries=1
        ) as client:
            hits = [*helpers.scan(client, index=indices.VERDICTS.pattern, query=query)]
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not answer: {error}") from error
    if not hits:
        raise Fatal(f"no look at a rollout {rollout} is stored")
    looks = (msgspec.convert(hit["_source"], Verdict, strict=False) for hit in hits)
    return sorted(looks, key=lambda verdict: verdict.time)


def rollout_filter(*, service: str, only_open: bool) -> list[dict[str, Any]]:
    """Clauses of the search for rollouts."""
    clauses: list[dict[str, Any]] = []
    if service:
        clauses.append({"term": {"service.name": service}})
    if only_open:
        clauses.append({"terms": {"status": [s.value for s in RolloutStatus if s.is_open]}})
    return clauses


def _row(verdict: dict[str, Any]) -> list[str]:
    return [
        str(verdict.get("service.name", "")),
        str(verdict.get("canary", "")),
        str(verdict.get("baseline", "")),
        str(verdict.get("status", "")),
        str(verdict.get("outcome", "")),
        f"{verdict.get('evidence_log10', 0.0):.2f}/{verdict.get('rollback_at_log10', 0.0):.2f}",
        _when(verdict.get("opened_at")),
    ]


def _facts(verdict: dict[str, Any]) -> list[list[str]]:
    facts = [
        ["rollout", str(verdict.get("rollout", ""))],
        ["service", str(verdict.get("service.name", ""))],
        ["canary", str(verdict.get("canary", ""))],
        ["baseline", str(verdict.get("baseline", ""))],
        ["phase", str(verdict.get("phase", ""))],
        ["status", str(verdict.get("status", ""))],
        ["outcome", str(verdict.get("outcome", ""))],
        ["action", str(verdict.get("action", ""))],
        ["reason", str(verdict.get("reason", ""))],
        ["opened", _when(verdict.get("opened_at"))],
        ["judged to", _when(verdict.get("@timestamp"))],
    ]
    for kind, events in (verdict.get("folded") or {}).items():
        facts.append([f"other {kind}s", f"{events} events: too many {kind}s to tell them apart"])
    return facts + [_metric_fact(metric) for metric in verdict.get("metrics", [])]


def _metric_fact(metric: dict[str, Any]) -> list[str]:
    risk = metric.get("relative_risk") or {}
    estimate, lower, upper = (_number(risk.get(name)) for name in ("estimate", "lower", "upper"))
    evidence = f"evidence {metric.get('evidence_log10', 0.0):.2f}"
    return [str(metric.get("name", "")), f"risk ×{estimate} ({lower} to {upper}), {evidence}"]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _when(time_ms: int | None) -> str:
    if time_ms is None:
        return ""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
