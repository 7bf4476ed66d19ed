"""``coalmine policy diff``: what a change of a policy would have decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.output import Exit, print_json, print_table, say
from coalmine.cli.progress import counting
from contracts.policy import load_policy

if TYPE_CHECKING:
    from coalmine.policies.difference import FieldChange, Found, Recording

_EPILOG = (
    "Example: coalmine policy diff main/checkout.yaml checkout.yaml recordings/*.jsonl.gz. "
    "Exit codes: 0 nothing is decided otherwise (without recordings: no field differs), 1 it is, "
    "2 wrong usage, configuration or input."
)


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Compare policies.")
    group.command("diff", epilog=_EPILOG)(diff)
    group.callback()(lambda: None)  # so that one command is a group all the same
    app.add_typer(group, name="policy")


def diff(
    old: Annotated[Path, typer.Argument(help="The policy as it is.")],
    new: Annotated[Path, typer.Argument(help="The policy as it would be.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILES]...",
            exists=True,
            help="Recorded events, as replay reads them: each file, or directory, is one rollout.",
        ),
    ] = None,
    *,
    service: Annotated[str, typer.Option(help="Which service, where files hold several.")] = "",
    canary: Annotated[str, typer.Option(help="Release under test; by default the latest.")] = "",
    baseline: Annotated[str, typer.Option(help="Release beside it; by default the busiest.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell which fields of a policy differ, and what that would have decided on recorded events."""
    from coalmine.policies import difference  # noqa: PLC0415 - loads pyarrow and scipy

    policies = load_policy(old), load_policy(new)
    changed = difference.changes(*policies)
    compared: list[Recording] = []
    with counting("recordings") as progress:
        for number, path in enumerate(recordings or []):
            progress(number)
            compared.append(
                difference.compare(
                    path, *policies, service=service, canary=canary, baseline=baseline
                )
            )
    differing = [recording for recording in compared if recording.differs]
    if as_json:
        print_json(
            {
                "old": policies[0].content_hash(),
                "new": policies[1].content_hash(),
                "fields": changed,
                "recordings": [_as_json(recording) for recording in compared],
            }
        )
    else:
        _print(changed, compared)
    if differing or (changed and not compared):
        raise SystemExit(Exit.FAILED)


def _as_json(recording: Recording) -> dict[str, object]:
    return {**msgspec.to_builtins(recording), "differs": recording.differs}


def _print(changed: Sequence[FieldChange], compared: Sequence[Recording]) -> None:
    if changed:
        rows = [[each.field, _value(each.old), _value(each.new)] for each in changed]
        print_table(["field", "old", "new"], rows)
    else:
        say("No field differs.")
    if not compared:
        return
    rows = [
        [
            "differs" if recording.differs else "same",
            recording.name,
            f"{recording.service} {recording.canary} beside {recording.baseline}",
            _decided(recording.old),
            _decided(recording.new),
        ]
        for recording in compared
    ]
    print_table(["", "recording", "rollout", "old", "new"], rows)


def _value(value: object) -> str:
    return "–" if value is None else msgspec.json.encode(value, enc_hook=str).decode()


def _decided(found: Found) -> str:
    from coalmine.policies.words import spoken  # noqa: PLC0415 - as little as possible at start

    if found.after_s is None:
        return f"{found.outcome}, no decision"
    guilty = f" ({found.guilty_metric})" if found.guilty_metric else ""
    return f"{found.outcome}, {found.decided} after {spoken(found.after_s)}{guilty}"
