"""Processes that end with their test."""

from __future__ import annotations

from tests.support.alerting import process, wire

__all__ = ["process", "wire"]
