"""``coalmine api``, and the file of those who may ask it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from coalmine.api import tokens as file
from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.rooms import LOOPBACK, HealthHost, HealthPort, health_address
from coalmine.cli.state import StateDirectory, api_files, state_directory
from coalmine.stack.preflight import check_kafka
from contracts import journal
from contracts.errors import ConfigError
from contracts.settings import kafka_settings

TokensPath = Annotated[
    Path | None,
    typer.Option(
        "--tokens", dir_okay=False, help="File of tokens. Default: the one of coalmine up."
    ),
]
Name = Annotated[str, typer.Argument(help="Name of the token: who, or what, asks by it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the command and its group to the application."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    group.callback(epilog="Example: coalmine api --port 8060 --tokens tokens.yaml")(api)
    tokens = typer.Typer(no_args_is_help=True, help="Who may ask the API.")
    tokens.command(epilog="Example: coalmine api tokens add ci --role operate")(add)
    tokens.command(epilog="Example: coalmine api tokens remove ci")(remove)
    tokens.command("list", epilog="Example: coalmine api tokens list --json")(list_tokens)
    group.add_typer(tokens, name="tokens")
    app.add_typer(group, name="api", rich_help_panel="Parts of the stack")


def api(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8060,
    tokens: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File of tokens, see coalmine api tokens.")
    ] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Ask for no token; on the loopback interface only.")
    ] = False,
    health_port: HealthPort = None,
    health_host: HealthHost = LOOPBACK,
) -> None:
    """Answer deploy tools and pipelines over HTTP: open and steer rollouts, tell verdicts."""
    if context.invoked_subcommand:
        return
    from coalmine.api.access import Access  # noqa: PLC0415 - rooms load late
    from coalmine.api.app import Options  # noqa: PLC0415 - see above
    from coalmine.api.process import run  # noqa: PLC0415 - see above

    journal.configure()
    check_kafka(kafka_settings())
    options = Options(Access(tokens=tokens, is_open=is_open))
    run(host, port, health_address(health_host, health_port), options)


def add(
    name: Name,
    role: Annotated[file.Role, typer.Option(help="read, or operate: also steer rollouts.")],
    tokens: TokensPath = None,
    state: StateDirectory = None,
) -> None:
    """Make a token and print it, this once; its hash is written.

    A token of the same name is replaced.
    """
    if not re.fullmatch(file.NAME_PATTERN, name):
        expected = "expected letters, digits and . _ @ -"
        raise ConfigError("coalmine api tokens add", expected, field="NAME", value=name)
    path = _path(tokens, state)
    known = file.read_tokens(path) if path.exists() else {}
    made = file.new_token()
    entry = file.TokenEntry(role, file.hash_token(made.reveal()))
    file.write_tokens(path, {**known, name: entry})
    typer.echo(made.reveal())
    say(f"This token of {name} is shown once. A running API knows it at once.")


def remove(name: Name, tokens: TokensPath = None, state: StateDirectory = None) -> None:
    """Shut a token out."""
    path = _path(tokens, state)
    known = file.read_tokens(path)
    if name not in known:
        raise ConfigError(str(path), "no such token", field="tokens", value=name)
    file.write_tokens(path, {n: entry for n, entry in known.items() if n != name})
    say(f"{name} is shut out. A running API knows at once.")


def list_tokens(
    tokens: TokensPath = None, state: StateDirectory = None, *, as_json: AsJson = False
) -> None:
    """Name the tokens of a file, and what each allows."""
    known = file.read_tokens(_path(tokens, state))
    if as_json:
        print_json({name: entry.role for name, entry in sorted(known.items())})
        return
    print_table(["name", "role"], [[name, known[name].role] for name in sorted(known)])


def _path(tokens: Path | None, state: Path | None) -> Path:
    return tokens or api_files(state_directory(state))[0]


api.__doc__ = f"{api.__doc__}\n\nRuns until SIGTERM or Ctrl-C. {EXIT_CODES}"
for _command in (add, remove, list_tokens):
    _command.__doc__ = f"{_command.__doc__}\n\n{EXIT_CODES}"
