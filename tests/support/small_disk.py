"""A file system of 2 MiB that a test may fill, make read-only and take all inodes of.

It is mounted in a mount namespace of its own, so that nothing of it is left however the test ends,
and reached from outside through ``/proc``. Whoever is not root mounts it in a user namespace.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

_MOUNT = 'mount -t tmpfs -o size=2m,nr_inodes=64 none "$0" && echo mounted && exec cat'


class SmallDisk:
    """The file system, from ``with`` on until its end.

    Args:
        folder: where it is mounted; must not be there.

    Attributes:
        path: where this process and its children find it.

    Raises:
        AssertionError: this machine lets this user mount nothing; no test of a full disk is
            skipped for that.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._is_root = os.geteuid() == 0
        as_root = [] if self._is_root else ["--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", *as_root, "sh", "-c", _MOUNT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            _, error = self._holder.communicate(timeout=10)
            raise AssertionError(
                "full disks cannot be tested here: this user may neither mount a file system nor "
                f"make a user namespace (sysctl kernel.unprivileged_userns_clone): {error.decode()}"
            )
        self.path = Path(f"/proc/{self._holder.pid}/root{folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate(timeout=10)

    def remount(self, option: str) -> None:
        """Make it read-only (``ro``) or writable (``rw``)."""
        as_root = [] if self._is_root else ["--user", "--preserve-credentials"]
        inside = ["nsenter", f"--target={self._holder.pid}", "--mount", *as_root]
        mount = ["mount", "-o", f"remount,{option}", str(self._folder)]
        subprocess.run([*inside, *mount], check=True)

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.path / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def empty(self) -> None:
        """Give back what ``fill`` took."""
        (self.path / "ballast").unlink()

    def take_inodes(self) -> None:
        """Leave no inode free."""
        (self.path / "many").mkdir()
        try:
            for number in range(1000):
                (self.path / "many" / str(number)).touch()
        except OSError:
            return

    def give_inodes(self) -> None:
        """Give them back."""
        for path in (self.path / "many").iterdir():
            path.unlink()
        (self.path / "many").rmdir()
