"""Presets: one folder per tool that can be told, each with a ``PRESET``. Listed here, once."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.integrations import generic
from alerting.integrations.preset import Preset

PRESETS: Mapping[str, Preset] = {
    "generic": generic.PRESET,
}
"""By the name that the endpoints file uses."""
