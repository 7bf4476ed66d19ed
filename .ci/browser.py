"""Makes sure that the browser tests find a Chromium; root on Debian gets Debian's."""  # noqa: INP001 - a script

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)


def find() -> str | None:
    """Path of a Chromium: ``COALMINE_CHROMIUM``, or one of the usual places."""
    if named := os.environ.get("COALMINE_CHROMIUM"):
        return named if Path(named).exists() else None
    found = (shutil.which(name) for name in _NAMES)
    return next((p for p in [*found, *_PLACES] if p and Path(p).exists()), None)


def is_debian() -> bool:
    """Whether this is Debian itself: Ubuntu's package of that name only leads to a snap."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return "ID=debian" in lines


def main() -> int:
    """Exit code: 0 when a Chromium is there at the end."""
    if find():
        return 0
    if os.geteuid() == 0 and is_debian():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        ):
            subprocess.run(  # noqa: S603 - fixed commands
                command, check=True, env=environment, stdin=subprocess.DEVNULL
            )
        return 0 if find() else 1
    sys.stderr.write(
        "The browser tests need Chromium or Chrome: install it (Debian: apt-get install chromium; "
        "Fedora: dnf install chromium; macOS: brew install --cask google-chrome), "
        "or set COALMINE_CHROMIUM to its path.\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
