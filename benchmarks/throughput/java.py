"""Kafka Streams on the local stack's Java: pinned jars, and Eclipse's compiler, so no JDK."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.pin import pin_jar
from coalmine.stack.pins import Artifact, load_jars, load_pins
from coalmine.stack.runtime import java_home, server_user

_HERE = Path(__file__).parent
_SOURCE = _HERE / "kafka_streams" / "KafkaStreamsSide.java"
_JARS = _HERE / "jars.json"
_COMPILER = "org.eclipse.jdt:ecj:3.40.0"
_STREAMS = ("org.apache.kafka:kafka-streams:{kafka}", "org.rocksdb:rocksdbjni:9.7.3")
"""What the broker's own jars lack; see the dependencies of the first when its version changes."""
_HEAP = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")


class _Jars(msgspec.Struct, forbid_unknown_fields=True):
    """What Kafka Streams needs beside the broker's own jars, and the compiler."""

    compiler: Artifact
    streams: list[Artifact]


def version() -> str:
    """Version of Kafka Streams, which is the broker's."""
    return load_pins().kafka.version


def command(build: Path) -> list[str]:
    """The command of the Kafka Streams side, compiled below ``build`` if need be.

    Raises:
        Fatal: a jar cannot be had.
    """
    pins, cache = load_pins(), Cache(cache_directory())
    jars = msgspec.json.decode(_JARS.read_bytes(), type=_Jars)
    paths = cache.fetch([*jars.streams, *load_jars(pins)], lambda _done, _total: None)
    [compiler] = cache.fetch([jars.compiler], lambda _done, _total: None)
    java = str(java_home(cache, server_user(), pins.java.version) / "bin" / "java")
    jar_path = ":".join(map(str, paths))
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    classes = build / f"classes-{digest}"
    if not classes.is_dir():
        compile_ = [java, "-jar", str(compiler), "-17", "-nowarn", "-cp", jar_path]
        subprocess.run([*compile_, "-d", str(classes), str(_SOURCE)], check=True)
    return [java, *_HEAP, "-cp", f"{classes}:{jar_path}", _SOURCE.stem]


def main() -> None:
    """``make pins``: write the jars for the version of Kafka that the local stack runs."""
    from jgo.maven import MavenContext  # noqa: PLC0415 - only a maintainer needs it

    with tempfile.TemporaryDirectory() as repository:
        context: Any = MavenContext(repo_cache=Path(repository), timeout=60)
        streams = [pin_jar(context, name.format(kafka=version())) for name in _STREAMS]
        jars = _Jars(compiler=pin_jar(context, _COMPILER), streams=streams)
    _JARS.write_bytes(msgspec.json.format(msgspec.json.encode(jars)) + b"\n")


if __name__ == "__main__":
    main()
