"""``coalmine check`` and ``coalmine schema``: configuration files, for CI and for editors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml

from coalmine.cli.check_budgets import (
    FailureRateOption,
    FlowsFor,
    FromTelemetry,
    TrafficOption,
    given_flows,
    seen_flows,
    warnings_of,
)
from coalmine.cli.output import EXIT_CODES, Exit, print_json, say
from coalmine.cli.state import StateDirectory, servers
from coalmine.policies.descriptions import described
from contracts.config import json_schema
from contracts.crash_rules import CrashRules, load_crash_rules
from contracts.errors import ConfigError
from contracts.policy import TESTS_SUFFIXES, Policy, load_policy

_EXIT_WARNINGS = 3
_SECRET_MISSING = ("is not set", "secret file cannot be read")


class Kind(StrEnum):
    """What a configuration file is for."""

    POLICY = "policy"
    ENDPOINTS = "endpoints"
    AGENT = "agent"
    CRASH_RULES = "crash-rules"
    TESTS = "tests"


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
    traffic: TrafficOption = "",
    failure_rate: FailureRateOption = "",
    from_telemetry: FromTelemetry = False,
    state: StateDirectory = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check configuration files: policies and their tests, endpoints, agents, crash rules.

    Secrets that are not set here are a warning, so that CI can check without them. So are budgets
    that cannot work, where the traffic is given or looked up: phases too short for what they are
    to show.

    Exit codes: 0 all files are right, 2 a file is wrong, 3 with --strict: there are warnings.
    """
    files = _files(paths)
    if not files:
        raise ConfigError(", ".join(map(str, paths)), "holds no .yaml or .yml file")
    flows_for = given_flows(traffic, failure_rate)
    findings = _without_twins([check_file(path, kind) for path in files])
    if from_telemetry and flows_for is None:
        right = [load_policy(Path(f.file)) for f in findings if _is_right_policy(f)]
        flows_for = seen_flows(servers(state)[1], right) if right else None
    findings += _budget_warnings(findings, flows_for) if flows_for else []
    if as_json:
        print_json(findings)
    else:
        _say_findings(findings)
    levels = {finding.level for finding in findings}
    if Level.FAIL in levels:
        raise typer.Exit(Exit.USAGE)
    if strict and Level.WARN in levels:
        raise typer.Exit(_EXIT_WARNINGS)


def schema(
    kind: Annotated[Kind, typer.Argument(help="What the file is for.")] = Kind.POLICY,
) -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    sys.stdout.write(schema_of(kind))


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
    """What a file is for, told from its name or its first words; else a policy."""
    if path.name.endswith(TESTS_SUFFIXES):
        return Kind.TESTS
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


def _is_right_policy(finding: Finding) -> bool:
    return finding.kind is Kind.POLICY and finding.level is Level.OK


def _budget_warnings(findings: Sequence[Finding], flows_for: FlowsFor) -> list[Finding]:
    return [
        Finding(
            file=finding.file,
            kind=finding.kind,
            level=Level.WARN,
            message=message,
            line=line,
            field=found.field,
            service=finding.service,
        )
        for finding in findings
        if _is_right_policy(finding)
        for found, line, message in warnings_of(Path(finding.file), flows_for)
    ]


def _loader(kind: Kind) -> Callable[[Path], object]:
    if kind is Kind.AGENT:
        from ingest.settings import load_agent_config  # noqa: PLC0415 - only for this kind

        return load_agent_config
    if kind is Kind.ENDPOINTS:
        from alerting.settings import load_endpoints  # noqa: PLC0415 - only for this kind

        return load_endpoints
    if kind is Kind.CRASH_RULES:
        return load_crash_rules
    if kind is Kind.TESTS:
        from coalmine.policies.suite import check_file as check_tests  # noqa: PLC0415 - loads scipy

        return check_tests
    return load_policy


def schema_of(kind: Kind) -> str:
    """The JSON Schema of a kind of file, as text."""
    as_type = _type_of(kind)
    found = described(json_schema(as_type), as_type)
    if kind is Kind.ENDPOINTS:
        from alerting.schema import with_presets  # noqa: PLC0415 - only for this kind

        found = with_presets(found)
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def _type_of(kind: Kind) -> type[msgspec.Struct]:
    if kind is Kind.AGENT:
        from ingest.settings import AgentConfig  # noqa: PLC0415 - only for this kind

        return AgentConfig
    if kind is Kind.ENDPOINTS:
        from alerting.settings import AlertingConfig  # noqa: PLC0415 - only for this kind

        return AlertingConfig
    if kind is Kind.TESTS:
        from coalmine.policies.cases import Cases  # noqa: PLC0415 - only for this kind

        return Cases
    return CrashRules if kind is Kind.CRASH_RULES else Policy


def _say_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.level is Level.OK:
            sys.stdout.write(f"ok    {finding.file} ({finding.kind})\n")
        else:
            say(f"{finding.level:<5} {finding.message}")
