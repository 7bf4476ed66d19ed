"""Alerters and receivers for the fault tests of this folder."""

from __future__ import annotations

from tests.support.alerting import alerting, deploy_tool, listen, process, receiver, wire

__all__ = ["alerting", "deploy_tool", "listen", "process", "receiver", "wire"]
