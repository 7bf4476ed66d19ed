"""The endpoints file: whom to tell, of what, and how hard to try. Secrets are references only."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from alerting.auth import Auth
from alerting.integrations import PRESETS
from alerting.integrations.preset import Options, Preset
from alerting.silences import Silence, SilenceConfig, silence_of
from contracts.config import Document, Seconds, Secret, resolve_secret
from contracts.errors import ConfigError
from contracts.results import Decision, DecisionAction

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Delay = Annotated[float, msgspec.Meta(ge=0)]
_REFERENCE = re.compile(r"\$\{(?:env|file):[^}]+\}")

_ADDRESSES = {
    "http": "http(s)://host[:port]/path",
    "tcp": "tcp://host:port",
    "unix": "unix:///path",
    "file": "file:///path",
}

Network = IPv4Network | IPv6Network


class RetryConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """When to try again; the last delay repeats until the decision expires."""

    delays: list[Seconds] = msgspec.field(
        default_factory=lambda: [Seconds(s) for s in (1, 2, 5, 10, 20, 30)]
    )
    jitter: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.2
    """Share of a delay by which it may be longer or shorter."""


class EndpointConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One receiver as a user writes it."""

    name: _Name
    url: str
    """The address, or a reference to it where it holds a secret itself."""
    secret: str | list[str] = msgspec.field(default_factory=list)
    """``${env:…}`` or ``${file:…}`` of what ``auth`` needs: a ``whsec_…`` secret (two of them while
    it is rotated), a token, or ``user:password``."""
    auth: str = ""
    """How to authenticate, where the preset knows several ways."""
    preset: str = "generic"
    options: dict[str, Any] = {}
    """What the preset needs to know; its folder tells."""
    actions: list[DecisionAction] = []
    """What it hears of; by default rollbacks and escalations, as far as the preset has them."""
    services: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """Globs of service names."""
    timeout: Seconds = Seconds(10)
    """For one attempt as a whole, from the first look-up to the last byte."""
    allow_private: bool | list[str] = False
    """Whether, or which, private and loopback addresses (CIDR) may be a target."""
    ca_file: Path | None = None
    verify_within: Seconds | None = None
    """How long to look whether the tool did what it took on, where the preset can; 0 for not. By
    default a minute, or 15 where the tool starts a job."""
    retry: RetryConfig = msgspec.field(default_factory=RetryConfig)


class AlertingConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    endpoints: list[EndpointConfig] = []
    silences: list[SilenceConfig] = []
    dashboard_url: str = ""
    """Where people find the dashboard: messages link to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One receiver, checked, with its secrets at hand. Printing it shows none of them."""

    name: str
    preset: str
    url: Secret
    """Revealed to the transport only: addresses of some tools are secrets."""
    shown_url: str
    """Without user info, query and, where the address came by reference, path."""
    auth: Auth
    secrets: tuple[Secret, ...]
    options: Options
    actions: frozenset[DecisionAction]
    services: tuple[str, ...]
    timeout_s: float
    private_networks: tuple[Network, ...]
    ca_file: Path | None
    delays_s: tuple[float, ...]
    jitter: float
    verify_within_s: float

    def redacted(self, text: str) -> str:
        """A text from outside, such as a tool's answer, without this endpoint's secrets."""
        for secret in (*self.secrets, *_secrets_in(msgspec.structs.asdict(self.options))):
            for part in {secret.reveal(), secret.reveal().partition(":")[2]} - {""}:
                text = text.replace(part, "***")
        return text

    def wants(self, decision: Decision) -> bool:
        """Whether this endpoint is to be told of this decision."""
        return (
            decision.action in self.actions
            and decision.undelivered_to != self.name
            and (not decision.notify or self.name in decision.notify)
            and any(fnmatchcase(decision.service, glob) for glob in self.services)
        )


@dataclass(frozen=True, slots=True)
class Alerting:
    """The whole file, checked."""

    endpoints: tuple[Endpoint, ...]
    silences: tuple[Silence, ...]


def load_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """The endpoints of the file, see ``load_alerting``."""
    return load_alerting(path).endpoints


def load_alerting(path: Path) -> Alerting:
    """Read, check and resolve the endpoints file.

    Raises:
        ConfigError: a field that is wrong, a secret that is not there or not one.
    """
    document = Document.read(path)
    config = document.convert(AlertingConfig)
    dashboard = _dashboard_url(config.dashboard_url, str(path))
    endpoints = tuple(
        _endpoint(entry, document, number, dashboard)
        for number, entry in enumerate(config.endpoints)
    )
    names = [endpoint.name for endpoint in endpoints]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigError(
                str(path),
                "expected a name of its own",
                field=f"endpoints[{number}].name",
                value=name,
            )
    silences = tuple(
        silence_of(entry, names, str(path), f"silences[{number}]")
        for number, entry in enumerate(config.silences)
    )
    return Alerting(endpoints, silences)


def _dashboard_url(text: str, source: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
        expected = "expected http(s)://host[:port]/path"
        raise ConfigError(source, expected, field="dashboard_url", value=text)
    return text.rstrip("/")


def _endpoint(entry: EndpointConfig, document: Document, number: int, dashboard: str) -> Endpoint:
    source, field = document.source, f"endpoints[{number}]"
    if entry.preset not in PRESETS:
        expected = f"expected one of {', '.join(sorted(PRESETS))}"
        raise ConfigError(source, expected, field=f"{field}.preset", value=entry.preset)
    if entry.timeout <= 0:
        raise ConfigError(source, "expected more than 0 s", field=f"{field}.timeout")
    if not entry.retry.delays or min(entry.retry.delays) <= 0:
        expected = "expected at least one delay, each above 0 s"
        raise ConfigError(source, expected, field=f"{field}.retry.delays")
    preset = PRESETS[entry.preset]
    url, shown = _url(entry.url, preset, source, f"{field}.url")
    auth = _auth(entry, preset, source, field)
    options = document.convert(preset.options, "endpoints", number, "options")
    if not options.dashboard_url:
        options = msgspec.structs.replace(options, dashboard_url=dashboard)
    return Endpoint(
        name=entry.name,
        preset=entry.preset,
        url=url,
        shown_url=shown,
        auth=auth,
        secrets=_secrets(entry.secret, auth, source, f"{field}.secret"),
        options=options,
        actions=_actions(entry, preset, source, f"{field}.actions"),
        services=tuple(entry.services),
        timeout_s=float(entry.timeout),
        private_networks=_networks(entry.allow_private, source, f"{field}.allow_private"),
        ca_file=_ca_file(entry.ca_file, source, f"{field}.ca_file"),
        delays_s=tuple(float(delay) for delay in entry.retry.delays),
        jitter=entry.retry.jitter,
        verify_within_s=(
            preset.verify_within_s if entry.verify_within is None else float(entry.verify_within)
        ),
    )


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secrets_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets_in(one)


def _auth(entry: EndpointConfig, preset: Preset, source: str, field: str) -> Auth:
    """The way that is asked for; else the first one that fits having a secret or not."""
    ways = {auth.name: auth for auth in preset.auth}
    if entry.auth:
        if entry.auth not in ways:
            expected = f"expected one of {', '.join(ways)}"
            raise ConfigError(source, expected, field=f"{field}.auth", value=entry.auth)
        return ways[entry.auth]
    has_secret = bool(entry.secret)
    fitting = [auth for auth in preset.auth if (auth.most_secrets > 0) == has_secret]
    return (fitting or list(preset.auth))[0]


def _actions(
    entry: EndpointConfig, preset: Preset, source: str, field: str
) -> frozenset[DecisionAction]:
    for number, action in enumerate(entry.actions):
        if action not in preset.actions:
            known = ", ".join(action.value for action in DecisionAction if action in preset.actions)
            expected = f"{entry.preset} acts on {known}"
            raise ConfigError(source, expected, field=f"{field}[{number}]", value=action.value)
    return frozenset(entry.actions) or preset.default_actions


def _url(text: str, preset: Preset, source: str, field: str) -> tuple[Secret, str]:
    is_reference = _REFERENCE.fullmatch(text) is not None
    url = resolve_secret(text, source=source, field=field).reveal() if is_reference else text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in preset.schemes or not _is_whole(parts) or not url.isprintable():
        shown = None if is_reference else text
        expected = " or ".join(_ADDRESSES[s] for s in preset.schemes if s != "https")
        raise ConfigError(source, f"expected {expected}", field=field, value=shown)
    if parts.hostname is None:
        return Secret(url), f"{parts.scheme}://" + ("/***" if is_reference else parts.path)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(source, "an address must not hold a user or password", field=field)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return Secret(url), where + ("/***" if is_reference else parts.path)


def _is_whole(parts: SplitResult) -> bool:
    if parts.scheme in {"unix", "file"}:
        return not parts.netloc and parts.path.startswith("/") and not parts.path.endswith("/")
    return bool(parts.hostname) and (parts.scheme != "tcp" or parts.port is not None)


def _secrets(
    references: str | list[str], auth: Auth, source: str, field: str
) -> tuple[Secret, ...]:
    given = [references] if isinstance(references, str) else references
    if auth.most_secrets == 0 and given:
        raise ConfigError(source, f"expected none: auth is {auth.name}", field=field)
    if auth.most_secrets and not 1 <= len(given) <= auth.most_secrets:
        or_two = ", or two while it is rotated" if auth.most_secrets > 1 else ""
        raise ConfigError(source, f"expected one secret{or_two}", field=field)
    secrets = tuple(resolve_secret(r, source=source, field=field) for r in given)
    for secret in secrets:
        if mistake := auth.mistake(secret.reveal()):
            raise ConfigError(source, mistake, field=field)
    return secrets


def _networks(allowed: bool | list[str], source: str, field: str) -> tuple[Network, ...]:  # noqa: FBT001 - a field of the file
    if allowed is True:
        return (ip_network("0.0.0.0/0"), ip_network("::/0"))
    networks: list[Network] = []
    for text in allowed or []:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            expected = "expected true, false or networks such as 10.1.0.0/16"
            raise ConfigError(source, expected, field=field, value=text) from error
    return tuple(networks)


def _ca_file(path: Path | None, source: str, field: str) -> Path | None:
    if path is None:
        return None
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(source, "expected a file of PEM certificates", field=field) from error
    return path
