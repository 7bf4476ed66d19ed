"""Presets: one folder per tool that can be told, each with a ``PRESET``. Listed here, once."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.integrations import flagd, generic, haproxy_dataplane, haproxy_runtime, nginx
from alerting.integrations.preset import Preset

PRESETS: Mapping[str, Preset] = {
    "flagd": flagd.PRESET,
    "generic": generic.PRESET,
    "haproxy-dataplane": haproxy_dataplane.PRESET,
    "haproxy-runtime": haproxy_runtime.PRESET,
    "nginx": nginx.PRESET,
}
"""By the name that the endpoints file uses."""
