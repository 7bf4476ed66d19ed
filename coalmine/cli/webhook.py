"""``coalmine webhook``: try an endpoint, receive, look at deliveries, send one again."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.output import EXIT_CODES, Exit, print_json, print_table, say
from coalmine.cli.state import StateDirectory, servers
from contracts.clock import SystemClock
from contracts.config import Secret, resolve_secret
from contracts.errors import ConfigError
from contracts.journal import printable, quiet
from contracts.results import DecisionAction, Delivery

if TYPE_CHECKING:
    from alerting.settings import Endpoint
    from coalmine.webhooks.receiver import Received

_TAKEN = (
    "Exit codes: 0 every request was taken, 1 one was refused or is unreachable, "
    "2 wrong usage or configuration."
)
_DEFAULT_PORT = 8765

Endpoints = Annotated[Path, typer.Option("--endpoints", exists=True, help="The endpoints file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Try out, receive, list and send again what tells deploy tools."
    )
    group.command(
        "test", epilog="Example: coalmine webhook test deploy-tool --endpoints endpoints.yaml"
    )(try_endpoint)
    group.command(epilog="Example: coalmine webhook listen --secret-env COALMINE_WEBHOOK_SECRET")(
        listen
    )
    group.command(
        "list", epilog="Example: coalmine webhook list --service checkout --limit 5 --json"
    )(list_deliveries)
    group.command(
        epilog="Example: coalmine webhook resend checkout-1.5.0-20261123T101500.250/canary/rollback"
        " --endpoints endpoints.yaml"
    )(resend)
    app.add_typer(group, name="webhook")


def try_endpoint(
    endpoint: Annotated[str, typer.Argument(help="Its name in the file.")],
    endpoints: Endpoints,
    action: Annotated[DecisionAction, typer.Option(help="What it says.")] = DecisionAction.ROLLBACK,
    service: Annotated[str, typer.Option(help="Whose sample; no real one by default.")] = "",
    flag: Annotated[str, typer.Option(help="The flag that it is about.")] = "",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests, and send none.")
    ] = False,
    act: Annotated[
        bool, typer.Option("--act", help="Also what changes something at a deploy tool.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a signed sample to one endpoint, once, and explain its answer.

    The sample is about a service and a release that do not exist. Of a preset that acts (a job, a
    weight, a flag) only the requests that look are sent, unless --act is given.
    """
    from coalmine.webhooks.attempt import SAMPLE_SERVICE, sample  # noqa: PLC0415 - loads what sends
    from coalmine.webhooks.trial import Mode, tried  # noqa: PLC0415 - see above

    if dry_run and act:
        raise ConfigError("--act", "expected it or --dry-run, not both")
    quiet()
    chosen, clock = _named(endpoint, endpoints), SystemClock()
    decision = sample(action, service or SAMPLE_SERVICE, flag, clock.now_ms())
    mode = Mode.DRY_RUN if dry_run else Mode.ACT if act else Mode.LOOK
    trial = tried(chosen, decision, mode, clock)
    if as_json:
        print_json(trial)
    elif dry_run:
        sys.stdout.write("\n\n".join(map(str, trial.requests)) + "\n")
        if not trial.is_taken:
            say(f"It ends here or goes on by what is answered: {trial.reason}.")
    else:
        say("\n".join(trial.explanation))
    if not (trial.is_taken or dry_run):
        raise SystemExit(Exit.FAILED)


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


def resend(
    decision: Annotated[str, typer.Argument(help="Its id, as webhook list has it.")],
    endpoints: Endpoints,
    endpoint: Annotated[
        str, typer.Option(help="Only to this one; by default to all who want it and never took it.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, in one sentence, for the record.")] = "",
    state: StateDirectory = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also what expired or was overruled; needs --reason.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a stored decision again, once, under the same webhook-id, and record the attempt.

    What expired lives again for five minutes when it is forced; its receiver may refuse it anyway.
    """
    quiet()
    from alerting import resend as again  # noqa: PLC0415 - see above
    from alerting.carrier import Carrier  # noqa: PLC0415 - see above
    from alerting.ledger import KafkaLedger  # noqa: PLC0415 - loads what sends
    from alerting.settings import load_endpoints  # noqa: PLC0415 - see above
    from alerting.standing import Standing  # noqa: PLC0415 - see above
    from coalmine.webhooks import stored  # noqa: PLC0415 - see above
    from coalmine.webhooks.choosing import chosen  # noqa: PLC0415 - see above

    if force and not reason:
        raise ConfigError("--force", "expected a --reason beside it")
    (kafka, elasticsearch), clock, standing = servers(state), SystemClock(), Standing()
    known = load_endpoints(endpoints)
    found = stored.stored_decision(elasticsearch, decision)
    for other in stored.decisions_of(elasticsearch, found.rollout):
        standing.note(other)
    history = again.History(stored.deliveries(elasticsearch, decision=decision), standing)
    wish = again.Wish(found, chosen(found, known, endpoint, history), reason, is_forced=force)
    with closing(KafkaLedger(kafka, clock, standing)) as ledger:
        ledger.catch_up()
        results = again.resend(wish, history, ledger, Carrier(), clock)
    if as_json:
        print_json(results)
    else:
        for one in results:
            say(f"{one.endpoint}: {one.message}")
    if not all(one.is_taken for one in results):
        raise SystemExit(Exit.FAILED)


for _function in (try_endpoint, resend):
    _function.__doc__ = f"{_function.__doc__}\n\n{_TAKEN}"
list_deliveries.__doc__ = f"{list_deliveries.__doc__}\n\n{EXIT_CODES}"


def _named(name: str, path: Path) -> Endpoint:
    from alerting.settings import load_endpoints  # noqa: PLC0415 - loads what sends

    known = {one.name: one for one in load_endpoints(path)}
    if name not in known:
        raise ConfigError(str(path), f"expected one of {', '.join(known)}", value=name)
    return known[name]


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
