"""The launcher on real servers: offline, killed, restarted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.local import LocalStack
from coalmine.stack.pins import load_pins
from coalmine.stack.ports import is_open
from coalmine.stack.topics import ensure_topics
from contracts.errors import Fatal
from contracts.settings import KafkaSettings
from contracts.topics import VERDICTS
from tests.support.offline import forbid_network
from tests.support.stack import consume, produce
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A directory that the servers' user can enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_second_start_needs_no_network_and_a_killed_one_leaves_nothing(
    stack: LocalStack, state_dir: Path
) -> None:
    """With the files of the first start, a process that may reach nothing but loopback brings both
    servers up; SIGKILL to it ends all of their processes and frees their ports.
    """
    assert stack.kafka_server.is_running  # the first start: the cache is full
    command = [sys.executable, "-m", "tests.support.offline", str(state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        assert line, "the servers did not come up without the network"
        up = json.loads(line)
        assert all(is_open(port) for port in up["ports"])
        leaders = [psutil.Process(pid) for pid in up["pids"]]
        family = [p for leader in leaders for p in [leader, *leader.children(recursive=True)]]
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert not any(is_open(port) for port in up["ports"])


def test_an_empty_cache_without_network_is_a_plain_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The ban of the test above is real: with nothing cached the same start cannot succeed."""
    import socket  # noqa: PLC0415 - restored after this test

    monkeypatch.delenv("COALMINE_OFFLINE", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", socket.socket.connect)
    forbid_network()
    with pytest.raises(Fatal, match="cannot be downloaded"):
        Cache(tmp_path).fetch([load_pins().elasticsearch.archive], lambda _d, _t: None)


def test_messages_survive_a_killed_broker(state_dir: Path) -> None:
    """A broker that is killed and started again has its messages and its address."""
    local = LocalStack(state_dir)
    local.start(elasticsearch=False)
    try:
        settings = KafkaSettings(bootstrap=local.kafka, partitions=1)
        ensure_topics(settings, [VERDICTS])
        produce(settings, VERDICTS.name, [b"before"])
        local.kafka_server.kill()
        assert not is_open(local.kafka_server.port)
        local.kafka_server.start()
        produce(settings, VERDICTS.name, [b"after"])
        values = [m.value for m in consume(settings, VERDICTS.name, at_least=2)]
        assert values == [b"before", b"after"]
    finally:
        local.stop()
    wait_until(lambda: not is_open(local.kafka_server.port), 10)


def test_servers_do_not_run_as_root(stack: LocalStack) -> None:
    """Under root both servers run as another user; else as the one who started them."""
    pids = [stack.kafka_server.process.pid, stack.elasticsearch_server.process.pid]
    assert all(psutil.Process(pid).uids().effective != 0 for pid in pids)


def test_every_file_of_the_stack_is_pinned_and_cached(stack: LocalStack) -> None:
    """The class path of the running broker holds cached files only."""
    pid = stack.kafka_server.process.pid
    command = psutil.Process(pid).cmdline()
    jars = command[command.index("-cp") + 1].split(":")
    files = cache_directory() / "files"
    assert len(jars) == 46
    assert all(Path(jar).is_relative_to(files) for jar in jars)
