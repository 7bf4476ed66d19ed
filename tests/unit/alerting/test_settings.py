"""The endpoints file is checked once, and every mistake is named; no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerting.auth import BASIC, BEARER, HUB_SIGNATURE, NONE, Auth, Occasion, header
from alerting.integrations import PRESETS
from alerting.integrations.conversation import revealed
from alerting.integrations.preset import Options, Preset
from alerting.settings import Endpoint, load_endpoints
from contracts.config import Secret, resolve_secret
from contracts.errors import ConfigError
from contracts.results import DecisionAction
from tests.unit.alerting.support import NOW_MS, SECRET, decision

GOOD = 'endpoints:\n  - {name: tool, url: "https://deploy.example/hook?key=k", secret: "${env:S}"'


class Needs(Options, frozen=True, kw_only=True):
    """What some tool needs to know."""

    project: int
    token: Secret = Secret("")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S", SECRET)
    monkeypatch.setenv("SHORT", "whsec_c2hvcnQ=")
    monkeypatch.setenv("WHERE", "https://hooks.example/services/T0/secret")


def load(tmp_path: Path, more: str = "") -> tuple[Endpoint, ...]:
    """Endpoints of the good file with ``more`` fields."""
    file = tmp_path / "endpoints.yaml"
    file.write_text(f"{GOOD}{more}}}\n")
    return load_endpoints(file)


def test_a_short_file_has_sensible_defaults(tmp_path: Path) -> None:
    """Name, address and secret are enough; rollbacks and escalations of all services go there."""
    (tool,) = load(tmp_path)
    assert tool.actions == {DecisionAction.ROLLBACK, DecisionAction.ESCALATE}
    assert tool.wants(decision())
    assert not tool.wants(decision(action=DecisionAction.PROMOTE))
    assert tool.private_networks == ()
    assert tool.delays_s == (1, 2, 5, 10, 20, 30)


def test_an_empty_file_has_no_endpoints(tmp_path: Path) -> None:
    """Nobody to tell is allowed: results are still stored."""
    file = tmp_path / "endpoints.yaml"
    file.write_text("")
    assert load_endpoints(file) == ()


def test_services_are_globs(tmp_path: Path) -> None:
    """A team's endpoint hears of its own services only."""
    (tool,) = load(tmp_path, ', services: ["check*", search]')
    assert tool.wants(decision())
    assert not tool.wants(decision(service="payments"))


def test_nothing_that_is_printed_shows_a_secret(tmp_path: Path) -> None:
    """Neither the endpoint nor its shown address holds the secret or the query."""
    (tool,) = load(tmp_path)
    assert SECRET not in repr(tool)
    assert "key=k" not in repr(tool)
    assert tool.shown_url == "https://deploy.example/hook"


def test_an_address_given_by_reference_is_a_secret(tmp_path: Path) -> None:
    """Of an address that is a secret itself, only the host is shown."""
    file = tmp_path / "endpoints.yaml"
    file.write_text('endpoints:\n  - {name: t, url: "${env:WHERE}", secret: "${env:S}"}\n')
    (tool,) = load_endpoints(file)
    assert tool.shown_url == "https://hooks.example/***"
    assert tool.url.reveal().endswith("/secret")


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        (", preset: argo", "endpoints[0].preset", "expected one of"),
        (", timeout: 0s", "endpoints[0].timeout", "more than 0 s"),
        (", actions: [explode]", "endpoints[0].actions[0]", "explode"),
        (", allow_private: [here]", "endpoints[0].allow_private", "networks such as"),
        (", retry: {delays: []}", "endpoints[0].retry.delays", "at least one delay"),
        (", retry: {delays: [0s]}", "endpoints[0].retry.delays", "above 0 s"),
        (", ca_file: /no/such", "endpoints[0].ca_file", "PEM certificates"),
        (", colour: red", "endpoints[0].colour", "unknown field"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, more: str, field: str, expected: str) -> None:
    """The message names the field and what was expected there."""
    with pytest.raises(ConfigError, match=r"endpoints\.yaml") as caught:
        load(tmp_path, more)
    assert caught.value.field == field
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (SECRET, "given as"),
        ("${env:NOT_SET_ANYWHERE}", "is not set"),
        ("${env:SHORT}", "24 to 64 random bytes"),
        ("${env:WHERE}", "24 to 64 random bytes"),
        ("${file:/no/such/file}", "cannot be read"),
        (["${env:S}"] * 3, "one secret, or two"),
        ([], "one secret, or two"),
    ],
)
def test_a_wrong_secret_is_refused_and_not_shown(
    tmp_path: Path, secret: str | list[str], expected: str
) -> None:
    """What is wrong is said without the value."""
    file = tmp_path / "endpoints.yaml"
    text = str(secret) if isinstance(secret, list) else f'"{secret}"'
    file.write_text(f"endpoints:\n  - {{name: t, url: 'https://a.example', secret: {text}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_endpoints(file)
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["deploy", "ftp://a.example", "http://", "http://u:p@a.example", "http://a:99999/"]
)
def test_a_wrong_address_is_refused(tmp_path: Path, url: str) -> None:
    """Only http and https, with a host, without a user or password."""
    file = tmp_path / "endpoints.yaml"
    file.write_text(f'endpoints:\n  - {{name: t, url: "{url}", secret: "${{env:S}}"}}\n')
    with pytest.raises(ConfigError) as caught:
        load_endpoints(file)
    assert caught.value.field == "endpoints[0].url"


def test_two_endpoints_of_one_name_are_refused(tmp_path: Path) -> None:
    """Records are told apart by the name."""
    file = tmp_path / "endpoints.yaml"
    entry = '  - {name: t, url: "https://a.example", secret: "${env:S}"}\n'
    file.write_text("endpoints:\n" + entry * 2)
    with pytest.raises(ConfigError, match="a name of its own"):
        load_endpoints(file)


def test_the_example_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation shows can be used as it is."""
    monkeypatch.setenv("COALMINE_WEBHOOK_SECRET", SECRET)
    (tool,) = load_endpoints(Path(__file__).parents[3] / "examples" / "endpoints.yaml")
    assert tool.name == "deploy-tool"


def test_a_preset_s_options_are_checked_like_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line, field, value and expectation; a secret among them is a reference and never shown."""
    monkeypatch.setitem(PRESETS, "tool", Preset(deliver=PRESETS["generic"].deliver, options=Needs))
    file = tmp_path / "endpoints.yaml"
    start = f"{GOOD}, preset: tool,\n     options: "
    for options, field, expected in (
        ("{project: many}", "endpoints[0].options.project", "int, got str"),
        ("{}", "endpoints[0].options", "project"),
        ("{project: 1, colour: red}", "endpoints[0].options.colour", "unknown field"),
        (f"{{project: 1, token: {SECRET}}}", "endpoints[0].options.token", "given as ${env:NAME}"),
        ("{project: 1, token: '${env:UNSET}'}", "endpoints[0].options.token", "is not set"),
    ):
        file.write_text(f"{start}{options}}}\n")
        with pytest.raises(ConfigError, match=r"endpoints\.yaml:3") as caught:
            load_endpoints(file)
        assert caught.value.field == field
        assert expected in str(caught.value)
        assert SECRET not in str(caught.value)
    file.write_text(f"{start}{{project: 7, token: '${{env:S}}'}}}}\n")
    (tool,) = load_endpoints(file)
    assert isinstance(tool.options, Needs)
    assert (tool.options.project, tool.options.token.reveal()) == (7, SECRET)
    assert SECRET not in repr(tool)
    assert tool.redacted(f"no access with {SECRET}") == "no access with ***"


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        (", auth: basic", "endpoints[0].auth", "expected one of signature"),
        (", preset: tool, auth: none", "endpoints[0].secret", "expected none: auth is none"),
        (", preset: tool, auth: basic", "endpoints[0].secret", "expected user:password"),
        (", preset: tool, actions: [promote]", "endpoints[0].actions[0]", "acts on rollback"),
    ],
)
def test_a_preset_says_how_to_authenticate_and_what_it_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, field: str, expected: str
) -> None:
    """What a tool does not know is refused when the file is read."""
    preset = Preset(
        deliver=PRESETS["generic"].deliver,
        auth=(BEARER, BASIC, NONE),
        actions=frozenset({DecisionAction.ROLLBACK}),
    )
    monkeypatch.setitem(PRESETS, "tool", preset)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, more)
    assert caught.value.field == field
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("auth", "secret", "headers"),
    [
        (BASIC, "coal:mine", {"authorization": "Basic Y29hbDptaW5l"}),
        (BEARER, "t0ken", {"authorization": "Bearer t0ken"}),
        (header("PRIVATE-TOKEN"), "t0ken", {"PRIVATE-TOKEN": "t0ken"}),
        # GitHub's own example
        (HUB_SIGNATURE, "It's a Secret to Everybody", {"x-hub-signature-256":
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}),
    ],
)  # fmt: skip
def test_credentials_are_what_tools_expect(
    auth: Auth, secret: str, headers: dict[str, str]
) -> None:
    """Basic, bearer, a named header, and GitHub's signature of the body."""
    made = auth.headers([Secret(secret)], Occasion("id", b"Hello, World!", NOW_MS))
    assert {name: revealed(value) for name, value in made.items()} == headers


def test_a_token_in_a_file_is_read_anew(tmp_path: Path) -> None:
    """Kubernetes renews tokens every hour; while one is replaced the last one counts."""
    token = tmp_path / "token"
    token.write_text("first\n")
    secret = resolve_secret(f"${{file:{token}}}", source="endpoints.yaml", field="secret")
    assert secret.reveal() == "first"
    token.write_text("second\n")
    assert secret.reveal() == "second"
    token.unlink()
    assert secret.reveal() == "second"
    assert repr(secret) == "***"
