"""The rollout page with a day of windows and looks, and many crash groups, in a real browser.

    python -m benchmarks.system page --hours 24 --groups 500

A real Elasticsearch is filled, the dashboard's own process reads it, and Chromium opens the page
again and again; meanwhile a new look comes every second, as in a rollout that goes on.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Response

from benchmarks.system.figures import Row, at_most, publish, quantiles
from benchmarks.throughput.command import say
from coalmine.stack.local import LocalStack
from contracts import indices
from contracts.settings import elasticsearch_settings
from dashboard.words import rollout_path
from tests.support.dashboard_browser import browser, dashboard
from tests.support.dashboard_seed import Documents, Story, install_templates, plain, write

_PLOT = ".js-plotly-plot .main-svg"
_AT_ONCE = 5_000
# notes the frame after the first plot's appearance, by the page's own clock
_NOTES_PLOTS = """(() => {
  const seen = new MutationObserver(() => {
    if (!document.querySelector(".js-plotly-plot .main-svg")) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.plotsAt = performance.now())));
  });
  seen.observe(document, { childList: true, subtree: true });
})()"""
_UPDATE = "_dash-update-component"


def main(
    hours: Annotated[float, typer.Option(min=0.1, help="Length of the rollout.")] = 24,
    groups: Annotated[int, typer.Option(min=1, help="Crash groups.")] = 500,
    opened: Annotated[int, typer.Option(min=1, help="How often the page is opened.")] = 7,
    watched_s: Annotated[float, typer.Option(min=5, help="Seconds of live updates.")] = 30,
) -> None:
    """First paint of the page's plots, and server time of its live updates."""
    settings = dict(locals())
    with tempfile.TemporaryDirectory(prefix="coalmine-bench-", ignore_cleanup_errors=True) as name:
        state = Path(name)
        state.chmod(0o755)
        stack = LocalStack(state)
        stack.start(kafka=False)
        try:
            found = elasticsearch_settings(stack.environment())
            with Elasticsearch(**found.client_options(), request_timeout=120) as client:
                story = _fill(client, hours, groups)
                path = rollout_path(story.service, story.canary)
                with dashboard(found.url) as url, browser() as running, _going_on(client, story):
                    visits = [_opened(running, url + path) for _ in range(opened)]
                    updates = _watched(running, url + path, watched_s)
        finally:
            stack.stop()
    sys.exit(not publish("page", settings, _rows(visits, updates)))


main.__doc__ = f"{main.__doc__}\n\nExample: make bench-scale ARGS='page --hours 24'"


def _rows(visits: list[_Visit], updates: list[float]) -> Iterator[Row]:
    first, *others = visits
    plots = [visit.plots for visit in others]
    driver = quantiles([visit.driver for visit in others])[0]
    p50, p99, most = quantiles(updates)
    yield Row(what="first visit after the start, plots are there", value=first.plots, unit="s")
    yield at_most("plots are there, median", quantiles(plots)[0], 1.5, "s")
    yield at_most("plots are there, slowest", max(plots), 1.5, "s")
    yield Row(what="plots are there, as the driver sees it", value=driver, unit="s")
    anything = quantiles([visit.anything for visit in visits])[0]
    yield at_most("anything is there, median", anything, 0.4, "s")
    yield at_most("live update, server time, p50", p50, 200, "ms")
    yield at_most("live update, server time, p99", p99, 200, "ms")
    yield Row(what="live update, server time, most", value=most, unit="ms")
    yield Row(what="live updates", value=len(updates))


def _fill(client: Elasticsearch, hours: float, groups: int) -> Story:
    """A rollout that has gone on for so long, up to now."""
    install_templates(client)
    seconds = round(hours * 3600) // 10 * 10
    now_ms = time.time_ns() // 1_000_000
    opened_at = (now_ms - seconds * 1000) // 10_000 * 10_000
    story = Story(opened_at=opened_at, bad_rate=0.004, slower=1.0)
    documents = story.traffic(seconds) + _crashes(story, groups, seconds)
    for start in range(0, len(documents), _AT_ONCE):
        if start % (4 * _AT_ONCE) == 0:
            say(f"written {start:,} of {len(documents):,} documents")
        write(client, documents[start : start + _AT_ONCE])
    return story


def _crashes(story: Story, groups: int, seconds: int) -> Documents:
    """Each group seen twenty times in each arm, over all the time."""
    rng = np.random.default_rng(1)
    documents: Documents = []
    templates = story.crashes()
    for number in range(groups):
        index, key, body = templates[number % len(templates)]
        for turn, at_s in enumerate(np.sort(rng.integers(0, seconds, 20)).tolist()):
            for release in (story.canary, story.baseline):
                time_ms = story.opened_at + at_s * 1000
                changes = {
                    "@timestamp": time_ms,
                    "first": time_ms - 500,
                    "service.version": release,
                    "fingerprint": f"{number:016x}",
                    "title": f"{body['title']} {number}",
                }
                documents.append((index, f"{key}-{release}-{number}-{turn}", {**body, **changes}))
    return documents


@contextmanager
def _going_on(client: Elasticsearch, story: Story) -> Iterator[None]:
    """A new look every second."""
    over = threading.Event()

    def look() -> None:
        last = story.looks[-1]
        while not over.wait(1.0):
            now_ms = time.time_ns() // 1_000_000
            last = msgspec.structs.replace(last, time=now_ms, processed_time=now_ms)
            body = plain(last)
            key = f"{story.rollout}@{now_ms}"
            told = [(indices.VERDICTS, key, body), (indices.ROLLOUTS, story.rollout, body)]
            write(client, told)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class _Visit:
    """Seconds of one visit, in a browser that has nothing of the page yet."""

    anything: float
    """To the first content, by the page's clock, which starts with the navigation."""
    plots: float
    """To the frame that shows the first plot, by the same clock."""
    driver: float
    """From the click to the plot, as the program that drives the browser sees it."""


def _opened(running: Browser, url: str) -> _Visit:
    context = running.new_context(viewport={"width": 1440, "height": 1000})
    try:
        page = context.new_page()
        page.add_init_script(_NOTES_PLOTS)
        began_s = time.monotonic()
        page.goto(url, wait_until="commit")
        page.wait_for_selector(_PLOT, timeout=60_000)
        driver_s = time.monotonic() - began_s
        plots_ms = page.wait_for_function("window.plotsAt").json_value()
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        return _Visit(float(page.evaluate(paint)) / 1000, float(plots_ms) / 1000, driver_s)
    finally:
        context.close()


def _watched(running: Browser, url: str, seconds: float) -> list[float]:
    """Milliseconds from each request for an update being sent to its answer's first byte."""
    found: list[Response] = []
    context = running.new_context(viewport={"width": 1440, "height": 1000})
    try:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(_PLOT, timeout=60_000)
        page.on("response", lambda r: found.append(r) if _UPDATE in r.url else None)
        page.wait_for_timeout(seconds * 1000)
        timings = [response.request.timing for response in found]
        return [t["responseStart"] - t["requestStart"] for t in timings if t["responseStart"] > 0]
    finally:
        context.close()


if __name__ == "__main__":
    typer.run(main)
