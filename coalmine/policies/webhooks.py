"""What endpoints would be told of a decision, without their secrets and without telling them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from alerting.conversing import converse
from alerting.integrations import PRESETS
from alerting.integrations.conversation import Answer, Request
from alerting.integrations.preset import Options
from alerting.settings import AlertingConfig, EndpointConfig
from contracts.config import Seconds, Secret, load, seconds
from contracts.errors import ConfigError
from contracts.results import Decision


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint is told of one decision, as long as it says yes to everything."""

    endpoint: str
    preset: str
    decision: str
    requests: list[str]
    """Method and path, or the line, in order; secrets as ``***``."""
    body: Any
    """Of the last request that has one: JSON where it is JSON, else its text."""


def endpoints_of(path: Path) -> list[EndpointConfig]:
    """The endpoints of a file; their secrets are not asked for.

    Raises:
        ConfigError: the file is wrong, or names a preset that there is not.
    """
    endpoints = load(path, AlertingConfig).endpoints
    for number, endpoint in enumerate(endpoints):
        if endpoint.preset not in PRESETS:
            expected = f"expected one of {', '.join(sorted(PRESETS))}"
            field = f"endpoints[{number}].preset"
            raise ConfigError(str(path), expected, field=field, value=endpoint.preset)
        try:
            _options(endpoint)
        except msgspec.ValidationError as error:
            field = f"endpoints[{number}].options"
            raise ConfigError(str(path), str(error), field=field) from error
    return endpoints


def told(endpoint: EndpointConfig, decisions: Iterable[Decision]) -> list[Told]:
    """What an endpoint is told of each decision that it wants, in order."""
    return [_told(endpoint, decision) for decision in decisions if _wants(endpoint, decision)]


def _wants(endpoint: EndpointConfig, decision: Decision) -> bool:
    actions = endpoint.actions or PRESETS[endpoint.preset].default_actions
    is_named = not decision.notify or endpoint.name in decision.notify
    is_served = any(fnmatchcase(decision.service, glob) for glob in endpoint.services)
    return is_named and is_served and decision.action in actions


def _told(endpoint: EndpointConfig, decision: Decision) -> Told:
    requests: list[str] = []

    def yes(request: Request) -> Answer:
        requests.append(request.shown)
        return Answer(200, body=b"{}")

    conversation = PRESETS[endpoint.preset].deliver(decision, _options(endpoint))
    shown = converse(conversation, yes).body
    try:
        body = msgspec.json.decode(shown)
    except msgspec.DecodeError:
        body = shown
    return Told(
        endpoint=endpoint.name,
        preset=endpoint.preset,
        decision=decision.id,
        requests=requests,
        body=body,
    )


def _options(endpoint: EndpointConfig) -> Options:
    options: Options = msgspec.convert(
        endpoint.options, PRESETS[endpoint.preset].options, dec_hook=_without_secrets
    )
    return options


def _without_secrets(as_type: type[Any], value: object) -> object:
    if as_type is Secret:
        return Secret(str(value))  # the reference itself: nothing is sent
    if as_type is Seconds:
        return seconds(value) if isinstance(value, str) else Seconds(float(str(value)))
    if as_type is Path:
        return Path(str(value))
    raise NotImplementedError(f"no decoder for {as_type}")
