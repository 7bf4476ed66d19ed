"""Apache Kafka as one process: broker and controller in one, on the loopback interface."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from coalmine.stack.local_server import LocalServer
from coalmine.stack.pins import load_jars, load_pins
from coalmine.stack.ports import LOOPBACK, is_open
from coalmine.stack.runtime import java_home, server_home
from coalmine.stack.server import ServerProcess
from contracts.errors import Fatal

NAME = "kafka"
_HEAP = ("-Xms128m", "-Xmx512m")
_SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
log.segment.bytes=134217728
"""

_LOG4J = """\
Configuration:
  status: warn
  Appenders:
    Console:
      name: STDOUT
      PatternLayout: {pattern: "%d{ISO8601} %p %c{1}: %m%n"}
  Loggers:
    Root:
      level: WARN
      AppenderRef: {ref: STDOUT}
    Logger:
      - {name: kafka.server.KafkaRaftServer, level: INFO}
"""


class KafkaServer(LocalServer):
    """A broker on ``port``; its data survive ``stop`` and ``kill``."""

    name = NAME
    title = "Kafka"

    @property
    def address(self) -> str:
        """``host:port``, for clients."""
        return f"{LOOPBACK}:{self.port}"

    def _prepare(self) -> ServerProcess:
        pins = load_pins()
        jars = self._cache.fetch(load_jars(pins), self._on_bytes)
        java = java_home(self._cache, self._user, pins.java.version) / "bin" / "java"
        home = server_home(self._state_dir, NAME, self._cache, self._user)
        properties = self._configure(home)
        base = [str(java), *_SMALL_JVM, "-cp", ":".join(str(jar) for jar in jars)]
        meta = home / "data" / "meta.properties"
        if not meta.exists():
            self._format(base, properties, home)
        self._cluster = _cluster_id(meta.read_text(encoding="utf-8"))
        logging = f"-Dlog4j2.configurationFile={home / 'log4j2.yaml'}"
        # The broker runs for long: it gets the optimising compiler that short tools go without.
        broker = [str(java), *_HEAP, "-XX:+UseSerialGC", "-Xshare:auto", logging, *base[-2:]]
        return ServerProcess(
            name="Kafka",
            command=[*broker, "kafka.Kafka", str(properties)],
            log=home / "kafka.log",
            is_ready=self._answers,
            cwd=home,
            user=self._user,
        )

    def _configure(self, home: Path) -> Path:
        self._user.own(home / "data")
        (home / "log4j2.yaml").write_text(_LOG4J, encoding="utf-8")
        properties = home / "server.properties"
        properties.write_text(
            _PROPERTIES.format(
                host=LOOPBACK,
                port=self.port,
                controller_port=self._inner_port,
                data=home / "data",
            ),
            encoding="utf-8",
        )
        return properties

    def _format(self, base: list[str], properties: Path, home: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_ = [
            "format",
            f"--cluster-id={cluster}",
            "-c",
            str(properties),
        ]  # it may begin with a dash
        tool = [*base, "kafka.tools.StorageTool", *format_]
        done = subprocess.run(  # noqa: S603 - pinned jars on a pinned Java
            tool,
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            timeout=60,
            **self._user.process_options(),
        )
        if done.returncode != 0:
            raise Fatal(f"Kafka's data directory cannot be formatted: {done.stderr or done.stdout}")

    def _answers(self) -> bool:
        from kafka import KafkaAdminClient  # noqa: PLC0415 - slow to import, needed only here
        from kafka.errors import KafkaError  # noqa: PLC0415 - see above

        if not is_open(self.port):
            return False
        try:
            client = KafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=3000)
        except KafkaError:
            return False
        try:
            found = client.describe_cluster()
            # another may have taken the port first
            return bool(found.get("brokers")) and found.get("cluster_id") == self._cluster
        except KafkaError:
            return False
        finally:
            client.close()


def _cluster_id(properties: str) -> str:
    r"""The id that a formatted data directory belongs to.

    >>> _cluster_id("version=1\ncluster.id=abc\n")
    'abc'
    """
    lines = (line.partition("=") for line in properties.splitlines())
    return next(value for name, _, value in lines if name == "cluster.id")
