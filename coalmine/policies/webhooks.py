"""What endpoints would be sent of a decision, without their secrets and without sending it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from alerting.integrations import PRESETS
from alerting.settings import AlertingConfig, EndpointConfig
from contracts.config import load
from contracts.errors import ConfigError
from contracts.results import Decision


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its preset makes it, still unsigned."""

    endpoint: str
    preset: str
    decision: str
    method: str
    body: Any
    """JSON where it is JSON, else its text."""


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
    return endpoints


def webhooks_of(endpoint: EndpointConfig, decisions: Iterable[Decision]) -> list[Webhook]:
    """The first request of each decision that this endpoint wants, in order."""
    return [_webhook(endpoint, decision) for decision in decisions if _wants(endpoint, decision)]


def _wants(endpoint: EndpointConfig, decision: Decision) -> bool:
    is_named = not decision.notify or endpoint.name in decision.notify
    is_served = any(fnmatchcase(decision.service, glob) for glob in endpoint.services)
    return is_named and is_served and decision.action in endpoint.actions


def _webhook(endpoint: EndpointConfig, decision: Decision) -> Webhook:
    message = PRESETS[endpoint.preset](decision)
    try:
        body = msgspec.json.decode(message.body)
    except msgspec.DecodeError:
        body = message.body.decode(errors="replace")
    return Webhook(
        endpoint=endpoint.name,
        preset=endpoint.preset,
        decision=decision.id,
        method=message.method,
        body=body,
    )
