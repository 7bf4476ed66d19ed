"""A real Chromium, and a real dashboard process, for tests and for screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

Size = tuple[int, int]
DESKTOP: Size = (1440, 1000)
PHONE: Size = (390, 844)

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str:
    """Path of the browser: ``COALMINE_CHROMIUM``, or one of the usual names on the path.

    Raises:
        FileNotFoundError: there is none; the message says what to do.
    """
    named = os.environ.get("COALMINE_CHROMIUM")
    found = named or next((path for name in _PLACES if (path := shutil.which(name))), None)
    if not found or not Path(found).exists():
        raise FileNotFoundError(
            "install Chromium (Debian: apt install chromium) or set COALMINE_CHROMIUM to its path"
        )
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium that lasts as long as the block."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(), args=list(_ARGUMENTS), headless=True
        )
        try:
            yield running
        finally:
            running.close()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dashboard(
    elasticsearch: str, environment: Mapping[str, str] | None = None, *options: str
) -> Iterator[str]:
    """A dashboard process over an Elasticsearch; gives its base URL and ends it afterwards."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "coalmine", "dashboard", "--port", str(port), *options],
        env={**(environment or os.environ), "COALMINE_ELASTICSEARCH": elasticsearch},
        cwd=Path(__file__).parents[2],
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the dashboard ended with {process.returncode}")
        try:
            with urlopen(f"{url}/healthz", timeout=1):  # noqa: S310 - our own address
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError("the dashboard did not answer within 90 s")


def take_screenshot(
    url: str,
    path: Path,
    *,
    dark: bool = False,
    size: Size = DESKTOP,
    full_page: bool = False,
    wait_for: str = ".js-plotly-plot .main-svg, .ag-row, .message",
) -> Path:
    """Picture of a page once it is drawn.

    Args:
        url: address of the page.
        path: where the PNG goes.
        dark: colour scheme that the browser asks for.
        size: width and height of the window in CSS pixels.
        full_page: whether the picture shows more than the window.
        wait_for: selector of what must be there first.
    """
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    with browser() as running:
        page = running.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            timezone_id="Europe/Berlin",
        )
        page.goto(url)
        page.wait_for_selector(wait_for, state="attached", timeout=60_000)
        page.wait_for_timeout(1_500)  # fonts, grid rows and the remaining plots
        page.screenshot(path=path, full_page=full_page)
    return path
