"""Makes sure that the tests find the programs that no package index has: Chromium and HAProxy.

Root on a Debian system gets Debian's. ``python .ci/programs.py chromium haproxy``
"""  # noqa: INP001 - a script

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ADMIN_PLACES = ("/usr/sbin", "/usr/local/sbin")


@dataclass(frozen=True)
class Program:
    """One program: what it is called, where else it may be, what to do without it."""

    variable: str
    names: tuple[str, ...]
    places: tuple[str, ...]
    package: str
    """Debian's."""
    is_in_ubuntu: bool
    """Whether Ubuntu's package of that name is the program itself, and not a way to a snap."""
    missing: str

    def find(self) -> str | None:
        """Its path: what the variable names, or one of the usual places."""
        if named := os.environ.get(self.variable):
            return named if Path(named).exists() else None
        found = [*(shutil.which(name) for name in self.names), *self.places]
        return next((path for path in found if path and Path(path).exists()), None)

    @property
    def is_installable(self) -> bool:
        """Whether we may install it: we are root, and the system is one that has it."""
        systems = ("debian", "ubuntu") if self.is_in_ubuntu else ("debian",)
        return os.geteuid() == 0 and _system() in systems


PROGRAMS = {
    "chromium": Program(
        variable="COALMINE_CHROMIUM",
        names=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
        places=("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",),
        package="chromium",
        is_in_ubuntu=False,
        missing=(
            "The browser tests need Chromium or Chrome: install it (Debian: apt-get install "
            "chromium; Fedora: dnf install chromium; macOS: brew install --cask google-chrome), "
            "or set COALMINE_CHROMIUM to its path."
        ),
    ),
    "haproxy": Program(
        variable="COALMINE_HAPROXY",
        names=("haproxy",),
        places=tuple(f"{place}/haproxy" for place in _ADMIN_PLACES),
        package="haproxy",
        is_in_ubuntu=True,
        missing=(
            "The test of a rollback through HAProxy needs HAProxy 2.4 or newer: install it "
            "(Debian, Ubuntu: apt-get install haproxy; Fedora: dnf install haproxy; macOS: brew "
            "install haproxy), or set COALMINE_HAPROXY to its path."
        ),
    ),
}


def _system() -> str:
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    ids = [line.removeprefix("ID=").strip('"') for line in lines if line.startswith("ID=")]
    return ids[0] if ids else ""


def _install(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(  # noqa: S603 - fixed commands
            command, check=True, env=environment, stdin=subprocess.DEVNULL
        )


def main(names: list[str]) -> int:
    """Exit code: 0 when every program named is there at the end."""
    wanted = [PROGRAMS[name] for name in names]
    missing = [program for program in wanted if program.find() is None]
    if packages := [program.package for program in missing if program.is_installable]:
        _install(packages)
    missing = [program for program in missing if program.find() is None]
    for program in missing:
        sys.stderr.write(f"{program.missing}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
