"""``coalmine topics``: makes Coalmine's topics on a Kafka of your own."""

from __future__ import annotations

from typing import Annotated

import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table
from coalmine.cli.state import StateDirectory, servers
from coalmine.stack.topics import ensure_topics
from contracts.topics import ALL


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: COALMINE_KAFKA=kafka:9092 coalmine topics")(topics)


def topics(
    state: StateDirectory = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the topics that are missing on Kafka, and list all of them.

    Those that are there stay as they are. COALMINE_PARTITIONS sets the partitions of new ones.
    """
    made = set(ensure_topics(servers(state)[0]))
    rows = [
        {"topic": t.name, "key": t.key, "carries": t.carries, "made": t.name in made} for t in ALL
    ]
    if as_json:
        print_json(rows)
        return
    table = [[str(r["topic"]), "made" if r["made"] else "there", str(r["carries"])] for r in rows]
    print_table(["topic", "now", "carries"], table)


topics.__doc__ = f"{topics.__doc__}\n\n{EXIT_CODES}"
