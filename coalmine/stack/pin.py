"""``make pins``: resolves Kafka's jars anew and writes them with their SHA-256.

Each coordinate is resolved by itself: one request for several of them mixes their versions.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from coalmine.stack.pins import COMPOSE, Artifact, load_pins

_TIMEOUT_S = 60


def main() -> None:
    """Write the list that ``compose/versions.yaml`` names."""
    from jgo.maven import MavenContext  # noqa: PLC0415 - only a maintainer needs it

    pins = load_pins()
    with tempfile.TemporaryDirectory() as repository:
        context: Any = MavenContext(repo_cache=Path(repository), timeout=_TIMEOUT_S)
        root, *others = pins.kafka.coordinates
        jars = {c: pin_jar(context, c) for c in [root, *_dependencies(context, root), *others]}
    target = COMPOSE / pins.kafka.jars
    target.write_bytes(format_jars(list(jars.values())))
    sys.stderr.write(f"{len(jars)} jars are pinned in {target}\n")


def format_jars(jars: list[Artifact]) -> bytes:
    """One jar to a line, in order, so that a change of version reads well."""
    ordered = sorted(jars, key=lambda jar: jar.coordinate)
    lines = (msgspec.json.format(msgspec.json.encode(jar), indent=0) for jar in ordered)
    return b"[\n  " + b",\n  ".join(lines) + b"\n]\n"


def _dependencies(context: Any, coordinate: str) -> list[str]:  # noqa: ANN401 - untyped library
    dependency = context.create_dependency(coordinate)
    _, nodes = context.resolver.get_dependency_list([dependency])
    found = (node.dep for node in nodes)
    return [f"{d.groupId}:{d.artifactId}:{d.version}" for d in found]


def pin_jar(context: Any, coordinate: str) -> Artifact:  # noqa: ANN401 - untyped library
    """The pin of one jar, as ``context`` (jgo's ``MavenContext``) resolves it."""
    group, name, version = coordinate.split(":")
    path = Path(context.project(group, name).at_version(version).artifact("", "jar").resolve())
    content = path.read_bytes()
    return Artifact(
        coordinate=coordinate,
        packaging="jar",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


if __name__ == "__main__":
    main()
