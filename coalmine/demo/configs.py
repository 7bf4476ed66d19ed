"""The files that point Coalmine at the shop: what a team would write for its own services."""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import yaml

from coalmine.demo.shopfront import SERVICE

_LAYOUT = r"/checkout/(?P<release>[^/]+)/(?P<host>[^/]+)/[^/]+\.log$"


@dataclass(frozen=True, slots=True)
class Configs:
    """Where the files of one run are."""

    agent: Path
    policies: Path
    endpoints: Path
    secret: Path


def write_configs(state: Path, deploy_tool: str) -> Configs:
    """Write all of them below ``state/config``, with a new secret that only its owner can read.

    Args:
        state: the run's directory; ``state/shop`` holds the shop's logs.
        deploy_tool: URL that takes the rollback webhook.
    """
    directory = state / "config"
    configs = Configs(
        agent=directory / "agent.yaml",
        policies=directory / "policies",
        endpoints=directory / "endpoints.yaml",
        secret=directory / "deploy-tool.secret",
    )
    configs.policies.mkdir(parents=True, exist_ok=True)
    _write_secret(configs.secret)
    _write(configs.agent, agent_config(state))
    _write(configs.policies / f"{SERVICE}.yaml", policy())
    _write(configs.endpoints, endpoints(deploy_tool, configs.secret))
    return configs


def agent_config(state: Path) -> dict[str, object]:
    """Both kinds of the shop's logs; release and host stand in their path."""
    logs = state.absolute() / "shop" / SERVICE
    return {
        # A new name for each run: what is sent is fenced by name and sequence number for ever.
        "agent": f"shop-{state.name}",
        "state_dir": str(state.absolute() / "agent"),
        "batch": {"max_age": "250ms"},
        "files": [
            {
                "paths": [str(logs / "*/*/access.log")],
                "kind": "events",
                "format": "json",
                "service": SERVICE,
                "from_path": _LAYOUT,
                "fields": {
                    "ts": "time",
                    "path": "route",
                    "status": "status",
                    "bytes": "size_bytes",
                    "took_ms": "duration_ms",
                    "user": "user",
                    "request_id": "trace",
                },
            },
            {
                "paths": [str(logs / "*/*/error.log")],
                "kind": "logs",
                "format": "regex",
                "service": SERVICE,
                "from_path": _LAYOUT,
                "pattern": r"(?P<time>\S+Z) (?P<severity>[A-Z]+) \S+: (?P<message>.*)",
                "multiline": {"start": r"\d{4}-\d\d-\d\dT", "timeout": "500ms"},
                "crashes": True,
            },
        ],
    }


def policy() -> dict[str, object]:
    """Watch errors, crashes and latency of every new release by itself."""
    return {
        "service": SERVICE,
        "autodetect": True,
        "false_rollback_rate": 0.01,
        "tolerance": 0.1,
    }


def endpoints(deploy_tool: str, secret: Path) -> dict[str, object]:
    """Whom to tell: the deploy tool, by a signed webhook."""
    return {
        "endpoints": [
            {
                "name": "deploy-tool",
                "url": deploy_tool,
                "secret": f"${{file:{secret.absolute()}}}",
                "allow_private": ["127.0.0.0/8"],
            }
        ]
    }


def _write(path: Path, value: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


def _write_secret(path: Path) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("whsec_" + b64encode(secrets.token_bytes(32)).decode())
