"""Where the servers are, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.config import resolve_secret
from contracts.errors import ConfigError
from contracts.indices import ALL, WINDOWS
from contracts.settings import LogStorage, elasticsearch_settings, kafka_settings, log_storage


def test_without_an_environment_the_servers_are_local() -> None:
    """Defaults are the usual ports on loopback."""
    assert kafka_settings({}).bootstrap == "127.0.0.1:9092"
    assert elasticsearch_settings({}).url == "http://127.0.0.1:9200"


@pytest.mark.parametrize(
    "environment",
    [
        {"COALMINE_KAFKA": "broker"},
        {"COALMINE_KAFKA_SECURITY_PROTOCOL": "TELNET"},
        {"COALMINE_PARTITIONS": "0"},
        {"COALMINE_KAFKA_CA_FILE": "/no/such/file"},
    ],
)
def test_a_wrong_kafka_setting_is_named(environment: dict[str, str]) -> None:
    """The error names the variable."""
    with pytest.raises(ConfigError) as caught:
        kafka_settings(environment)
    assert caught.value.source == next(iter(environment))


def test_passwords_reach_the_client_and_nothing_that_prints() -> None:
    """A secret shows as stars in every representation."""
    settings = kafka_settings(
        {
            "COALMINE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "COALMINE_KAFKA_USER": "u",
            "COALMINE_KAFKA_PASSWORD": "hunter2",
        }
    )
    assert settings.client_options()["sasl_plain_password"] == "hunter2"
    assert "hunter2" not in repr(settings)


def test_a_secret_stands_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References are resolved, inline values refused."""
    (tmp_path / "key").write_text("abc\n", encoding="utf-8")
    monkeypatch.setenv("COALMINE_TEST_KEY", "def")
    file = resolve_secret(f"${{file:{tmp_path / 'key'}}}", source="x.yaml", field="secret")
    env = resolve_secret("${env:COALMINE_TEST_KEY}", source="x.yaml", field="secret")
    assert (file.reveal(), env.reveal()) == ("abc", "def")
    with pytest.raises(ConfigError):
        resolve_secret("abc", source="x.yaml", field="secret")


def test_an_index_is_named_after_the_day_of_its_document() -> None:
    """The last millisecond of a day and the next one lie in two indices."""
    midnight = 1_795_478_400_000
    assert WINDOWS.for_time(midnight - 1) != WINDOWS.for_time(midnight)
    assert len({index.pattern for index in ALL}) == len(ALL)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A variable with _FILE behind its name leads to a file; naming both is an error."""
    file = tmp_path / "secret"
    file.write_text("from a file\n", encoding="utf-8")
    named = {"COALMINE_ELASTICSEARCH_API_KEY_FILE": str(file)}

    assert elasticsearch_settings(named).api_key.reveal() == "from a file"
    with pytest.raises(ConfigError, match="is set too"):
        elasticsearch_settings({**named, "COALMINE_ELASTICSEARCH_API_KEY": "inline"})
    with pytest.raises(ConfigError, match="cannot be read"):
        elasticsearch_settings({"COALMINE_ELASTICSEARCH_PASSWORD_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"COALMINE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs COALMINE_KAFKA_USER"),
        ({"COALMINE_KAFKA_SASL_MECHANISM": "SCRAM"}, "expected one of PLAIN"),
        ({"COALMINE_KAFKA_CA_FILE": __file__}, "expected a file of PEM certificates"),
    ],
)
def test_security_is_checked(variables: dict[str, str], words: str) -> None:
    """What cannot work is refused before a client is built."""
    with pytest.raises(ConfigError, match=words):
        kafka_settings(variables)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    """A password in an address would be printed with the address."""
    with pytest.raises(ConfigError) as caught:
        elasticsearch_settings({"COALMINE_ELASTICSEARCH": "http://u:hunter2@h:9200"})

    assert "hunter2" not in str(caught.value)


def test_what_is_kept_of_log_lines_comes_from_the_environment() -> None:
    """A share that is none is an error that names the variable."""
    named = {
        "COALMINE_LOGS_SHARE": "0.5",
        "COALMINE_LOGS_DAYS": "3",
        "COALMINE_LOGS_GIGABYTES": "2",
    }
    assert log_storage(named) == LogStorage(share=0.5, days=3, most_bytes=2_000_000_000)
    assert log_storage({}) == LogStorage()
    for name, value in (("SHARE", "2"), ("DAYS", "0"), ("GIGABYTES", "some")):
        with pytest.raises(ConfigError) as caught:
            log_storage({f"COALMINE_LOGS_{name}": value})
        assert caught.value.source == f"COALMINE_LOGS_{name}"
