"""Presets: one folder per tool that can be told, each offering ``render``. Listed here, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerting.integrations import generic
from alerting.integrations.message import Message
from contracts.results import Decision

Render = Callable[[Decision], Message]

PRESETS: Mapping[str, Render] = {"generic": generic.render}
"""By the name that the endpoints file uses."""
