"""How soon a line becomes a verdict, and a verdict a webhook, with everything running.

    python -m benchmarks.system latency --events-per-s 20000 --seconds 120

``coalmine up`` with Kafka, Elasticsearch, agent, worker, indexer, alerter and dashboard; services
write logs at the rate given, with a canary each, and marked lines among them. Each marked line is
followed from the time in it to the timestamp of the first verdict whose counts include it; all of
them must be in some verdict, each once. Meanwhile rollouts of other services are opened and
aborted: from the timestamp of that verdict to the receiver's clock when its webhook comes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import msgspec
import typer
import yaml
from kafka import KafkaProducer

from benchmarks.system.figures import Row, at_most, publish, quantiles, spread
from benchmarks.system.followed import Followed, aborted, follow, judged
from benchmarks.system.shop import MARK, MARKS_AFTER_S, Written
from benchmarks.system.store import stored
from benchmarks.throughput.command import say
from coalmine.cli.state import Running
from contracts import topics
from contracts.results import DecisionAction, RolloutCommand, RolloutCommandAction
from contracts.settings import KafkaSettings, elasticsearch_settings, kafka_settings
from tests.support.alerting import new_secret
from tests.support.everything import Everything

_SETTLE_S = 60.0
_LATE = "coalmine_streams_late_records_total"
Hits = dict[str, float]
"""Webhook id to the receiver's epoch milliseconds."""


def main(
    events_per_s: Annotated[float, typer.Option(min=1, help="Lines a second, all logs.")] = 20_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long lines are marked.")] = 120,
    services: Annotated[int, typer.Option(min=1, help="Services, each with a canary.")] = 3,
    marks_per_s: Annotated[float, typer.Option(min=0.1, help="Marked lines of each.")] = 10,
    webhooks_per_s: Annotated[float, typer.Option(min=0.1, help="Rollouts aborted.")] = 4,
) -> None:
    """Line to verdict, and verdict to webhook, beside their goals."""
    settings = dict(locals())
    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-", ignore_cleanup_errors=True) as name,
        _receiver() as (url, hits),
    ):
        state = Path(name)
        state.chmod(0o755)
        everything = Everything(state, _arguments(state, url))
        say("starting everything")
        running = everything.start()
        try:
            kafka = kafka_settings(running.environment())
            used = _cpu_of(everything)
            written = _drive(kafka, state, settings)
            used = {name: at - used.get(name, 0.0) for name, at in _cpu_of(everything).items()}
            late = _late_records(running)
            say("reading what became of the marked lines")
            found = _settled(kafka, written)
            sent = aborted(kafka)
            settings_of_store = elasticsearch_settings(running.environment())
            kept = list(stored(settings_of_store, written.lines, written.seconds))
        finally:
            everything.stop()
            everything.kill()
    rows = [*_rows(found, sent, hits), late, *kept, *_load(written, used)]
    sys.exit(not publish("latency", settings, rows))


main.__doc__ = f"{main.__doc__}\n\nExample: make bench-latency ARGS='--events-per-s 2000'"


def _drive(kafka: KafkaSettings, state: Path, settings: dict[str, object]) -> Written:
    """Let the services write and rollouts be aborted for the time that is measured."""
    options = [
        f"--{key.replace('_', '-')}={settings[key]}"
        for key in ("services", "events_per_s", "marks_per_s")
    ]
    command = [sys.executable, "-m", "benchmarks.system.shop", str(state / "shop"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as shop:
        try:
            say(f"{MARKS_AFTER_S:g} s until lines are marked")
            time.sleep(MARKS_AFTER_S)
            _abort_rollouts(kafka, float(str(settings["seconds"])), settings["webhooks_per_s"])
            shop.send_signal(signal.SIGTERM)
            output, _ = shop.communicate(timeout=30)
        finally:
            shop.kill()
    return msgspec.json.decode(output, type=Written)


def _settled(kafka: KafkaSettings, written: Written) -> Followed:
    """What became of the marked lines, once all are judged or the time for it is over."""
    end_s = time.monotonic() + _SETTLE_S
    wanted = sum(map(len, written.marks.values()))
    while judged(kafka, written.marks) < wanted and time.monotonic() < end_s:
        time.sleep(1)
    return follow(kafka, written.marks)


def _abort_rollouts(kafka: KafkaSettings, seconds: float, per_s: object) -> None:
    end_s = time.monotonic() + seconds
    told_s = end_s - seconds
    with closing(KafkaProducer(**kafka.client_options())) as producer:
        while (now_s := time.monotonic()) < end_s:
            for command in _opened_and_aborted():
                value = msgspec.json.encode(command)
                producer.send(topics.ROLLOUTS.name, value, key=command.service.encode())
            producer.flush()
            if now_s - told_s >= 10:
                say(f"{end_s - now_s:.0f} s left")
                told_s = now_s
            time.sleep(1 / float(str(per_s)))


def _opened_and_aborted() -> Iterator[RolloutCommand]:
    service = f"aborted-{uuid.uuid4().hex[:8]}"
    for action in (RolloutCommandAction.START, RolloutCommandAction.ABORT):
        yield RolloutCommand(
            id=uuid.uuid4().hex,
            time=time.time_ns() // 1_000_000,
            service=service,
            action=action,
            canary="2",
            baseline="1",
        )


def _rows(found: Followed, sent: dict[str, int], hits: Hits) -> list[Row]:
    whole = quantiles([way.whole for way in found.ways])
    hooks = [
        hits[key] - at
        for rollout, at in sent.items()
        if (key := _webhook(rollout, hits)) is not None
    ]
    p50, p99, most = quantiles(hooks)
    return [
        at_most("line written → verdict published, p50", whole[0] / 1000, 1.2, "s"),
        at_most("line written → verdict published, p99", whole[1] / 1000, 2.5, "s"),
        Row(what="line written → verdict published, most", value=whole[2] / 1000, unit="s"),
        Row(what="verdict published → webhook received, p50", value=p50, unit="ms"),
        at_most("verdict published → webhook received, p99", p99, 100, "ms"),
        Row(what="verdict published → webhook received, most", value=most, unit="ms"),
        _all("marked lines in verdicts", found.counted, found.marks),
        _all("webhooks received", len(hooks), len(sent)),
        *spread("line → its batch sent (agent)", [way.agent for way in found.ways], "ms"),
        *spread("batch → partial (aggregate)", [way.aggregate for way in found.ways], "ms"),
        *spread("line → its tick can be judged", [way.tick for way in found.ways], "ms"),
        *spread("tick can be judged → verdict", [way.whole - way.tick for way in found.ways], "ms"),
    ]


def _webhook(rollout: str, hits: Hits) -> str | None:
    wanted = (rollout, DecisionAction.ABORTED.value)
    return next((key for key in hits if (key.split("/")[0], key.split("/")[-1]) == wanted), None)


def _all(what: str, found: int, wanted: int) -> Row:
    return Row(what=what, value=found, goal=f"{wanted:,}", is_met=found == wanted > 0)


def _load(written: Written, used: dict[str, float]) -> Iterator[Row]:
    yield Row(what="lines written", value=written.lines / written.seconds, unit="/s")
    for part, cpu_s in sorted(used.items()):
        yield Row(what=f"CPU of {part}", value=100 * cpu_s / written.seconds, unit="% of a core")


def _late_records(running: Running) -> Row:
    """Records that came after their tick was judged: they counted in the next look."""
    page = urlopen(f"http://127.0.0.1:{running.health['worker']}/metrics").read().decode()
    late = next(line for line in page.splitlines() if line.startswith(_LATE))
    return Row(what="records after their tick", value=float(late.split()[-1]))


def _cpu_of(everything: Everything) -> dict[str, float]:
    """CPU seconds so far, by part of Coalmine or server."""
    found: dict[str, float] = {}
    for process in everything.processes():
        words = process.cmdline()
        name = words[3] if words[1:3] == ["-m", "coalmine"] else Path(words[0]).name
        if name == "java":
            name = "kafka" if "kafka.Kafka" in words else "elasticsearch"
        times = process.cpu_times()
        found[name] = found.get(name, 0.0) + times.user + times.system
    return found


def _arguments(state: Path, webhook: str) -> list[str]:
    """What ``coalmine up`` is told."""
    for folder in ("shop", "policies"):
        (state / folder).mkdir()
    (state / "secret").write_text(new_secret(), encoding="utf-8")
    metrics = [
        {"name": "error_rate", "of": "request", "bad": "request.bad"},
        {"name": "crash_rate", "of": "request", "bad": "crash"},
        {"name": "latency", "kind": "distribution", "value": "request.duration_ms"},
        {"name": MARK, "of": MARK, "bad": f"{MARK}.bad", "critical": False},
    ]
    phases = [{"name": "canary", "min_duration": "1h"}]
    endpoint = {
        "name": "deploy-tool",
        "url": webhook,
        "secret": f"${{file:{state / 'secret'}}}",
        "allow_private": ["127.0.0.0/8"],
        "actions": ["rollback", "aborted"],
    }
    files = {
        "policies/all.yaml": {"autodetect": True, "metrics": metrics, "phases": phases},
        "endpoints.yaml": {"endpoints": [endpoint]},
        "agent.yaml": {
            "agent": "bench",
            "state_dir": str(state / "agent"),
            "files": [{"paths": [str(state / "shop/*.log")]}],
        },
    }
    for name, content in files.items():
        (state / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    named = {"policies": "policies", "endpoints": "endpoints.yaml", "agent": "agent.yaml"}
    return [word for name, path in named.items() for word in (f"--{name}", str(state / path))]


@contextmanager
def _receiver() -> Iterator[tuple[str, Hits]]:
    """A deploy tool that notes when it was told what."""
    hits: Hits = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            hits.setdefault(self.headers["webhook-id"], time.time_ns() / 1e6)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", hits
    finally:
        server.shutdown()


if __name__ == "__main__":
    typer.run(main)
