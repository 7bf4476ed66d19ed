"""The command's words, exit codes and errors, without any server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from coalmine.cli.check import Kind, kind_of
from coalmine.cli.main import build
from coalmine.cli.rollouts.stored import rollout_filter
from coalmine.cli.state import find_running, only_one
from coalmine.stack.health import Level, templates_health, topics_health
from contracts import topics
from contracts.errors import Fatal

_POLICY = "service: checkout\n"


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(build(), list(arguments))


def test_no_command_waits_for_the_columns_of_another() -> None:
    """Pyarrow and numpy are loaded by the commands that read columns, once they run."""
    code = (
        "import sys; from coalmine.cli.main import build; build(); "
        "print([name for name in ('numpy', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_an_example_and_its_exit_codes() -> None:
    """Help of each command ends with an example and says what its exit codes mean."""
    root: Any = get_command(build())
    groups = [root, root.commands["rollout"], root.commands["webhook"]]
    commands = [c for g in groups for c in g.commands.values() if not hasattr(c, "commands")]
    assert len(commands) > 12
    for command in commands:
        assert "Example: " in command.epilog, command.name
        assert "Exit codes: " in f"{command.help} {command.epilog}", command.name


def test_a_wrong_setting_is_one_sentence() -> None:
    """No traceback: one line on stderr that names the variable, and exit code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "coalmine", "rollout", "list"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COALMINE_KAFKA": "nonsense"},
    )
    assert done.returncode == 2
    expected = "coalmine: COALMINE_KAFKA: expected host:port,…, found 'nonsense'\n"
    assert done.stderr == expected


def test_check_tells_files_apart(tmp_path: Path) -> None:
    """Policies, endpoints and agents are known by their words."""
    for name, text in {
        "policy": _POLICY,
        "endpoints": "endpoints: []\n",
        "agent": "files: []\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert kind_of(tmp_path / name) is Kind(name)


def test_check_names_the_line_of_a_mistake(tmp_path: Path) -> None:
    """A wrong file fails with file, line and field; the right one beside it is still ok."""
    (tmp_path / "a.yaml").write_text(_POLICY, encoding="utf-8")
    (tmp_path / "b.yaml").write_text("service: b\ntolerance: much\n", encoding="utf-8")
    done = _invoke("check", str(tmp_path), "--json")
    right, wrong = json.loads(done.stdout)
    assert done.exit_code == 2
    assert (right["level"], wrong["level"]) == ("ok", "fail")
    assert (wrong["line"], wrong["field"]) == (2, "tolerance")


def test_check_finds_two_policies_of_one_service(tmp_path: Path) -> None:
    """Which of two would hold is never left to chance."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(_POLICY, encoding="utf-8")
    done = _invoke("check", str(tmp_path), "--json")
    assert done.exit_code == 2
    assert [f["level"] for f in json.loads(done.stdout)] == ["ok", "fail"]


def test_a_secret_that_is_not_set_here_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI can check endpoints without holding their secrets."""
    monkeypatch.delenv("NOT_SET", raising=False)
    entry = '{name: a, url: "https://example.com/hook", secret: "${env:NOT_SET}"}'
    (tmp_path / "e.yaml").write_text(f"endpoints: [{entry}]\n", encoding="utf-8")
    done = _invoke("check", str(tmp_path / "e.yaml"), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["level"] == "warn"


@pytest.mark.parametrize("kind", list(Kind))
def test_schema_is_a_json_schema(kind: Kind) -> None:
    """Each kind of file has a schema for editors."""
    done = _invoke("schema", kind.value)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["$defs"]


def test_two_stacks_do_not_share_a_state_directory(tmp_path: Path) -> None:
    """The second one is refused with the way out, and works once the first has gone."""
    with (
        only_one(tmp_path),
        pytest.raises(Fatal, match=r"already runs in .*: stop it with coalmine down"),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        assert find_running(tmp_path) is None


def test_down_without_a_stack_is_no_error(tmp_path: Path) -> None:
    """Stopping what does not run says so and succeeds."""
    done = _invoke("down", "--state", str(tmp_path))
    assert done.exit_code == 0
    assert "Nothing runs" in done.output


def test_missing_topics_and_templates_are_named() -> None:
    """The doctor names what is missing, and is content when nothing is."""
    every = {topic.name for topic in topics.ALL}
    assert topics_health(every).level is Level.OK
    missing = topics_health(every - {topics.VERDICTS.name})
    assert missing.level is Level.FAIL
    assert topics.VERDICTS.name in missing.found
    assert "coalmine-rollouts" in templates_health(set()).found


def test_open_rollouts_are_those_still_judged() -> None:
    """The filter holds the service and the statuses that are not final."""
    service, statuses = rollout_filter(service="checkout", only_open=True)
    assert service == {"term": {"service.name": "checkout"}}
    assert "rolled_back" not in statuses["terms"]["status"]
    assert "running" in statuses["terms"]["status"]
