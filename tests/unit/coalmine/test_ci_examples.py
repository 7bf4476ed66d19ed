"""examples/ci: each is a file of its kind, and asks for what Coalmine has."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from typer.main import get_command

from coalmine.api.app import build as build_api
from coalmine.api.board import Board
from coalmine.api.conclusion import Result
from coalmine.api.states import State
from coalmine.cli.main import build
from contracts.clock import SystemClock
from contracts.results import RolloutCommand

EXAMPLES = Path(__file__).parents[3] / "examples" / "ci"
SHELL = ["Jenkinsfile", "github-actions.yml", "gitlab-ci.yml"]
_RUN = re.compile(r"coalmine (gate .*?)'?$", re.MULTILINE)


def _text(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


def _routes() -> dict[str, Any]:
    async def send(_: RolloutCommand) -> None:
        """Never called."""

    document = build_api(Board(), send, lambda: True, SystemClock()).openapi()
    paths: dict[str, Any] = document["paths"]
    return paths


def _gate(arguments: list[str]) -> dict[str, Any]:
    """The parameters that a command line gives, as the real command reads them."""
    group: Any = get_command(build())
    command = group.commands["gate"]
    context = command.make_context("gate", list(arguments))
    found: dict[str, Any] = context.params
    return found


def _jobs() -> Iterator[list[str]]:
    for document in yaml.safe_load_all(_text("argo-rollouts.yaml")):
        for metric in document["spec"]["metrics"]:
            if job := metric["provider"].get("job"):
                yield job["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.iterdir())])
def test_each_file_is_what_its_name_says(name: str) -> None:
    """YAML, JSON, or a declarative pipeline with its braces closed."""
    text = _text(name)
    if name.endswith((".yml", ".yaml")):
        assert all(isinstance(one, dict) for one in yaml.safe_load_all(text))
    elif name.endswith(".json"):
        assert json.loads(text)["type"] == "webhook"
    else:
        assert text.count("{") == text.count("}")
        assert "pipeline {" in text


@pytest.mark.parametrize("name", SHELL)
def test_command_lines_are_those_of_the_command(name: str) -> None:
    """Every gate in a script is read by the real command, and waits for a while."""
    lines = _RUN.findall(_text(name))
    assert lines
    for line in lines:
        found = _gate(shlex.split(line)[1:])
        assert (found["service"], found["timeout"]) == ("checkout", 1800.0), line


def test_the_job_of_argo_runs_the_command() -> None:
    """Its arguments are those of the real command; its container has no shell."""
    jobs = list(_jobs())
    assert jobs
    for arguments in jobs:
        assert arguments[0] == "gate"
        assert _gate(arguments[1:])["timeout"] == 1800.0


def test_addresses_are_routes_of_the_api() -> None:
    """With the parameters that those take."""
    routes = _routes()
    found = re.findall(
        r"https?://[^\s\"]*(/v1/[^\s\"]+)", "\n".join(_text(p.name) for p in EXAMPLES.iterdir())
    )
    assert len(found) == 5
    for address in found:
        parts = urlsplit(address)
        operation = next(iter(routes[parts.path].values()))
        known = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert set(parse_qs(parts.query)) <= known, address


def test_what_is_read_of_a_verdict_is_there() -> None:
    """The paths lead to a field, the words that are waited for are results."""
    web = next(yaml.safe_load_all(_text("argo-rollouts.yaml")))["spec"]["metrics"][0]
    stage = json.loads(_text("spinnaker-stage.json"))
    for path in (web["provider"]["web"]["jsonPath"].strip("{}"), stage["statusJsonPath"]):
        assert path.removeprefix("$.") in State.__struct_fields__
    words = re.findall(r'"(\w+)"', web["successCondition"] + web["failureCondition"])
    words += [stage["successStatuses"], stage["terminalStatuses"]]
    assert set(words) <= {str(result) for result in Result}


def test_hooks_of_flagger_have_the_type_of_their_route() -> None:
    """Another type would read the same status as the opposite."""
    hooks = yaml.safe_load(_text("flagger.yaml"))["spec"]["analysis"]["webhooks"]
    assert {hook["type"] for hook in hooks} == {"rollback", "rollout", "confirm-promotion"}
    assert all(hook["url"].endswith(f"/v1/flagger/{hook['type']}") for hook in hooks)
