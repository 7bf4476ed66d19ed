"""Endpoints that break in every known way, beside one that is well: it notices nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from contracts.results import DecisionAction, DeliveryOutcome
from tests.faults.conftest import FaultTable
from tests.support import bad_receivers as bad
from tests.support.alerting import Alerting, Receiver
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_DELIVERED, _REFUSED, _EXHAUSTED = (
    DeliveryOutcome.DELIVERED,
    DeliveryOutcome.REFUSED,
    DeliveryOutcome.EXHAUSTED,
)
_OUTCOMES = {
    "hanging": (_EXHAUSTED, "timeout"),
    "dripping": (_EXHAUSTED, "timeout"),
    "endless-informational": (_EXHAUSTED, "timeout"),
    "resetting": (_EXHAUSTED, "connection"),
    "closing": (_EXHAUSTED, "protocol"),
    "garbage": (_EXHAUSTED, "protocol"),
    "endless-header": (_EXHAUSTED, "protocol"),
    "nobody-listens": (_EXHAUSTED, "connection"),
    "no-such-name": (_EXHAUSTED, "name"),
    "unknown-certificate": (_EXHAUSTED, "tls"),
    "expired-certificate": (_EXHAUSTED, "tls"),
    "another-name-s-certificate": (_EXHAUSTED, "tls"),
    "plain-where-tls-is-expected": (_EXHAUSTED, "tls"),
    "redirecting": (_REFUSED, "http 302"),
    "redirecting-to-metadata": (_REFUSED, "http 307"),
    "metadata": (_REFUSED, "forbidden address"),
    "good-certificate": (_DELIVERED, ""),
    "endless-body": (_DELIVERED, ""),
    "broken-off-body": (_DELIVERED, ""),
}


@pytest.fixture
def endpoints(
    tmp_path: Path, receiver: Callable[..., Receiver]
) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The endpoints by name as a user would configure them, and those that listen."""
    target = receiver(lambda _: (200, {}))
    good, expired, other = (
        bad.certificate(tmp_path),
        bad.certificate(tmp_path, days=-1),
        bad.certificate(tmp_path, name="DNS:another.example"),
    )
    ok = bad.says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    behaviours: dict[str, tuple[bad.Behaviour, Path | None]] = {
        "hanging": (bad.hang, None),
        "dripping": (bad.drip, None),
        "endless-informational": (bad.endless_informational, None),
        "resetting": (bad.reset, None),
        "closing": (bad.says(b""), None),
        "garbage": (bad.says(b"\x00\xff\x16\x03 no HTTP at all\r\n\r\n"), None),
        "endless-header": (bad.endless_header, None),
        "unknown-certificate": (ok, good),
        "expired-certificate": (ok, expired),
        "another-name-s-certificate": (ok, other),
        "redirecting": (
            bad.says(f"HTTP/1.1 302 Found\r\nlocation: {target.url}\r\n\r\n".encode()),
            None,
        ),
        "redirecting-to-metadata": (
            bad.says(b"HTTP/1.1 307 Found\r\nlocation: http://169.254.169.254/\r\n\r\n"),
            None,
        ),
        "good-certificate": (ok, good),
        "endless-body": (bad.endless_body, None),
        "broken-off-body": (bad.says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx"), None),
    }
    with contextlib.ExitStack() as stack:
        listening: dict[str, Any] = {"target": target}
        for name, (behaviour, pem) in behaviours.items():
            tls = bad.tls_with(pem) if pem else None
            listening[name] = stack.enter_context(bad.bad_receiver(behaviour, tls))
        urls = {name: made.url for name, made in listening.items() if name != "target"}
        urls["plain-where-tls-is-expected"] = target.url.replace("http:", "https:")
        urls["nobody-listens"] = "http://127.0.0.1:1/hook"
        urls["no-such-name"] = "http://nobody.invalid/hook"
        urls["metadata"] = "http://169.254.169.254/latest"
        configured: list[dict[str, Any]] = [{"name": n, "url": u} for n, u in urls.items()]
        authorities = {
            "good-certificate": good,
            "expired-certificate": expired,
            "another-name-s-certificate": other,
        }
        for one in configured:
            if one["name"] in authorities:
                one["ca_file"] = str(authorities[one["name"]])
        yield configured, listening


def test_no_endpoint_s_fault_reaches_another(
    endpoints: tuple[list[dict[str, Any]], dict[str, Any]],
    alerting: Callable[..., Alerting],
    receiver: Callable[..., Receiver],
    fault_table: FaultTable,
) -> None:
    """Each fault gets its named reason, is tried again or not as documented, and calls people.

    The endpoint that is well hears of every decision at once, and the alerter's memory does not
    grow with what the others send.
    """
    configured, listening = endpoints
    well = receiver(lambda _: (200, {}))
    settings = {"timeout": "1s", "retry": {"delays": ["300ms"]}, "actions": ["rollback"]}
    house = alerting(
        {"name": "well", "url": well.url, "actions": ["rollback"]},
        {"name": "pager", "url": well.url, "actions": ["escalate"]},
        *({**settings, **one} for one in configured),
    )
    memory = psutil.Process(house.alerter.pid).memory_info
    before = memory().rss
    began = time.monotonic()
    decision = house.decide(expires_at=time.time_ns() // 1_000_000 + 5_000)
    wait_until(lambda: well.hits, 10, "the endpoint that is well")
    first_s = time.monotonic() - began

    def ended() -> dict[str, Any]:
        records = house.deliveries(decision)
        # the last attempt may be cut short by the decision's end: the first tells the fault
        reasons = {r.endpoint: r.reason for r in records if r.attempt == 1}
        last = {r.endpoint: r.outcome for r in records if r.outcome != "retrying"}
        is_over = len(last) == len(_OUTCOMES) + 1
        return {name: (last[name], reasons[name]) for name in last} if is_over else {}

    found = wait_until(ended, 30, "every endpoint's last record")
    grown_mib = (memory().rss - before) / 2**20
    assert found.pop("well") == (_DELIVERED, "")
    assert found == _OUTCOMES
    failed = [name for name, (outcome, _) in _OUTCOMES.items() if outcome is not _DELIVERED]
    calls = {f"{decision.id}/{name}/escalate" for name in failed}
    wait_until(lambda: len(well.hits) >= 1 + len(calls), 10, "the escalations")
    assert sorted(h.headers["webhook-id"] for h in well.hits) == sorted({decision.id, *calls})
    assert listening["target"].hits == []
    assert len(listening["redirecting"].requests) == 1
    tries = len(listening["garbage"].requests)
    assert tries > 3
    again = house.decide(action=DecisionAction.ROLLBACK)
    wait_until(lambda: well.hits[-1].headers["webhook-id"] == again.id, 10, "the next decision")
    assert first_s < 1.0
    assert grown_mib < 64
    fault_table(
        f"endpoint broken in {len(_OUTCOMES)} ways beside one that is well",
        "each",
        f"well heard after {first_s * 1000:.0f} ms; {len(calls)} of {len(failed)} failures "
        f"escalated; a broken one tried {tries} times in 5 s; alerter grew {grown_mib:.1f} MiB",
    )
