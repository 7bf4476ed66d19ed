"""A real HAProxy on loopback: a backend with servers of two releases, and its admin socket."""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

_CONFIG = """\
global
    stats socket {socket} mode 600 level admin
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend customers
    bind 127.0.0.1:{port}
    http-request set-header x-request-id %[uuid]
    default_backend shop
backend shop
    balance roundrobin
{servers}
"""


def program() -> str:
    """Path of HAProxy: ``COALMINE_HAPROXY``, or where Debian puts it.

    Raises:
        FileNotFoundError: there is none; the message says what to do.
    """
    named = os.environ.get("COALMINE_HAPROXY")
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = named or shutil.which("haproxy", path=places)
    if not found or not Path(found).exists():
        raise FileNotFoundError(
            "install HAProxy (Debian: apt install haproxy) or set COALMINE_HAPROXY to its path"
        )
    return found


class Haproxy:
    """Its files and its admin socket.

    Args:
        directory: a short path: that of a socket is limited.
        port: where customers come in.
        servers: ``host:port`` by name; all begin with weight 0.
    """

    def __init__(self, directory: Path, port: int, servers: Mapping[str, str]) -> None:
        self.socket = directory / "admin.sock"
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / "haproxy.cfg"
        lines = [f"    server {name} {address} weight 0" for name, address in servers.items()]
        text = _CONFIG.format(socket=self.socket, port=port, servers="\n".join(lines))
        self._config.write_text(text, encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """In the foreground."""
        return [program(), "-db", "-f", str(self._config)]

    def say(self, line: str) -> str:
        """What it answers on its admin socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(f"{line}\n".encode())
            parts = iter(lambda: connection.recv(65_536), b"")
            return b"".join(parts).decode()

    def is_up(self) -> bool:
        """Whether it answers."""
        return self.socket.exists() and "Uptime" in self.say("show info")

    def stats(self) -> dict[str, dict[str, str]]:
        """Its own statistics of each server of the backend: ``weight``, ``stot``, …"""
        rows = csv.DictReader(io.StringIO(self.say("show stat").removeprefix("# ")))
        return {row["svname"]: row for row in rows if row["pxname"] == "shop"}
