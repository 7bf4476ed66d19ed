"""Crash groups and log templates through a real worker: another topic, the same evidence."""

from __future__ import annotations

import time

import msgspec
import pytest

from contracts import topics
from contracts.records import Crash, LogLine, Record, RecordKind
from contracts.results import Decision, DecisionAction
from contracts.settings import KafkaSettings
from tests.support.stack import consume, produce, unique
from tests.support.telemetry import EVENTS_TOPIC, batch_message, event_batches
from tests.support.waiting import wait_until

BASELINE, CANARY = "1.4.2", "1.5.0"
TRACE = 'Traceback (most recent call last):\n  File "/srv/app/{file}.py", line 7, in total\n    x\n'


def _crash(service: str, release: str, second_ms: int, error: str) -> Crash:
    return Crash(
        time=second_ms + 400,
        service=service,
        release=release,
        host=f"host-{release}",
        runtime="python",
        exception_type=error,
        stacktrace=TRACE.format(file=error.lower()) + error,
        session=f"{release}-{second_ms}-{error}",
    )


def _line(service: str, release: str, second_ms: int) -> LogLine:
    return LogLine(
        time=second_ms + 400,
        service=service,
        release=release,
        host=f"host-{release}",
        severity="error",
        message=f"cannot write part {second_ms // 1000} of the ledger",
    )


def _failures(kind: RecordKind, service: str, at: int) -> dict[str, Record]:
    """What each arm fails by in one second: the baseline by what it has always failed by."""
    if kind is RecordKind.CRASHES:
        return {
            "baseline": _crash(service, BASELINE, at, "OSError"),
            "canary": _crash(service, CANARY, at, "KeyError"),
        }
    return {"canary": _line(service, CANARY, at)}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("kind", [RecordKind.CRASHES, RecordKind.LOGS])
def test_what_is_new_in_the_canary_is_named(
    kafka_settings: KafkaSettings, kind: RecordKind
) -> None:
    """Both arms fail by what is known; one thing that only the canary does rolls it back."""
    service = unique(f"groups-{kind}")
    start = int(time.time()) * 1000 - 60_000
    agents = {"baseline": BASELINE, "canary": CANARY}
    for second in range(45):
        at = start + second * 1000
        now = range(second, second + 1)
        produce(
            kafka_settings,
            EVENTS_TOPIC,
            [
                *event_batches(service, BASELINE, now, start_ms=start, count=90),
                *event_batches(
                    service, CANARY, now if second > 8 else range(0), start_ms=start, count=10
                ),
            ],
        )
        failures = _failures(kind, service, at) if second > 9 else {}
        produce(
            kafka_settings,
            topics.TELEMETRY[kind].name,
            [
                batch_message(kind, f"{service}-{agents[arm]}-{kind}", second, [record])
                for arm, record in failures.items()
            ],
        )

    def rollbacks() -> list[Decision]:
        found = []
        for message in consume(kafka_settings, topics.DECISIONS.name, at_least=0):
            try:
                found.append(msgspec.json.decode(message.value, type=Decision))
            except msgspec.DecodeError:  # other tests poison this topic
                continue
        return [d for d in found if d.service == service and d.action is DecisionAction.ROLLBACK]

    wait_until(lambda: bool(rollbacks()), timeout_s=180, what="a rollback")
    [rollback] = rollbacks()
    assert rollback.guilty_group is not None
    name = {
        RecordKind.CRASHES: "KeyError",
        RecordKind.LOGS: "cannot write part <*> of the ledger",
    }[kind]
    assert rollback.guilty_group.name == name
    assert rollback.guilty_group.baseline == 0
