"""Real logs through agent → Kafka → Faust → Elasticsearch, counted against zcat, awk and wc.

    python benchmarks/real_data.py ../shared/data

Prints a table with both counts of every figure and ends with 1 where any differs.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, helpers

from coalmine.stack.local import LocalStack
from coalmine.stack.processes import Supervisor, parts_of
from coalmine.stack.topics import ensure_topics
from contracts.settings import elasticsearch_settings, kafka_settings

SITE, BROKERS = "site", "kafka"
SEVERITIES = {"WARN": "warning"}
"""Names of severities that the agent spells otherwise (see ``docs/glossary.md``)."""
QUIET_S = 6.0
LONGEST_S = 240.0

AGENT = """
agent: real-data
state_dir: {state}/agent
files:
  - paths: [{data}/access.log]
    kind: events
    format: combined
    service: site
    release: "1"
  - paths: [{data}/kafka*/logs/*.log*]
    kind: logs
    format: regex
    pattern: '\\[(?P<time>[^\\]]+)\\] (?P<severity>[A-Z]+) (?P<message>.*)'
    time_format: "%Y-%m-%d %H:%M:%S,%f"
    multiline: {{start: '^\\[\\d{{4}}-', timeout: 1s}}
    service: kafka
    release: "0.10"
    from_path: '(?P<host>kafka\\d)/logs/[^/]*$'
"""

Table = dict[str, int]


def main(source: Path) -> int:
    """Run it on the data below ``source``; 0 if every figure agrees."""
    with tempfile.TemporaryDirectory(prefix="coalmine-real-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        data = _unpacked(source, directory / "data")
        expected = _counted_outside(data)
        started = time.monotonic()
        found = _counted_by_coalmine(data, directory)
        took = time.monotonic() - started
    width = max(map(len, expected | found))
    print(f"{'figure':<{width}} {'outside':>12} {'coalmine':>12}")
    for figure in sorted(expected | found):
        ours, theirs = found.get(figure, 0), expected.get(figure, 0)
        mark = "" if ours == theirs else "   DIFFERENT"
        print(f"{figure:<{width}} {theirs:>12,} {ours:>12,}{mark}")
    print(f"start of the servers to the last document: {took:.0f} s")
    return int(found != expected)


def _unpacked(source: Path, target: Path) -> Path:
    target.mkdir()
    with (target / "access.log").open("wb") as log:
        packed = source / "access" / "elastic_apache_logs.gz"
        subprocess.run(["zcat", str(packed)], stdout=log, check=True)
    with tarfile.open(source / "kafka" / "elastic_kafka_broker_logs.tar.xz") as archive:
        archive.extractall(target, filter="data")
    return target


def _shell(command: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _counted_outside(data: Path) -> Table:
    """Every figure by tools that share nothing with Coalmine."""
    table: Table = {
        "access lines": int(_shell("wc -l < access.log", data)),
        "access bytes": int(
            _shell(
                """sed -E 's/^[^"]*"([^"\\\\]|\\\\.)*" //' access.log |
                awk '$2 != "-" { sum += $2 } END { printf "%.0f", sum }'""",
                data,
            )
        ),
        "kafka lines": int(_shell("cat kafka*/logs/* | wc -l", data)),
        "kafka records": int(_shell("cat kafka*/logs/* | grep -cE '^\\[[0-9]{4}-'", data)),
    }
    statuses = _shell(
        """sed -E 's/^[^"]*"([^"\\\\]|\\\\.)*" //' access.log |
        awk '{ print $1 }' | sort | uniq -c""",
        data,
    )
    levels = _shell(
        "cat kafka*/logs/* | grep -E '^\\[[0-9]{4}-' | awk '{ print $3 }' | sort | uniq -c", data
    )
    for name, text in (("access status", statuses), ("kafka severity", levels)):
        for line in text.splitlines():
            count, value = line.split()
            table[f"{name} {SEVERITIES.get(value, value.lower())}"] = int(count)
    return table


def _counted_by_coalmine(data: Path, directory: Path) -> Table:
    """The same figures from Elasticsearch, once they have stopped changing."""
    config = directory / "agent.yaml"
    config.write_text(AGENT.format(state=directory, data=data), encoding="utf-8")
    with LocalStack(directory / "stack") as stack:
        environment = {**stack.environment(), "COALMINE_LOGS_SHARE": "1"}
        ensure_topics(kafka_settings(environment))
        options = elasticsearch_settings(environment).client_options()
        parts = parts_of(directory, agents=[config], dashboard_port=0)
        wanted = [part for part in parts if part.name != "dashboard"]
        supervisor = Supervisor(wanted, directory, environment=environment)
        supervisor.start()
        try:
            with Elasticsearch(**options) as client:
                return _settled(client)
        finally:
            supervisor.stop()


def _settled(client: Elasticsearch) -> Table:
    last: Table = {}
    since = deadline = time.monotonic()
    deadline += LONGEST_S
    while time.monotonic() < deadline:
        time.sleep(1.0)
        found = _stored(client)
        if found != last:
            last, since = found, time.monotonic()
        elif any(last.values()) and time.monotonic() - since > QUIET_S:
            return {k: v for k, v in last.items() if v or "dead" in k}
    return last


def _stored(client: Elasticsearch) -> Table:
    client.indices.refresh(index="coalmine-*", ignore_unavailable=True)
    counts: Counter[str] = Counter()
    for hit in _scan(client, "coalmine-windows-*"):
        if hit["service.name"] == SITE:
            counts.update(hit["counts"])
    table: Table = {
        "access lines": counts["request"],
        "access bytes": counts["request.bytes"],
    }
    prefix = "request.status."
    for name, count in counts.items():
        if name.startswith(prefix):
            table[f"access status {name.removeprefix(prefix)}"] = count
    severities: Counter[str] = Counter()
    lines = 0
    for hit in _scan(client, "coalmine-logs-*"):
        severities[hit["severity"]] += 1
        lines += hit["message"].count("\n") + 1
    table |= {"kafka lines": lines, "kafka records": severities.total()}
    table |= {f"kafka severity {name}": count for name, count in severities.items()}
    if dead := sum(1 for _ in _scan(client, "coalmine-deadletters-*")):
        table["dead letters"] = dead
    return table


def _scan(client: Elasticsearch, index: str) -> list[dict[str, Any]]:
    query: dict[str, Any] = {"query": {"match_all": {}}}
    return [hit["_source"] for hit in helpers.scan(client, index=index, query=query, size=2000)]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
