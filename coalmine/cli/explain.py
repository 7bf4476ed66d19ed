"""``coalmine explain``: why something was decided, and what became of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from coalmine.api.bodies import Explanation
from coalmine.cli.asking import elasticsearch_client
from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.state import StateDirectory, api, servers
from coalmine.explaining import (
    DELIVERY_COLUMNS,
    METRIC_COLUMNS,
    delivery_rows,
    metric_rows,
    queries,
    summary,
)
from contracts import indices
from contracts.errors import ConfigError, Fatal, Recoverable
from contracts.journal import printable
from contracts.results import Decision, Delivery, Verdict
from contracts.settings import ElasticsearchSettings


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    epilog = "Example: coalmine explain checkout-1.5.0-20261123T101500.250/canary/rollback"
    app.command(epilog=epilog)(explain)


def explain(
    decision: Annotated[str, typer.Argument(help="The decision's id, as its webhook has it.")],
    state: StateDirectory = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why something was decided: numbers, thresholds, records, and who was told.

    Asks the API; where there is none, or it has forgotten, Elasticsearch.
    """
    found = _from_api(decision, state) or _from_elasticsearch(decision, servers(state)[1])
    if found is None:
        raise Fatal(f"no decision {decision} is known")
    asking = queries(found)
    if as_json:
        print_json({**msgspec.structs.asdict(found), "queries": asking})
        return
    for name, text in summary(found):
        sys.stdout.write(f"{name:<14}{printable(text)}\n")
    if found.verdict is not None and found.verdict.metrics:
        sys.stdout.write("\n")
        print_table(METRIC_COLUMNS, metric_rows(found.verdict))
    sys.stdout.write("\n")
    if found.deliveries:
        print_table(DELIVERY_COLUMNS, delivery_rows(found.deliveries))
    else:
        sys.stdout.write("Nobody was told of it.\n")
    for query in asking:
        sys.stdout.write(f"\n{query.shows}:\n  {printable(query.curl)}\n")


explain.__doc__ = f"{explain.__doc__}\n\n{EXIT_CODES}"


def _from_api(decision: str, state: Path | None) -> Explanation | None:
    try:
        settings = api(state)
    except ConfigError as error:
        if error.source != "COALMINE_API":
            raise
        return None
    from coalmine.api.client import ApiClient  # noqa: PLC0415 - slow to import

    try:
        with ApiClient(settings) as client:
            return client.decision(decision)
    except Recoverable as error:
        say(f"{error}; asking Elasticsearch")
        return None


def _from_elasticsearch(decision: str, settings: ElasticsearchSettings) -> Explanation | None:
    import elasticsearch  # noqa: PLC0415 - slow to import

    def search(index: indices.Index, field: str, value: str, size: int) -> list[dict[str, Any]]:
        found = client.search(
            index=index.pattern,
            query={"term": {field: value}},
            size=size,
            sort=[{"@timestamp": {"order": "asc", "unmapped_type": "date"}}],
            ignore_unavailable=True,
        )
        return [hit["_source"] for hit in found["hits"]["hits"]]

    try:
        with elasticsearch_client(settings) as client:
            decisions = search(indices.DECISIONS, "id", decision, 1)
            if not decisions:
                return None
            made = msgspec.convert(decisions[0], Decision, strict=False)
            verdicts = search(indices.ROLLOUTS, "rollout", made.rollout, 1)
            deliveries = search(indices.DELIVERIES, "decision", decision, 1000)
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        raise Recoverable(f"Elasticsearch at {settings.url} did not answer: {error}") from error
    verdict = msgspec.convert(verdicts[0], Verdict, strict=False) if verdicts else None
    if verdict is not None:
        for metric in verdict.metrics:
            metric.windows = []
    return Explanation(
        made, verdict, [msgspec.convert(one, Delivery, strict=False) for one in deliveries]
    )
