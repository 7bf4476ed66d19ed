"""``coalmine api tokens``, and what ``gate`` and ``explain`` say when they know no API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coalmine.api.tokens import Role, Tokens
from coalmine.cli.main import build
from coalmine.cli.state import api
from contracts.config import Secret
from contracts.errors import ConfigError
from contracts.settings import ApiSettings, api_settings

RUNNER = CliRunner()


def test_a_token_is_made_shown_once_listed_and_removed(tmp_path: Path) -> None:
    """What is printed opens the API with its role; a name that is none is refused."""
    where = ["--tokens", str(tmp_path / "tokens.yaml")]
    made = RUNNER.invoke(build(), ["api", "tokens", "add", "ci", "--role", "operate", *where])
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    caller = Tokens(tmp_path / "tokens.yaml").caller(token)
    assert caller is not None
    assert (caller.name, caller.role) == ("ci", Role.OPERATE)
    listed = RUNNER.invoke(build(), ["api", "tokens", "list", *where, "--json"])
    assert json.loads(listed.stdout) == {"ci": "operate"}
    assert RUNNER.invoke(build(), ["api", "tokens", "remove", "ci", *where]).exit_code == 0
    assert Tokens(tmp_path / "tokens.yaml").caller(token) is None
    wrong = RUNNER.invoke(build(), ["api", "tokens", "add", "a b", "--role", "read", *where])
    assert isinstance(wrong.exception, ConfigError)


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({"COALMINE_API": "coalmine:8060"}, "COALMINE_API"),
        ({"COALMINE_API": "http://any:token@coalmine:8060"}, "COALMINE_API"),
        (
            {"COALMINE_API_TOKEN": "a", "COALMINE_API_TOKEN_FILE": "/b"},
            "COALMINE_API_TOKEN_FILE",
        ),
        ({"COALMINE_API_CA_FILE": "/no/such/file"}, "COALMINE_API_CA_FILE"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], source: str) -> None:
    """Passwords in addresses included."""
    with pytest.raises(ConfigError) as caught:
        api_settings(environment)
    assert caught.value.source == source


def test_the_environment_names_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its token, which does not print; without an address a running stack is looked for."""
    monkeypatch.setenv("COALMINE_API", "https://coalmine.example.com/")
    monkeypatch.setenv("COALMINE_API_TOKEN", "hunter2")
    found = api(tmp_path)
    assert found == ApiSettings("https://coalmine.example.com", Secret("hunter2"))
    assert "hunter2" not in repr(found)
    monkeypatch.delenv("COALMINE_API")
    with pytest.raises(ConfigError) as caught:
        api(tmp_path)
    assert caught.value.source == "COALMINE_API"


@pytest.mark.parametrize("option", ["--baseline", "--reason"])
def test_what_only_a_start_needs_is_refused_without_one(option: str) -> None:
    """Rather than ignored."""
    found = RUNNER.invoke(build(), ["gate", "checkout", "1.5.0", option, "x"])
    assert isinstance(found.exception, ConfigError)
    assert option in str(found.exception)
