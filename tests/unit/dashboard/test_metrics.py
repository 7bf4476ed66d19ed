"""Requests are counted by what they ask for, whatever their path says."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import metrics
from dashboard.assets_gzip import Message, Receive, Send


def _count(asked: str, status: str) -> float:
    labels = {"asked": asked, "status": status}
    return metrics.REGISTRY.get_sample_value("coalmine_dashboard_requests_total", labels) or 0.0


async def _ask(path: str, status: int | None) -> None:
    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        if status is None:
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return {}

    await metrics.measured(app)({"type": "http", "path": path}, nothing, nothing)


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/", "page", 200),
        ("/rollouts/checkout/secret-in-a-path", "page", 404),
        ("/_dash-update-component", "callback", 204),
        ("/_dash-component-suites/plotly.js", "asset", 304),
        ("/assets/first.js", "asset", 200),
        ("/healthz", "health", 200),
    ],
)
async def test_a_request_is_counted_by_what_it_asks_for(path: str, asked: str, status: int) -> None:
    """One of four words, and the class of the status: a path is never a label."""
    before = _count(asked, f"{status // 100}xx")
    await _ask(path, status)
    assert _count(asked, f"{status // 100}xx") == before + 1


async def test_an_app_that_breaks_is_an_error_of_ours() -> None:
    """Without an answer the server sends 500; so it is counted."""
    before = _count("page", "5xx")
    with pytest.raises(RuntimeError, match="broken"):
        await _ask("/", None)
    assert _count("page", "5xx") == before + 1
