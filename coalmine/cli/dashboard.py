"""``coalmine dashboard``, and the file of those who may look at it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from coalmine.cli.output import EXIT_CODES, print_json, say
from coalmine.cli.rooms import HealthHost, HealthPort, health_address
from coalmine.stack.preflight import check_elasticsearch
from contracts import journal
from contracts.config import Secret
from contracts.errors import ConfigError
from contracts.settings import elasticsearch_settings

_LOOPBACK = "127.0.0.1"

UsersPath = Annotated[
    Path, typer.Option("--users", dir_okay=False, help="File of users and hashed passwords.")
]
Name = Annotated[str, typer.Argument(help="Name of the user.")]


def register(app: typer.Typer) -> None:
    """Add the command and its group to the application."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    group.callback(epilog="Example: coalmine dashboard --port 8050")(dashboard)
    users = typer.Typer(no_args_is_help=True, help="Who may look at the dashboard.")
    epilog = "Example: coalmine dashboard users add alice --users users.yaml"
    users.command(epilog=epilog)(add)
    users.command(epilog=epilog.replace("add", "remove"))(remove)
    users.command("list", epilog="Example: coalmine dashboard users list --users users.yaml")(names)
    group.add_typer(users, name="users")
    app.add_typer(group, name="dashboard", rich_help_panel="Parts of the stack")


def dashboard(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = _LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8050,
    users: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Ask for a login: file of users and passwords."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Key of the sessions, so that they outlive a restart."),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy whose forwarded headers are believed."),
    ] = None,
    user_header: Annotated[
        str, typer.Option(help="Header by which such a proxy names who has logged in there.")
    ] = "",
    operator: Annotated[
        list[str] | None,
        typer.Option(help="A user whom such a proxy names, and who may steer rollouts."),
    ] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Listen beyond this machine without any login.")
    ] = False,
    targets: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Health ports of the other processes, as Prometheus's file_sd_configs has them.",
        ),
    ] = None,
    health_port: HealthPort = None,
    health_host: HealthHost = _LOOPBACK,
) -> None:
    """Show the health of releases in a browser."""
    if context.invoked_subcommand:
        return
    from dashboard.access.settings import Access, networks  # noqa: PLC0415 - rooms load late
    from dashboard.app import run  # noqa: PLC0415 - see above

    journal.configure()
    access = Access(
        users=users,
        key_file=key_file,
        proxies=networks(proxy or []),
        user_header=user_header.lower(),
        operators=frozenset(operator or []),
        is_open=is_open,
    )
    check_elasticsearch(elasticsearch_settings())
    run(host, port, health_address(health_host, health_port), access, targets)


def add(
    name: Name,
    users: UsersPath,
    *,
    role: Annotated[
        str | None,
        typer.Option(
            help="read, or operate: also hold, promote, roll back, abort.  [default: read]"
        ),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Let a user in, or give one a new password; only its hash is written."""
    from dashboard.access import users as file  # noqa: PLC0415 - rooms load late

    if not re.fullmatch(file.NAME_PATTERN, name):
        expected = "expected letters, digits and . _ @ -"
        raise ConfigError("coalmine dashboard users add", expected, field="NAME", value=name)
    if role is not None and role not in [*file.Role]:
        expected = "expected read or operate"
        raise ConfigError("coalmine dashboard users add", expected, field="--role", value=role)
    if password_stdin:
        password = Secret(sys.stdin.readline().rstrip("\n"))
    else:
        password = Secret(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    if len(password.reveal()) < file.SHORTEST_PASSWORD:
        expected = f"expected a password of {file.SHORTEST_PASSWORD} characters or more"
        raise ConfigError("coalmine dashboard users add", expected)
    known = file.read_users(users) if users.exists() else {}
    roles = file.read_roles(users) if users.exists() else {}
    if role is not None:
        roles[name] = file.Role(role)
    file.write_users(users, {**known, name: file.hash_password(password)}, roles)
    say(f"{name} may log in. A running dashboard knows at once.")


def remove(name: Name, users: UsersPath) -> None:
    """Shut a user out, sessions under way included."""
    from dashboard.access import users as file  # noqa: PLC0415 - rooms load late

    known = file.read_users(users)
    if name not in known:
        raise ConfigError(str(users), "no such user", field="users", value=name)
    others = {n: hashed for n, hashed in known.items() if n != name}
    file.write_users(users, others, file.read_roles(users))
    say(f"{name} is shut out. A running dashboard knows at once.")


def names(
    users: UsersPath,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the users of a file, and what they may do."""
    from dashboard.access import users as file  # noqa: PLC0415 - rooms load late

    roles = file.read_roles(users)
    known = {name: roles.get(name, file.Role.READ) for name in sorted(file.read_users(users))}
    if as_json:
        print_json([{"name": name, "role": role.value} for name, role in known.items()])
        return
    for name, role in known.items():
        typer.echo(f"{name}\t{role}")


dashboard.__doc__ = f"{dashboard.__doc__}\n\nRuns until SIGTERM or Ctrl-C. {EXIT_CODES}"
for _command in (add, remove, names):
    _command.__doc__ = f"{_command.__doc__}\n\n{EXIT_CODES}"
