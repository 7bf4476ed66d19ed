"""Where the servers are: read once from the environment, validated, then frozen.

Only this module and each room's ``app`` read the environment. The options it returns are plain
keyword arguments of the client libraries, so that no room builds them twice.
"""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.config import Secret, resolve_secret
from contracts.dead_letter_limit import DeadLetterLimit
from contracts.errors import ConfigError

_SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """``COALMINE_KAFKA`` (``host:port,…``) and, where needed, ``COALMINE_KAFKA_SECURITY_PROTOCOL``,
    ``_SASL_MECHANISM``, ``_USER``, ``_PASSWORD`` or ``_PASSWORD_FILE``, ``_CA_FILE``;
    ``COALMINE_PARTITIONS``.
    """

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    ca_file: Path | None = None
    partitions: int = 4

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether we say who we are."""
        return self.security_protocol.startswith("SASL")

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of every kafka-python client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password.reveal(),
            }
        if self.ca_file and self.uses_tls:
            options["ssl_cafile"] = str(self.ca_file)
        return options


@dataclass(frozen=True, slots=True)
class ElasticsearchSettings:
    """``COALMINE_ELASTICSEARCH`` (URL) and, where needed, ``COALMINE_ELASTICSEARCH_USER`` and
    ``_PASSWORD``, or ``_API_KEY``; ``_CA_FILE``. With ``_FILE`` behind their names, password and
    key come from a file.
    """

    url: str = "http://127.0.0.1:9200"
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    api_key: Secret = field(default_factory=lambda: Secret(""))
    ca_file: Path | None = None

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of ``Elasticsearch`` and of ``AsyncElasticsearch``."""
        options: dict[str, Any] = {"hosts": [self.url]}
        if self.api_key.reveal():
            options["api_key"] = self.api_key.reveal()
        elif self.user:
            options["basic_auth"] = (self.user, self.password.reveal())
        if self.ca_file and self.url.startswith("https:"):
            options["ca_certs"] = str(self.ca_file)
        return options


@dataclass(frozen=True, slots=True)
class LogStorage:
    """Which log lines Elasticsearch keeps, and for how long; they are counted all the same.

    ``COALMINE_LOGS_SHARE``, ``COALMINE_LOGS_DAYS``, ``COALMINE_LOGS_GIGABYTES``.
    """

    share: float = 0.1
    """Of the lines below the severity of an error; errors are kept all."""
    days: int = 7
    most_bytes: int = 20_000_000_000
    """Of all days together: beyond it the oldest day is deleted; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """``COALMINE_API`` (URL), ``COALMINE_API_TOKEN`` or ``_TOKEN_FILE``, ``COALMINE_API_CA_FILE``:
    how ``coalmine gate`` and others reach ``coalmine api``.
    """

    url: str = ""
    token: Secret = field(default_factory=lambda: Secret(""))
    ca_file: Path | None = None


def kafka_settings(environment: Mapping[str, str] | None = None) -> KafkaSettings:
    """The Kafka that the environment names.

    Raises:
        ConfigError: an address without a port, an unknown protocol, a number that is none.
    """
    env = os.environ if environment is None else environment
    defaults = KafkaSettings()
    bootstrap = env.get("COALMINE_KAFKA", defaults.bootstrap)
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError("COALMINE_KAFKA", "expected host:port,…", value=bootstrap)
    protocol = env.get("COALMINE_KAFKA_SECURITY_PROTOCOL", defaults.security_protocol).upper()
    if protocol not in _SECURITY_PROTOCOLS:
        raise ConfigError(
            "COALMINE_KAFKA_SECURITY_PROTOCOL",
            f"expected one of {', '.join(_SECURITY_PROTOCOLS)}",
            value=protocol,
        )
    mechanism = env.get("COALMINE_KAFKA_SASL_MECHANISM", defaults.sasl_mechanism).upper()
    if mechanism not in _MECHANISMS:
        expected = f"expected one of {', '.join(_MECHANISMS)}"
        raise ConfigError("COALMINE_KAFKA_SASL_MECHANISM", expected, value=mechanism)
    user, password = env.get("COALMINE_KAFKA_USER", ""), _secret(env, "COALMINE_KAFKA_PASSWORD")
    if protocol.startswith("SASL") and not (user and password.reveal()):
        expected = f"{protocol} needs COALMINE_KAFKA_USER and COALMINE_KAFKA_PASSWORD"
        raise ConfigError("COALMINE_KAFKA_SECURITY_PROTOCOL", expected)
    partitions = env.get("COALMINE_PARTITIONS", str(defaults.partitions))
    if not partitions.isdigit() or int(partitions) < 1:
        raise ConfigError("COALMINE_PARTITIONS", "expected a number above 0", value=partitions)
    return KafkaSettings(
        bootstrap=",".join(a.strip() for a in bootstrap.split(",")),
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        user=user,
        password=password,
        ca_file=_certificates(env, "COALMINE_KAFKA_CA_FILE"),
        partitions=int(partitions),
    )


def elasticsearch_settings(environment: Mapping[str, str] | None = None) -> ElasticsearchSettings:
    """The Elasticsearch that the environment names.

    Raises:
        ConfigError: not an http(s) URL with host and port, or a CA file that is not there.
    """
    env = os.environ if environment is None else environment
    url = env.get("COALMINE_ELASTICSEARCH", ElasticsearchSettings().url)
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        expected = "an address holds no user and no password: COALMINE_ELASTICSEARCH_USER does"
        raise ConfigError("COALMINE_ELASTICSEARCH", expected)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
        raise ConfigError("COALMINE_ELASTICSEARCH", "expected http(s)://host:port", value=url)
    return ElasticsearchSettings(
        url=url,
        user=env.get("COALMINE_ELASTICSEARCH_USER", ""),
        password=_secret(env, "COALMINE_ELASTICSEARCH_PASSWORD"),
        api_key=_secret(env, "COALMINE_ELASTICSEARCH_API_KEY"),
        ca_file=_certificates(env, "COALMINE_ELASTICSEARCH_CA_FILE"),
    )


def api_settings(environment: Mapping[str, str] | None = None) -> ApiSettings:
    """The API that the environment names; an empty address where it names none.

    Raises:
        ConfigError: not an http(s) URL, or a file that is not there.
    """
    env = os.environ if environment is None else environment
    url = env.get("COALMINE_API", "").rstrip("/")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        expected = "an address holds no user and no password: COALMINE_API_TOKEN does"
        raise ConfigError("COALMINE_API", expected)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ConfigError("COALMINE_API", "expected http(s)://host:port", value=url)
    return ApiSettings(
        url=url,
        token=_secret(env, "COALMINE_API_TOKEN"),
        ca_file=_certificates(env, "COALMINE_API_CA_FILE"),
    )


def dead_letter_limit(environment: Mapping[str, str] | None = None) -> DeadLetterLimit:
    """How much a stage may set aside before it stops: ``COALMINE_DEADLETTERS_CONSECUTIVE`` records
    in a row, or more than ``COALMINE_DEADLETTERS_SHARE`` of the last ``_OF_LAST``; 0 for no limit.

    Raises:
        ConfigError: not a number, or a share above 1.
    """
    env = os.environ if environment is None else environment
    default = DeadLetterLimit()
    return DeadLetterLimit(
        share=_number(env, "COALMINE_DEADLETTERS_SHARE", default.share, most=1.0),
        of_last=int(_number(env, "COALMINE_DEADLETTERS_OF_LAST", default.of_last, least=1)),
        consecutive=int(_number(env, "COALMINE_DEADLETTERS_CONSECUTIVE", default.consecutive)),
    )


def log_storage(environment: Mapping[str, str] | None = None) -> LogStorage:
    """What the indexer keeps of the log lines.

    Raises:
        ConfigError: not a number, a share above 1, less than one day.
    """
    env = os.environ if environment is None else environment
    default = LogStorage()
    gigabytes = _number(env, "COALMINE_LOGS_GIGABYTES", default.most_bytes / 1e9)
    return LogStorage(
        share=_number(env, "COALMINE_LOGS_SHARE", default.share, most=1.0),
        days=int(_number(env, "COALMINE_LOGS_DAYS", default.days, least=1, most=3650)),
        most_bytes=int(gigabytes * 1e9),
    )


def absent_releases(environment: Mapping[str, str] | None = None) -> int:
    """How many releases without a crash make its return a regression:
    ``COALMINE_CRASHES_ABSENT_RELEASES``, by default one.

    Raises:
        ConfigError: not a number from 1 to 100.
    """
    env = os.environ if environment is None else environment
    return int(_number(env, "COALMINE_CRASHES_ABSENT_RELEASES", 1, least=1, most=100))


def _number(
    env: Mapping[str, str], name: str, default: float, *, least: float = 0, most: float = 1e9
) -> float:
    text = env.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ConfigError(name, f"expected a number from {least:g} to {most:g}", value=text)
    return value


def _secret(env: Mapping[str, str], name: str) -> Secret:
    """The value of ``name``, or what stands in the file that ``name`` with ``_FILE`` names."""
    path = env.get(f"{name}_FILE", "")
    if not path:
        return Secret(env.get(name, ""))
    if env.get(name):
        raise ConfigError(f"{name}_FILE", f"{name} is set too: leave one of them out")
    return resolve_secret(f"${{file:{path}}}", source=f"{name}_FILE", field="")


def _certificates(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    if not value:
        return None
    path = Path(value)
    if not path.is_file():
        raise ConfigError(name, "no such file", value=value)
    try:
        ssl.create_default_context(cafile=value)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(name, "expected a file of PEM certificates", value=value) from error
    return path
