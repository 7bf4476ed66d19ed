"""What the other processes tell of themselves at their health ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import structlog
from prometheus_client.parser import text_string_to_metric_families

from contracts.clock import Clock
from contracts.errors import ConfigError
from dashboard.queries.cache import Cache
from dashboard.words import Label

log = structlog.get_logger()

ASKED_S = 5.0
_TIMEOUT_S = 1.0
_MOST_PARTS = 50

READY = Label("Ready", "check", "good")
WAITING = Label("Not ready", "alert", "warn")
SILENT = Label("Does not answer", "stop", "bad")


class Target(msgspec.Struct, frozen=True):
    """One entry of a Prometheus ``file_sd_configs`` file."""

    targets: list[str]
    labels: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One process: its state, and what it counts; None where it counts no such thing."""

    name: str
    label: Label
    lag_s: float | None = None
    lag_messages: float | None = None
    late: float | None = None
    dead: float = 0.0


class PartsReader:
    """Asks the processes of a file of targets; all viewers share what they say.

    Args:
        targets: the file, as Prometheus reads it, looked at anew each time: what starts the
            processes may write it later; nobody is asked without one.
        clock: tells when an answer is too old.
    """

    def __init__(self, targets: Path | None, clock: Clock) -> None:
        self._targets = targets
        self._cache = Cache(clock)

    def read(self) -> Sequence[PartHealth]:
        """Every process, in the order of the file."""
        return self._cache.get("parts", ASKED_S, self._ask).value or ()

    def _ask(self) -> list[PartHealth]:
        if self._targets is None:
            return []
        try:
            parts = read_targets(self._targets)
        except ConfigError as error:
            log.warning("targets_unreadable", error=str(error))
            return []
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            return [_ask_one(client, name, address) for name, address in parts]


def read_targets(path: Path) -> list[tuple[str, str]]:
    """Name and address of each process in a file of targets.

    Raises:
        ConfigError: unreadable, or no such file.
    """
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[Target])
    except (OSError, msgspec.DecodeError) as error:
        expected = "expected a file as Prometheus's file_sd_configs reads it"
        raise ConfigError(str(path), f"{expected}: {error}") from error
    found = [
        (entry.labels.get("part", address), address)
        for entry in entries
        for address in entry.targets
    ]
    return found[:_MOST_PARTS]


def _ask_one(client: httpx.Client, name: str, address: str) -> PartHealth:
    try:
        is_ready = client.get(f"http://{address}/readyz").is_success
        text = client.get(f"http://{address}/metrics").text
    except httpx.HTTPError:
        return PartHealth(name, SILENT)
    return part_of(name, text, READY if is_ready else WAITING)


def part_of(name: str, metrics: str, label: Label) -> PartHealth:
    """A process by its metrics.

    Args:
        name: of the process.
        metrics: in Prometheus's text format.
        label: its state.
    """
    worst_s: list[float] = []
    waiting: list[float] = []
    late: list[float] = []
    dead = 0.0
    for family in text_string_to_metric_families(metrics):
        values = [sample.value for sample in family.samples]
        if family.name.endswith("_lag_seconds"):
            worst_s += values
        elif family.name.endswith("_lag_messages"):
            waiting += values
        elif family.name.endswith("_late_records"):
            late += values
        elif family.name.endswith("_dead_letters"):
            dead += sum(values)
    return PartHealth(
        name=name,
        label=label,
        lag_s=max(worst_s, default=None),
        lag_messages=sum(waiting) if waiting else None,
        late=sum(late) if late else None,
        dead=dead,
    )
