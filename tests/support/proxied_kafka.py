"""A broker with a second address behind a proxy: some clients suffer, the test does not."""

from __future__ import annotations

from pathlib import Path

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.kafka_server import KafkaServer
from coalmine.stack.ports import LOOPBACK, free_port
from coalmine.stack.runtime import server_user
from contracts.settings import KafkaSettings, kafka_settings
from tests.support.fault_proxy import FaultProxy


class ProxiedKafka(KafkaServer):
    """A broker of its own for one test.

    Args:
        state_dir: of its data.
    """

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, cache=Cache(cache_directory()), user=server_user())
        self.behind_port = free_port()
        self.proxy = FaultProxy(f"{LOOPBACK}:{self.behind_port}", free_port())

    @property
    def settings(self) -> KafkaSettings:
        """The way beside the proxy."""
        return kafka_settings({"COALMINE_KAFKA": self.address})

    def _configure(self, home: Path) -> Path:
        properties = super()._configure(home)
        settings = dict(
            line.split("=", 1) for line in properties.read_text().splitlines() if "=" in line
        )
        settings["listeners"] += f",PROXIED://{LOOPBACK}:{self.behind_port}"
        settings["advertised.listeners"] += f",PROXIED://{self.proxy.address}"
        settings["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        properties.write_text("\n".join(f"{k}={v}" for k, v in settings.items()) + "\n")
        return properties
