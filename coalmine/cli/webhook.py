"""``coalmine webhook``: receive what deploy tools would, and look at deliveries."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.state import StateDirectory, servers
from contracts.config import Secret, resolve_secret
from contracts.errors import ConfigError
from contracts.journal import printable
from contracts.results import Delivery

if TYPE_CHECKING:
    from coalmine.webhooks.receiver import Received

_DEFAULT_PORT = 8765

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Receive and list what tells deploy tools.")
    group.command(epilog="Example: coalmine webhook listen --secret-env COALMINE_WEBHOOK_SECRET")(
        listen
    )
    group.command(
        "list", epilog="Example: coalmine webhook list --service checkout --limit 5 --json"
    )(list_deliveries)
    app.add_typer(group, name="webhook")


def listen(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 for any.")] = _DEFAULT_PORT,
    secret_file: Annotated[
        Path | None, typer.Option(exists=True, help="File of the endpoint's secret.")
    ] = None,
    secret_env: Annotated[str, typer.Option(help="Variable of the endpoint's secret.")] = "",
    answer: Annotated[
        int | None, typer.Option(min=200, max=599, help="Answer this status, to try out retries.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Receive webhooks on this machine, verify them, and print each.

    Answers 204 to what verifies and 401 to what does not. Without a secret it makes one and tells
    it, with the lines for the endpoints file.

    Exit codes: 0 so many came, 2 wrong usage or configuration, 130 stopped.
    """
    from coalmine.webhooks.receiver import Listener, new_secret  # noqa: PLC0415 - loads cryptography

    def tell(received: Received) -> None:
        if as_json:
            sys.stdout.write(msgspec.json.encode(received).decode() + "\n")
        else:
            sys.stdout.write(printable(_line(received)) + "\n")
        sys.stdout.flush()

    given = _given_secret(secret_file, secret_env)
    secret = given or Secret(new_secret())
    listener = Listener(port, secret, answer, tell)
    say(f"Listening on {listener.url} (Ctrl-C ends it).")
    if given is None:
        say(_INVITATION.format(url=listener.url, secret=secret.reveal()))
    listener.serve(count)


_INVITATION = """For the alerter:  export COALMINE_WEBHOOK_SECRET={secret}
endpoints:
  - name: local
    url: {url}
    secret: ${{env:COALMINE_WEBHOOK_SECRET}}
    allow_private: [127.0.0.0/8]"""


def list_deliveries(
    service: Annotated[str, typer.Option(help="Only those about this service.")] = "",
    decision: Annotated[str, typer.Option(help="Only those of this decision.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    state: StateDirectory = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List attempts to deliver decisions, the latest first."""
    from coalmine.webhooks.stored import deliveries  # noqa: PLC0415 - see rollout

    found = deliveries(servers(state)[1], service=service, decision=decision, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ["time", "service", "decision", "endpoint", "attempt", "outcome", "status", "reason"]
    print_table(columns, [_row(one) for one in found])


list_deliveries.__doc__ = f"{list_deliveries.__doc__}\n\n{EXIT_CODES}"


def _given_secret(file: Path | None, variable: str) -> Secret | None:
    if file is not None and variable:
        raise ConfigError("--secret-env", "expected it or --secret-file, not both")
    if file is not None:
        return resolve_secret(f"${{file:{file}}}", source="--secret-file", field="")
    if variable:
        return resolve_secret(f"${{env:{variable}}}", source="--secret-env", field="")
    return None


def _line(received: Received) -> str:
    """One webhook in one line."""
    data = received.document.get("data", {}) if isinstance(received.document, dict) else {}
    words = [
        _time(received.time),
        "verified" if received.is_verified else f"NOT VERIFIED ({received.problem})",
        f"answered {received.answered}",
        received.webhook_id or "no webhook-id",
    ]
    if received.times_seen > 1:
        words.append(f"for the {received.times_seen}. time")
    if isinstance(data, dict) and "action" in data:
        words.append(f"{data['action']} {data.get('canary')} of {data.get('service')}")
        words.append(str(data.get("reason", "")))
    return "  ".join(words)


def _row(one: Delivery) -> list[str]:
    status = "" if one.status is None else str(one.status)
    what = [one.service, one.decision, one.endpoint, str(one.attempt)]
    return [_time(one.time), *what, one.outcome.value, status, one.reason]


def _time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
