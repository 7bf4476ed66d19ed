"""``coalmine crashes``: list, look at, resolve and reopen crash groups."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coalmine.cli.asking import elasticsearch_client
from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.sending import send
from coalmine.cli.state import StateDirectory, servers
from contracts import topics
from contracts.clock import SystemClock
from contracts.config import seconds
from contracts.errors import ConfigError, Fatal
from contracts.journal import printable_lines
from contracts.results import CrashMark, CrashMarkKind
from contracts.settings import ElasticsearchSettings, absent_releases

if TYPE_CHECKING:
    from dashboard.queries.crash_records import GroupRecord

Service = Annotated[str, typer.Argument(help="The service's name (service.name).")]
Group = Annotated[
    str, typer.Argument(help="The group's fingerprint, as crashes list has it; its beginning does.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[str, typer.Option(help="How far back crashes are counted: 30m, 12h, 7d.")]
Reason = Annotated[str, typer.Option(help="Why, in one sentence, for those who read it later.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="List, look at and resolve crash groups.")
    group.command("list", epilog="Example: coalmine crashes list checkout --since 24h")(list_groups)
    group.command(epilog="Example: coalmine crashes show checkout 0f3a9c0e --json")(show)
    group.command(
        epilog="Example: coalmine crashes resolve checkout 0f3a9c0e --in 1.5.1 --reason fixed"
    )(resolve)
    group.command(epilog="Example: coalmine crashes reopen checkout 0f3a9c0e")(reopen)
    app.add_typer(group, name="crashes")


def list_groups(
    service: Service, since: Since = "7d", state: StateDirectory = None, *, as_json: AsJson = False
) -> None:
    """List the crash groups of a service, what needs a person first."""
    found = _groups(servers(state)[1], service, since)
    if as_json:
        print_json(found)
        return
    columns = ["group", "state", "count", "users", "first in", "last seen", "crash"]
    print_table(columns, [_row(record) for record in found])


def show(
    service: Service,
    group: Group,
    since: Since = "7d",
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one crash group: its releases, and a sample of the newest."""
    from dashboard.queries.crash_groups import fetch_samples  # noqa: PLC0415 - see elasticsearch_client

    settings = servers(state)[1]
    record = _the_one(_groups(settings, service, since), service, group)
    with elasticsearch_client(settings) as client:
        samples = fetch_samples(client, service, record.members)
    if as_json:
        print_json({"group": record, "samples": [_sample(one) for one in samples]})
        return
    print_table(["field", "value"], _facts(record))
    print_table(
        ["release", "count", "users", "first seen", "last seen"],
        [
            [r.release, str(r.count), str(r.users), _when(r.first), _when(r.last)]
            for r in record.releases
        ],
    )
    if samples:
        trace = str(samples[0].get("sample", {}).get("exception.stacktrace", ""))
        typer.echo("\n" + printable_lines(trace.strip()))


def resolve(
    service: Service,
    group: Group,
    release: Annotated[str, typer.Option("--in", help="The first release without the crash.")],
    reason: Reason = "",
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say that a crash is resolved in a release: seen there or later, it has regressed."""
    kafka, elasticsearch = servers(state)
    record = _the_one(_groups(elasticsearch, service, "365d"), service, group)
    if any(seen.release == release for seen in record.releases):
        raise ConfigError("--in", "that release has this crash: name one without", value=release)
    mark = _mark(service, record, CrashMarkKind.RESOLVED, release=release, reason=reason)
    send(topics.CRASH_MARKS, service, mark, kafka)
    _confirm(mark, f"{record.title} of {service} is resolved in {release}.", as_json=as_json)


def reopen(
    service: Service,
    group: Group,
    reason: Reason = "",
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Take back that a crash is resolved."""
    kafka, elasticsearch = servers(state)
    record = _the_one(_groups(elasticsearch, service, "365d"), service, group)
    mark = _mark(service, record, CrashMarkKind.REOPENED, reason=reason)
    send(topics.CRASH_MARKS, service, mark, kafka)
    _confirm(mark, f"{record.title} of {service} is open again.", as_json=as_json)


for _function in (list_groups, show, resolve, reopen):
    _function.__doc__ = f"{_function.__doc__}\n\n{EXIT_CODES}"


def _groups(settings: ElasticsearchSettings, service: str, since: str) -> list[GroupRecord]:
    from dashboard.queries.crash_groups import fetch_groups  # noqa: PLC0415 - see elasticsearch_client

    now_ms = SystemClock().now_ms()
    since_ms = now_ms - _duration_ms(since)
    with elasticsearch_client(settings) as client:
        return fetch_groups(client, service, since_ms, now_ms, absent_releases())


def _duration_ms(text: str) -> int:
    length = seconds(text)
    if length is None or length <= 0:
        raise ConfigError("--since", "expected a duration such as 30m, 12h or 7d", value=text)
    return int(length * 1000)


def _the_one(found: list[GroupRecord], service: str, group: str) -> GroupRecord:
    matching = [r for r in found if any(member.startswith(group) for member in r.members)]
    if not group or not matching:
        raise Fatal(f"no crash group {group} of {service} is known")
    if len(matching) > 1:
        raise ConfigError("GROUP", f"{len(matching)} groups begin so: give more", value=group)
    return matching[0]


def _mark(service: str, record: GroupRecord, kind: CrashMarkKind, **fields: str) -> CrashMark:
    return CrashMark(
        id=str(uuid.uuid4()),
        time=SystemClock().now_ms(),
        service=service,
        fingerprint=record.fingerprint,
        kind=kind,
        requested_by="cli",
        **fields,
    )


def _confirm(mark: CrashMark, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(mark)
    else:
        say(sentence)


def _sample(sighting: dict[str, Any]) -> dict[str, Any]:
    names = ("service.version", "@timestamp", "calls", "sample")
    return {name: sighting.get(name) for name in names}


def _row(record: GroupRecord) -> list[str]:
    return [
        record.fingerprint[:12],
        record.state.value,
        str(record.count),
        str(record.users),
        record.first_release,
        _when(record.last),
        record.title,
    ]


def _facts(record: GroupRecord) -> list[list[str]]:
    state = record.state.value
    if record.resolved_in:
        state += f", said to be resolved in {record.resolved_in}"
    return [
        ["group", record.fingerprint],
        ["state", state],
        ["crash", record.title],
        ["culprit", record.culprit],
        ["runtime", record.runtime],
        ["first seen", f"{_when(record.first)} in {record.first_release}"],
        ["last seen", f"{_when(record.last)} in {record.last_release}"],
        ["count", f"{record.total}, {record.count} of them since then"],
        ["users", str(record.users)],
    ]


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
