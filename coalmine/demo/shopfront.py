"""Opens the shop: its instances, its router and its customers, each a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from coalmine.demo.crew import start_together, stop_together
from coalmine.stack.server import ServerProcess
from contracts.errors import Fatal

SERVICE = "checkout"
BASELINE = "1.4.2"
CANARY = "1.5.0"
BASELINE_INSTANCES = ("web-1", "web-2", "web-3")
CANARY_INSTANCE = "web-4"
CANARY_WEIGHT, BASELINE_WEIGHT = 20, 80
_START_TIMEOUT_S = 30.0


class Shop:
    """The shop of one demo run, below ``state``.

    Args:
        state: gets ``shop/`` (the shop's own logs), ``run/`` and ``logs/``.
        canary_build: which build of 1.5.0 will be deployed, see ``coalmine.demo.shop.releases``.
    """

    def __init__(self, state: Path, canary_build: str) -> None:
        self.logs = state / "shop"
        self._state = state
        self._router = self._part("router", "router", [])
        self._baseline = [
            self._instance(name, BASELINE, seed) for seed, name in enumerate(BASELINE_INSTANCES)
        ]
        self._canary = self._instance(CANARY_INSTANCE, canary_build, seed=99)
        self._customers: ServerProcess | None = None

    @property
    def admin(self) -> str:
        """Where deploy tools change the router's weights."""
        return self._addresses("router")["admin"]

    @property
    def processes(self) -> list[ServerProcess]:
        """Those that must be running now."""
        return [p for p in (self._router, *self._baseline, self._canary) if p.pid or p.exit_code]

    def open(self) -> None:
        """Start the router and every instance of the baseline, and let the two meet."""
        start_together([self._router, *self._baseline])
        self._route({BASELINE: list(BASELINE_INSTANCES)}, {BASELINE: BASELINE_WEIGHT})

    def deploy_canary(self) -> None:
        """Start the canary and give it its part of the traffic."""
        self._canary.start()
        self._route({CANARY: [CANARY_INSTANCE]}, {CANARY: CANARY_WEIGHT})

    def admit_customers(self, *, rate: float, seconds: float, seed: int) -> None:
        """Let customers in: ``rate`` requests a second, for ``seconds`` at most."""
        options = ["--url", self._addresses("router")["url"], "--rate", str(rate)]
        options += ["--seconds", str(seconds), "--seed", str(seed)]
        self._customers = self._part("customers", "customers", options, announces=False)
        self._customers.spawn()

    def send_customers_home(self) -> None:
        """No new requests; returns when the last one under way is answered."""
        if self._customers is not None:
            self._customers.stop()

    @property
    def has_customers(self) -> bool:
        """Whether requests are still coming."""
        return self._customers is not None and self._customers.is_running

    def close(self) -> None:
        """End every process of the shop; harmless where none runs."""
        parts = [self._customers, self._router, *self._baseline, self._canary]
        stop_together([part for part in parts if part is not None])

    def _route(self, instances: dict[str, list[str]], weights: dict[str, float]) -> None:
        urls = {
            release: [self._addresses(name)["url"] for name in names]
            for release, names in instances.items()
        }
        with httpx.Client(base_url=self.admin, timeout=5, trust_env=False) as admin:
            try:
                admin.put("/instances", json=urls).raise_for_status()
                admin.put("/weights", json=weights).raise_for_status()
            except httpx.HTTPError as error:
                raise Fatal(f"the shop's router at {self.admin} refused: {error}") from error

    def _instance(self, name: str, build: str, seed: int) -> ServerProcess:
        options = ["--build", build, "--instance", name, "--seed", str(seed)]
        return self._part(name, "server", [*options, "--logs", str(self.logs)])

    def _part(
        self, name: str, module: str, options: Sequence[str], *, announces: bool = True
    ) -> ServerProcess:
        ready = self._ready_file(name)
        ready.unlink(missing_ok=True)
        ready_option = ["--ready", str(ready)] if announces else []
        return ServerProcess(
            name=f"the shop's {name}",
            command=[
                *(sys.executable, "-m", f"coalmine.demo.shop.{module}"),
                *(*options, *ready_option),
            ],
            log=self._state / "logs" / f"shop-{name}.log",
            is_ready=ready.exists,
            start_timeout_s=_START_TIMEOUT_S,
            stop_timeout_s=5.0 if announces else 40.0,
        )

    def _ready_file(self, name: str) -> Path:
        return self._state / "run" / f"{name}.json"

    def _addresses(self, name: str) -> dict[str, str]:
        addresses: dict[str, str] = json.loads(self._ready_file(name).read_text(encoding="utf-8"))
        return addresses
