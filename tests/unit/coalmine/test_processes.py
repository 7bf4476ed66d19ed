"""Child processes: started, ended, restarted, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from coalmine.stack.ports import LOOPBACK, free_port, is_free, is_open, preferred_port
from coalmine.stack.processes import Change, Event, Part, Supervisor, parts_of
from coalmine.stack.server import ServerProcess
from coalmine.stack.watchdog import ask
from contracts.clock import ManualClock
from contracts.errors import Fatal
from tests.support.waiting import wait_until

_SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
_PARENT = """
import subprocess, sys, time
from pathlib import Path
from coalmine.stack.server import ServerProcess
from coalmine.stack.watchdog import ask
# A child with a child of its own: both must go.
code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
child = ServerProcess(name="child", command=[sys.executable, "-c", code],
                      log=Path(sys.argv[1]), is_ready=lambda: True)
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""  # noqa: E501 - a program


def _process(tmp_path: Path, command: list[str], *, is_ready: bool = True) -> ServerProcess:
    return ServerProcess(
        name="sleeper",
        command=command,
        log=tmp_path / "sleeper.log",
        is_ready=lambda: is_ready,
        start_timeout_s=0.3,
    )


def test_a_process_starts_and_stops(tmp_path: Path) -> None:
    """After stop its id means nothing any more."""
    process = _process(tmp_path, _SLEEPER)
    process.start()
    pid = process.pid
    assert pid is not None
    assert psutil.pid_exists(pid)
    process.stop()
    assert process.pid is None
    assert not psutil.pid_exists(pid)


def test_a_process_starts_again_after_a_kill(tmp_path: Path) -> None:
    """The same object can be killed and started again."""
    process = _process(tmp_path, _SLEEPER)
    process.start()
    first = process.pid
    process.kill()
    process.start()
    assert process.pid not in {None, first}
    process.kill()


def test_an_early_end_is_told_with_its_log(tmp_path: Path) -> None:
    """The error names the exit code and shows the end of the log."""
    program = [sys.executable, "-c", "import sys; sys.exit('no such disk')"]
    process = _process(tmp_path, program, is_ready=False)
    with pytest.raises(Fatal, match=r"(?s)sleeper ended with code 1.*no such disk"):
        ServerProcess.start(process)


def test_a_late_server_is_told_and_killed(tmp_path: Path) -> None:
    """A server that never answers is an error after the time it has, and does not stay."""
    process = _process(tmp_path, _SLEEPER, is_ready=False)
    with pytest.raises(Fatal, match=r"did not answer within 0\.3 s"):
        process.start()
    assert not process.is_running


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL to the parent ends its child and its child's child."""
    command = [sys.executable, "-c", _PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        family = wait_until(lambda: child.children() and [child, *child.children()], 10)
        parent.send_signal(signal.SIGKILL)
    assert isinstance(family, list)
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_a_part_that_ends_is_started_again_after_a_wait(tmp_path: Path) -> None:
    """Each end is told with its code; the waits double; nothing starts before its time."""
    clock, changes = ManualClock(), list[Change]()
    supervisor = Supervisor(
        [Part("broken", ("no-such-command",))], tmp_path, on_change=changes.append, clock=clock
    )
    process = supervisor.processes()["broken"]
    process.spawn()
    for _ in range(2):
        wait_until(lambda: not process.is_running, 30)
        supervisor.check()  # notes the end
        supervisor.check()  # too early to start it
        clock.advance(changes[-1].wait_s)
        supervisor.check()  # starts it
    supervisor.stop()
    assert [(c.event, c.exit_code, c.wait_s) for c in changes[:4]] == [
        (Event.ENDED, 2, 0.5),
        (Event.RESTARTED, None, 0.0),
        (Event.ENDED, 2, 1.0),
        (Event.RESTARTED, None, 0.0),
    ]
    assert not process.is_running


def test_a_part_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """A fault of the machine does not end the supervision; the log's directory is a file here."""
    clock, changes = ManualClock(), list[Change]()
    supervisor = Supervisor(
        [Part("broken", ("no-such-command",))], tmp_path, on_change=changes.append, clock=clock
    )
    (tmp_path / "logs").touch()
    for _ in range(4):
        supervisor.check()
        clock.advance(40)
    (tmp_path / "logs").unlink()
    supervisor.check()
    supervisor.stop()
    assert [change.event for change in changes[:5]] == [Event.ENDED] * 4 + [Event.RESTARTED]
    assert all("did not start" in change.reason for change in changes[1:4])


def test_readers_start_before_those_who_write() -> None:
    """The agents come last, so that all readers are there; no alerter without endpoints."""
    state, config = Path("/s"), Path("/a.yaml")
    parts = parts_of(
        state,
        endpoints=Path("/e.yaml"),
        agents=[config, config],
        dashboard_port=1,
        api=(2, Path("/t.yaml")),
    )
    names = ["worker", "indexer", "alerter", "dashboard", "api", "agent-1", "agent-2"]
    assert [part.name for part in parts] == names
    assert [p.name for p in parts_of(state, dashboard_port=1)] == ["worker", "indexer", "dashboard"]


def test_a_taken_port_is_not_preferred() -> None:
    """A port on which something listens is replaced by a free one."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        taken = listener.getsockname()[1]
        assert is_open(taken)
        assert not is_free(taken)
        assert preferred_port(taken) != taken
    free = free_port()
    assert preferred_port(free) == free


def test_a_stopped_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    """SIGSTOP leaves a process running and silent: it is told as unwell, then replaced, with
    another process id; the supervisor's clock is turned by hand, the processes are real.
    """
    clock, changes = ManualClock(), list[Change]()
    port = free_port()
    state = str(tmp_path / "worker")
    silent = socket.create_server((LOOPBACK, 0))
    # A worker that waits for a Kafka that does not answer is alive all the same.
    environment = {"COALMINE_KAFKA": f"{LOOPBACK}:{silent.getsockname()[1]}"}
    supervisor = Supervisor(
        [Part("worker", ("worker", "--state", state), health_port=port)],
        tmp_path,
        environment=environment,
        on_change=changes.append,
        clock=clock,
    )
    process = supervisor.processes()["worker"]

    def look() -> None:
        clock.advance(11)
        supervisor.check()

    process.spawn()
    try:
        wait_until(lambda: ask(port).is_heard, 120)
        look()
        assert changes == []
        stopped = process.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        while len(changes) < 2:
            assert clock.monotonic_s() < 60, "a wedged worker is replaced within a minute"
            look()
        assert [c.event for c in changes] == [Event.UNWELL, Event.REPLACED]
        assert changes[-1].reason.startswith("has not answered for")
        assert not psutil.pid_exists(stopped)
        look()
        assert changes[2].event is Event.RESTARTED
        assert process.pid not in {None, stopped}
    finally:
        supervisor.stop()
        silent.close()
