"""What ``coalmine up`` leaves for the other commands: where its servers are, and who runs them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import msgspec
import typer

from coalmine.stack.ports import LOOPBACK
from coalmine.stack.processes import TARGETS_FILE
from contracts.config import resolve_secret
from contracts.errors import ConfigError, Fatal
from contracts.settings import (
    ApiSettings,
    ElasticsearchSettings,
    KafkaSettings,
    api_settings,
    elasticsearch_settings,
    kafka_settings,
)

StateDirectory = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Directory of data and logs. Default: COALMINE_STATE, or the user's own."
    ),
]


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """``up.json``: the stack that runs in this state directory."""

    pid: int
    kafka: str
    elasticsearch: str
    dashboard: str
    api: str = ""
    health: dict[str, int] = {}
    """Each part's health port, on the loopback interface."""

    def environment(self) -> dict[str, str]:
        """The variables that lead a process to this stack."""
        return {"COALMINE_KAFKA": self.kafka, "COALMINE_ELASTICSEARCH": self.elasticsearch}


def state_directory(chosen: Path | None) -> Path:
    """The directory of ``--state``, ``COALMINE_STATE``, or the user's own."""
    if chosen is not None:
        return chosen.absolute()
    if named := os.environ.get("COALMINE_STATE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "coalmine"


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state directory; two stacks on the same data would ruin them.

    Raises:
        Fatal: another process holds it.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "up.lock").open("a+") as handle:
        if not _lock(handle):
            raise Fatal(f"Coalmine already runs in {state_dir}: stop it with coalmine down")
        try:
            yield
        finally:
            (state_dir / "up.json").unlink(missing_ok=True)


def is_held(state_dir: Path) -> bool:
    """Whether a stack runs in this directory."""
    try:
        with (state_dir / "up.lock").open("a+") as handle:
            return not _lock(handle)
    except OSError:
        return False


def write_running(state_dir: Path, running: Running) -> None:
    """Tell the other commands where the stack is."""
    _write(state_dir / "up.json", running)


def write_targets(state_dir: Path, health: Mapping[str, int]) -> Path:
    """The health ports as Prometheus reads them: a file for its ``file_sd_configs``."""
    targets = [
        {"targets": [f"{LOOPBACK}:{port}"], "labels": {"part": part}}
        for part, port in health.items()
    ]
    path = state_dir / TARGETS_FILE
    _write(path, targets)
    return path


def find_running(state_dir: Path) -> Running | None:
    """The stack that runs in this directory, if one does."""
    if not is_held(state_dir):
        return None
    try:
        return msgspec.json.decode((state_dir / "up.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


def environment(state_dir: Path) -> Mapping[str, str]:
    """This process's environment; a running ``coalmine up`` fills in what it does not say."""
    running = find_running(state_dir)
    return {**(running.environment() if running else {}), **os.environ}


def servers(chosen: Path | None = None) -> tuple[KafkaSettings, ElasticsearchSettings]:
    """The servers that the environment names, else those of a running ``coalmine up``.

    Raises:
        ConfigError: the environment holds an address that is none.
    """
    variables = environment(state_directory(chosen))
    return kafka_settings(variables), elasticsearch_settings(variables)


def api_files(state_dir: Path) -> tuple[Path, Path]:
    """The API's file of tokens, and the token that commands on this machine show."""
    return state_dir / "api" / "tokens.yaml", state_dir / "api" / "token"


def api(chosen: Path | None = None) -> ApiSettings:
    """The API that the environment names, else that of a running ``coalmine up``.

    Raises:
        ConfigError: the environment holds what is no address, or there is no API at all.
    """
    named = api_settings()
    if named.url:
        return named
    state_dir = state_directory(chosen)
    running = find_running(state_dir)
    if running is None or not running.api:
        expected = f"expected the address of coalmine api: no coalmine up runs in {state_dir}"
        raise ConfigError("COALMINE_API", expected)
    if named.token.reveal():
        return replace(named, url=running.api)
    token = resolve_secret(
        f"${{file:{api_files(state_dir)[1]}}}", source="COALMINE_API_TOKEN", field=""
    )
    return replace(named, url=running.api, token=token)


def _write(path: Path, document: object) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(msgspec.json.encode(document))
    partial.rename(path)


def _lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
