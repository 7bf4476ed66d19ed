"""``coalmine check`` and ``coalmine schema``: configuration files, for CI and for editors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import yaml

from coalmine.cli.output import EXIT_CODES, Exit, print_json, say
from contracts.config import json_schema
from contracts.crash_rules import CrashRules, load_crash_rules
from contracts.errors import ConfigError
from contracts.policy import Policy, load_policy

_SECRET_MISSING = ("is not set", "secret file cannot be read")


class Kind(StrEnum):
    """What a configuration file is for."""

    POLICY = "policy"
    ENDPOINTS = "endpoints"
    AGENT = "agent"
    CRASH_RULES = "crash-rules"


class Level(StrEnum):
    """How one file was found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one file."""

    file: str
    kind: Kind
    level: Level
    message: str = ""
    line: int | None = None
    field: str = ""
    service: str | None = None


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: coalmine check policies/ endpoints.yaml agent.yaml")(check)
    app.command(epilog="Example: coalmine schema policy > policy.schema.json")(schema)


def check(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files, or their directories.")],
    *,
    kind: Annotated[
        Kind | None, typer.Option(help="What the files are; told from their content otherwise.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check configuration files: policies, endpoints, agents, rules of crash groups.

    Secrets that are not set here are a warning, so that CI can check without them.

    Exit codes: 0 all files are right, 2 a file is wrong.
    """
    files = _files(paths)
    if not files:
        raise ConfigError(", ".join(map(str, paths)), "holds no .yaml or .yml file")
    findings = _without_twins([check_file(path, kind) for path in files])
    if as_json:
        print_json(findings)
    else:
        _say_findings(findings)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(Exit.USAGE)


def schema(
    kind: Annotated[Kind, typer.Argument(help="What the file is for.")] = Kind.POLICY,
) -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    print_json(_schema_of(kind))


schema.__doc__ = f"{schema.__doc__}\n\n{EXIT_CODES}"


def check_file(path: Path, kind: Kind | None = None) -> Finding:
    """What is wrong with one file, or that nothing is."""
    kind = kind or kind_of(path)
    try:
        loaded = _loader(kind)(path)
    except ConfigError as error:
        is_secret = any(words in error.expected for words in _SECRET_MISSING)
        return Finding(
            file=str(path),
            kind=kind,
            level=Level.WARN if is_secret else Level.FAIL,
            message=str(error),
            line=error.line,
            field=error.field,
        )
    service = loaded.service if isinstance(loaded, Policy) else None
    return Finding(file=str(path), kind=kind, level=Level.OK, service=service)


def kind_of(path: Path) -> Kind:
    """What a file is for, told from its first words; a policy unless something else is sure."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return Kind.POLICY
    words = set(content) if isinstance(content, dict) else set()
    if "endpoints" in words:
        return Kind.ENDPOINTS
    if words & {"crash_rules", "in_app"}:
        return Kind.CRASH_RULES
    return Kind.AGENT if words & {"files", "hosts", "agent", "receiver"} else Kind.POLICY


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")]) if path.is_dir() else [path]
        files.extend(found)
    return files


def _without_twins(findings: Sequence[Finding]) -> list[Finding]:
    """A second policy of the same service in the same directory is a failure."""
    first: dict[tuple[Path, str], str] = {}
    checked = []
    for finding in findings:
        if finding.service is not None:
            key = (Path(finding.file).parent, finding.service)
            other = first.setdefault(key, finding.file)
            if other != finding.file:
                error = ConfigError(
                    finding.file,
                    f"{other} is the policy of this service",
                    field="service",
                    value=finding.service,
                )
                finding = msgspec.structs.replace(  # noqa: PLW2901 - the judged one takes its place
                    finding, level=Level.FAIL, message=str(error), field="service"
                )
        checked.append(finding)
    return checked


def _loader(kind: Kind) -> Callable[[Path], object]:
    if kind is Kind.AGENT:
        from ingest.settings import load_agent_config  # noqa: PLC0415 - only for this kind

        return load_agent_config
    if kind is Kind.ENDPOINTS:
        from alerting.settings import load_endpoints  # noqa: PLC0415 - only for this kind

        return load_endpoints
    if kind is Kind.CRASH_RULES:
        return load_crash_rules
    return load_policy


def _schema_of(kind: Kind) -> dict[str, Any]:
    if kind is Kind.AGENT:
        from ingest.settings import agent_schema  # noqa: PLC0415 - only for this kind

        return agent_schema()
    if kind is Kind.ENDPOINTS:
        from alerting.settings import AlertingConfig  # noqa: PLC0415 - only for this kind

        return json_schema(AlertingConfig)
    if kind is Kind.CRASH_RULES:
        return json_schema(CrashRules)
    return json_schema(Policy)


def _say_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.level is Level.OK:
            sys.stdout.write(f"ok    {finding.file} ({finding.kind})\n")
        else:
            say(f"{finding.level:<5} {finding.message}")
