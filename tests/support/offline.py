"""Starts Kafka and Elasticsearch with every connection beyond this machine forbidden.

A program of its own (``python -m tests.support.offline STATE_DIR``), because the ban holds for the
whole process. Prints one JSON line when the servers are up, then waits to be killed.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from coalmine.stack.local import LocalStack


def forbid_network() -> None:
    """From now on, looking up or connecting to anything but loopback raises."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def only_loopback(host: Any, *rest: Any, **options: Any) -> Any:
        _refuse_unless_loopback(host)
        return look_up(host, *rest, **options)

    def connect_to_loopback(self: socket.socket, address: Any) -> None:
        _refuse_unless_loopback(address[0])
        connect(self, address)

    socket.getaddrinfo = only_loopback
    socket.socket.connect = connect_to_loopback  # type: ignore[method-assign, assignment]  # the ban itself


def _refuse_unless_loopback(host: object) -> None:
    if host not in {"127.0.0.1", "localhost", "::1"}:
        raise OSError(f"the network is forbidden here: {host!r}")


def main() -> None:
    """See the module."""
    forbid_network()
    stack = LocalStack(Path(sys.argv[1]))
    stack.start()
    pids = [stack.kafka_server.process.pid, stack.elasticsearch_server.process.pid]
    ports = [stack.kafka_server.port, stack.elasticsearch_server.port]
    sys.stdout.write(json.dumps({"pids": pids, "ports": ports}) + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
