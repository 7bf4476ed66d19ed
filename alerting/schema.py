"""The JSON Schema of the endpoints file: an editor knows each preset's options."""

from __future__ import annotations

from typing import Any

import msgspec

from alerting.integrations import PRESETS
from alerting.integrations.preset import Preset
from contracts.config import json_schema


def with_presets(schema: dict[str, Any]) -> dict[str, Any]:
    """What ``options``, ``auth`` and ``actions`` may say follows from ``preset``.

    Args:
        schema: of ``AlertingConfig``; changed in place and returned.
    """
    definitions = schema["$defs"]
    entry = definitions["EndpointConfig"]
    entry["properties"]["preset"]["enum"] = sorted(PRESETS)
    entry["allOf"] = [_rule(name, preset, definitions) for name, preset in sorted(PRESETS.items())]
    return schema


def _rule(name: str, preset: Preset, definitions: dict[str, Any]) -> dict[str, Any]:
    """Where an endpoint has this preset, its options, its actions and its ways to authenticate."""
    own = json_schema(preset.options)
    # every preset calls its options Options
    text = msgspec.json.encode(own).replace(b'"#/$defs/', f'"#/$defs/{name}.'.encode())
    own = msgspec.json.decode(text)
    definitions |= {f"{name}.{key}": value for key, value in own.pop("$defs").items()}
    needs = [option.name for option in msgspec.structs.fields(preset.options) if option.required]
    properties = {
        "options": own,
        "auth": {"enum": ["", *(auth.name for auth in preset.auth)]},
        "actions": {"items": {"enum": sorted(preset.actions)}},
    }
    return {
        "if": {"properties": {"preset": {"const": name}}, "required": ["preset"]},
        "then": {"properties": properties, "required": ["options"] if needs else []},
    }
