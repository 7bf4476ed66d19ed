"""Coalmine's own processes in the demo, and the example deploy tool that they tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from coalmine.demo.configs import Configs
from coalmine.demo.crew import start_together, stop_together
from coalmine.stack.ports import LOOPBACK, free_port, is_open
from coalmine.stack.processes import Part, parts_of
from coalmine.stack.server import ServerProcess

_ROOT = Path(__file__).parents[2]


class Staff:
    """Agent, worker, indexer, alerter, dashboard and deploy tool, each a process of its own.

    Args:
        state: gets ``logs/`` and what the processes keep.
        environment: leads them to the servers.
        dashboard_port: a free one if not given.
    """

    def __init__(
        self, state: Path, environment: dict[str, str], dashboard_port: int | None
    ) -> None:
        self._state = state
        self._environment = os.environ | environment
        self._dashboard_port = dashboard_port or free_port()
        self._deploy_tool_port = free_port()
        self.processes: list[ServerProcess] = []

    @property
    def dashboard_url(self) -> str:
        """Where the dashboard is."""
        return f"http://{LOOPBACK}:{self._dashboard_port}"

    @property
    def deploy_tool_url(self) -> str:
        """Where the deploy tool takes webhooks."""
        return f"http://{LOOPBACK}:{self._deploy_tool_port}/webhooks"

    def start(self, configs: Configs, *, router_admin: str) -> None:
        """Start all of them; returns when those with a port answer on it.

        Raises:
            Fatal: one of them ended or did not answer.
        """
        parts = parts_of(
            self._state,
            policies=configs.policies,
            endpoints=configs.endpoints,
            agents=[configs.agent],
            dashboard_port=self._dashboard_port,
        )
        self.processes = [self._deploy_tool(configs, router_admin), *map(self._coalmine, parts)]
        start_together(self.processes)

    def dismiss(self) -> None:
        """End all of them; harmless where none runs."""
        stop_together(self.processes)

    def _coalmine(self, part: Part) -> ServerProcess:
        # Without the supervisor of `coalmine up`: a demo tells what failed, and does not try again.
        command = [sys.executable, "-m", "coalmine", *part.command]
        return self._process(f"coalmine {part.name}", command, part.port)

    def _deploy_tool(self, configs: Configs, router_admin: str) -> ServerProcess:
        command = [
            *(sys.executable, str(_ROOT / "examples" / "deploy_tool.py")),
            *("--port", str(self._deploy_tool_port)),
            *("--secret-file", str(configs.secret)),
            *("--router", router_admin),
        ]
        return self._process("the deploy tool", command, self._deploy_tool_port)

    def _process(self, name: str, command: Sequence[str], port: int | None) -> ServerProcess:
        answers: Callable[[], bool] = (lambda: True) if port is None else (lambda: is_open(port))
        return ServerProcess(
            name=name,
            command=command,
            log=self._state / "logs" / f"{name.rsplit(maxsplit=1)[-1]}.log",
            is_ready=answers,
            environment=self._environment,
            start_timeout_s=40.0,
            stop_timeout_s=6.0,
        )
