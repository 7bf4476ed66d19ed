"""docker-compose.yml, checked without a container engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from coalmine.cli.check import Level, check_file
from coalmine.stack.pins import COMPOSE, load_pins

_SERVICE_WORDS = {
    "image", "build", "restart", "stop_grace_period", "environment", "ports", "volumes",
    "healthcheck", "depends_on", "command", "profiles",
}  # fmt: skip
_CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
_DURATION = re.compile(r"\d+(ms|s|m|h)")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as docker compose reads it: anchors and merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load(
        (COMPOSE / "docker-compose.yml").read_text(encoding="utf-8")
    )
    return loaded


def _services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = compose["services"]
    return services


def test_every_server_and_every_process_of_coalmine_is_there(compose: dict[str, Any]) -> None:
    """The full stack: three servers and Coalmine's own processes."""
    assert set(_services(compose)) == {
        "kafka", "elasticsearch", "kibana",
        "topics", "worker", "indexer", "alerter", "dashboard", "api", "agent",
    }  # fmt: skip


def test_images_are_the_pinned_versions(compose: dict[str, Any]) -> None:
    """The containers run what the local stack runs."""
    pins = load_pins()
    images = {name: service["image"] for name, service in _services(compose).items()}
    assert images["kafka"] == f"apache/kafka:{pins.kafka.version}"
    assert images["elasticsearch"].endswith(f":{pins.elasticsearch.version}")
    assert images["kibana"].endswith(f":{pins.elasticsearch.version}")


def test_services_use_only_words_of_the_compose_specification(compose: dict[str, Any]) -> None:
    """A misspelt word would be refused by the engine, or worse, ignored."""
    assert set(compose) == {"name", "x-coalmine", "services", "volumes"}
    for name, service in _services(compose).items():
        assert not set(service) - _SERVICE_WORDS, name


def test_every_service_that_stays_has_a_health_check(compose: dict[str, Any]) -> None:
    """Only the one-shot that makes the topics has none; each check has its limits."""
    for name, service in _services(compose).items():
        if name == "topics":
            assert service["restart"] == "no"
            continue
        check = service["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert check["retries"] > 0, name
        for word in ("interval", "timeout", "start_period"):
            assert _DURATION.fullmatch(check[word]), (name, word)


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    """Each dependency exists, names a condition, and can meet it."""
    services = _services(compose)
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] in _CONDITIONS, (name, needed)
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], (name, needed)
            else:
                assert services[needed]["restart"] == "no", (name, needed)


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """Servers without a password must not be reachable from the network."""
    for name, service in _services(compose).items():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), (name, port)


def test_named_volumes_and_mounted_files_are_there(compose: dict[str, Any]) -> None:
    """Every mount is a volume of the file, a path beside it, or a path the user names."""
    for name, service in _services(compose).items():
        for mount in service.get("volumes", []):
            source = re.sub(r"\$\{[^}]*\}", "/", mount).split(":")[0]
            is_volume = source in compose["volumes"]
            is_file = source.startswith(("./", "/")) and (COMPOSE / source).exists()
            assert is_volume or is_file, (name, mount)


@pytest.mark.parametrize("name", ["policies/default.yaml", "endpoints.yaml", "agent.yaml"])
def test_mounted_configuration_is_right(name: str) -> None:
    """The files beside docker-compose.yml pass coalmine check."""
    assert check_file(COMPOSE / name).level is Level.OK, check_file(COMPOSE / name).message


def test_commands_are_commands_of_coalmine(compose: dict[str, Any]) -> None:
    """Each container of Coalmine runs a command that exists, with options that exist."""
    from typer.main import get_command  # noqa: PLC0415 - private to this test

    from coalmine.cli.main import build  # noqa: PLC0415 - imports every command

    group: Any = get_command(build())
    for name, service in _services(compose).items():
        if service["image"] != "coalmine:local":
            continue
        command, *arguments = service["command"]
        known = {word for p in group.commands[command].params for word in p.opts}
        assert {a for a in arguments if a.startswith("--")} <= known, name


def test_the_image_installs_only_locked_packages() -> None:
    """Every package in the image has its hash in requirements.lock."""
    text = (COMPOSE / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 2
    assert all("--require-hashes" in i or "--no-deps" in i for i in installs)
    assert re.search(r"^USER coalmine$", text, re.MULTILINE)
