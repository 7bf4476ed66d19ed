"""``coalmine deadletters``: what was set aside, why, and how it is sent again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, Exit, print_json, print_table, say
from coalmine.cli.state import StateDirectory, servers
from coalmine.deadletters.letters import (
    Filters,
    chosen,
    origin_topic,
    payload_of,
    read_letters,
)
from contracts.clock import SystemClock
from contracts.config import seconds
from contracts.errors import ConfigError, InvalidRecord
from contracts.foreign import parse_time_ms
from contracts.results import DeadLetter

_SHOWN_BYTES = 4096

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Topic = Annotated[str, typer.Option(help="Only those that came from this topic.")]
Reason = Annotated[str, typer.Option(help="Only those with this reason, as list prints it.")]
Stage = Annotated[str, typer.Option(help="Only those that this stage set aside.")]
Since = Annotated[
    str, typer.Option(help="Only those since then: 30m, 24h, or 2026-11-23T10:00:00Z.")
]
Until = Annotated[str, typer.Option(help="Only those before then; written like --since.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Look at what was set aside; send it again.")
    group.command(
        "list", epilog="Example: coalmine deadletters list --topic coalmine.events --since 2h"
    )(list_letters)
    group.command(
        epilog="Example: coalmine deadletters show streams.aggregate:coalmine.events/0/17"
    )(show)
    group.command(
        epilog='Example: coalmine deadletters replay --reason "unknown schema" --since 24h'
    )(replay)
    app.add_typer(group, name="deadletters")


def list_letters(
    topic: Topic = "",
    reason: Reason = "",
    stage: Stage = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the latest first."""
    filters = _filters(topic, reason, stage, since, until)
    letters = _read(filters, state)
    if as_json:
        print_json([_facts(letter) for letter in letters[:limit]])
        return
    rows = [
        [_time(x.time), x.stage, x.reason, x.origin, _time(x.replayed_at)] for x in letters[:limit]
    ]
    print_table(["time", "stage", "reason", "origin", "replayed"], rows)
    if len(letters) > limit:
        say(f"{len(letters) - limit} more; --limit shows them.")


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Its id: stage:origin.")],
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with the bytes that were set aside."""
    [letter] = chosen(read_letters(servers(state)[0]), [letter_id])
    if as_json:
        print_json(_facts(letter) | {"payload": letter.payload})
        return
    rows = [[name, "" if value is None else str(value)] for name, value in _facts(letter).items()]
    print_table(["field", "value"], [*rows, ["payload", _readable(letter)]])


def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which ones.")] = None,
    topic: Topic = "",
    reason: Reason = "",
    stage: Stage = "",
    since: Since = "",
    until: Until = "",
    state: StateDirectory = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again: those named, or all that the filters choose.

    Each goes once, as its original bytes, to the topic it came from; what Elasticsearch refused
    goes to Elasticsearch. A letter that is bad again becomes a new one. Lines of files cannot be
    replayed.
    """
    filters = _filters(topic, reason, stage, since, until)
    if not ids and filters == Filters():
        raise ConfigError("coalmine deadletters replay", "expected ids, or a filter")
    from coalmine.deadletters.replay import Fate, Replayed, refusal  # noqa: PLC0415 - loads pandas
    from coalmine.deadletters.replay import replay as send_again  # noqa: PLC0415 - see above

    kafka, elasticsearch = servers(state)
    if ids:
        letters = chosen(read_letters(kafka), ids)
    else:
        letters = [letter for letter in _read(filters, state) if not refusal(letter)]
    if dry_run:
        done = [
            Replayed(x.id, Fate.REFUSED if refusal(x) else Fate.REPLAYED, refusal(x))
            for x in letters
        ]
    else:
        done = send_again(letters, kafka, elasticsearch)
    refused = [one for one in done if one.fate is Fate.REFUSED]
    if as_json:
        print_json([one._asdict() for one in done])
    else:
        for one in refused:
            say(f"{one.id}: {one.detail}")
        say(f"{len(done) - len(refused)} {'would be ' if dry_run else ''}sent again.")
    if refused:
        raise SystemExit(Exit.FAILED)


for _function in (list_letters, show, replay):
    _function.__doc__ = f"{_function.__doc__}\n\n{EXIT_CODES}"


def _read(filters: Filters, state: Any) -> list[DeadLetter]:  # noqa: ANN401 - typer's default
    letters = read_letters(servers(state)[0], filters.since)
    return [letter for letter in letters if filters.fit(letter)]


def _filters(topic: str, reason: str, stage: str, since: str, until: str) -> Filters:
    now = SystemClock().now_ms()
    return Filters(
        topic=topic,
        reason=reason,
        stage=stage,
        since=_moment("--since", since, now),
        until=_moment("--until", until, now),
    )


def _moment(option: str, text: str, now: int) -> int | None:
    """Epoch milliseconds of a time, or of so long ago."""
    if not text:
        return None
    if (ago := seconds(text)) is not None:
        return now - round(ago * 1000)
    try:
        return parse_time_ms(text)
    except InvalidRecord as error:
        expected = "expected a duration such as 24h, or a time such as 2026-11-23T10:00:00Z"
        raise ConfigError(option, expected, value=text) from error


def _facts(letter: DeadLetter) -> dict[str, Any]:
    facts = msgspec.to_builtins(letter)
    facts.pop("payload")
    return {"id": facts.pop("id"), "topic": origin_topic(letter), **facts}


def _time(time_ms: int | None) -> str:
    if time_ms is None:
        return ""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _readable(letter: DeadLetter) -> str:
    """The beginning of the bytes; those that are no printable text are escaped."""
    text = payload_of(letter)[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
