"""The cache of downloads: each file is fetched once, checked, and shared by every later start.

A file appears under its final name only when it is whole and its SHA-256 is the pinned one, so an
interrupted download leaves nothing that could be taken for a result. One lock file keeps two
starts from fetching the same thing side by side.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

from coalmine.stack.pins import Artifact
from contracts.errors import Fatal

_PARALLEL_DOWNLOADS = 6
_TIMEOUT_S = 60

OnBytes = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


def cache_directory(environment: Mapping[str, str] | None = None) -> Path:
    """``COALMINE_CACHE``, or the user's cache; root's is one that other users can read."""
    env = os.environ if environment is None else environment
    if chosen := env.get("COALMINE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/coalmine")
    base = env.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "coalmine"


class Cache:
    """Files of Maven repositories and what is unpacked from them, under one directory."""

    def __init__(self, directory: Path, *, is_offline: bool | None = None) -> None:
        self.directory = directory
        if is_offline is None:
            is_offline = os.environ.get("COALMINE_OFFLINE", "") not in ("", "0")
        self._is_offline = is_offline
        self._is_cancelled = Event()

    def path_of(self, artifact: Artifact) -> Path:
        """Where the artifact lies, or will lie; its hash is in the path, so pins may change."""
        return self.directory / "files" / artifact.sha256[:16] / artifact.file_name

    def missing(self, artifacts: Sequence[Artifact]) -> list[Artifact]:
        """Those of ``artifacts`` that must still be fetched."""
        return [a for a in artifacts if not self.path_of(a).is_file()]

    def fetch(self, artifacts: Sequence[Artifact], on_bytes: OnBytes) -> list[Path]:
        """Paths of all ``artifacts``, fetched if need be.

        Raises:
            Fatal: not to be had (network, or offline), or its SHA-256 is not the pinned one.
        """
        if self.missing(artifacts):
            with self._lock("files"):
                self._download(self.missing(artifacts), on_bytes)
        return [self.path_of(a) for a in artifacts]

    def cancel(self) -> None:
        """Make a download that runs in another thread give up."""
        self._is_cancelled.set()

    def unpack(self, archive: Path, name: str) -> Path:
        """The directory ``name`` with the archive's content; its one top folder is left out."""
        return self.build(name, lambda target: _unzip(archive, target))

    def build(self, name: str, fill: Callable[[Path], object]) -> Path:
        """The directory ``name``, filled once by ``fill`` and readable by every user."""
        target = self.directory / name
        if target.is_dir():
            return target
        with self._lock(name.replace("/", "-")), self._scratch() as scratch:
            if not target.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                fill(scratch / "content")
                _open_to_all(scratch / "content")
                (scratch / "content").rename(target)
        return target

    def _download(self, artifacts: Sequence[Artifact], on_bytes: OnBytes) -> None:
        if not artifacts:
            return
        if self._is_offline:
            names = ", ".join(a.file_name for a in artifacts[:3])
            raise Fatal(
                f"COALMINE_OFFLINE is set, and {len(artifacts)} files are not in "
                f"{self.directory}: {names}"
            )
        self._is_cancelled.clear()
        tally = _Tally(sum(a.size_bytes for a in artifacts), on_bytes, self._is_cancelled)
        with self._scratch() as scratch, ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
            for done in [pool.submit(self._download_one, a, scratch, tally) for a in artifacts]:
                done.result()

    def _download_one(self, artifact: Artifact, scratch: Path, tally: _Tally) -> None:
        try:
            fetched = _resolve(artifact, scratch / artifact.file_name, tally)
        except Exception as error:  # requests, urllib3 and jgo each raise their own
            raise Fatal(f"{artifact.coordinate} cannot be downloaded: {error}") from error
        found = _sha256(fetched)
        if found != artifact.sha256:
            raise Fatal(
                f"{artifact.coordinate} was refused: its SHA-256 is {found}, "
                f"pinned is {artifact.sha256}"
            )
        target = self.path_of(artifact)
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched.chmod(0o644)
        target.parent.chmod(0o755)
        fetched.rename(target)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        locks = self._directory("locks")
        with (locks / name).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        # Inside the cache, so that the final rename stays on one file system.
        parent = self._directory("partial")
        with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as name:
            yield Path(name)

    def _directory(self, name: str) -> Path:
        path = self.directory / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o755)
        except OSError as error:
            raise Fatal(f"the cache {self.directory} cannot be written: {error}") from error
        return path


class _Tally:
    """Adds up the bytes of downloads that run side by side."""

    def __init__(self, total_bytes: int, on_bytes: OnBytes, is_cancelled: Event) -> None:
        self._is_cancelled = is_cancelled
        self._total_bytes = total_bytes
        self._on_bytes = on_bytes
        self._done_bytes = 0
        self._lock = Lock()
        on_bytes(0, total_bytes)

    def add(self, count: int) -> None:
        if self._is_cancelled.is_set():
            raise Fatal("cancelled")
        with self._lock:
            self._done_bytes += count
            self._on_bytes(self._done_bytes, self._total_bytes)

    @contextmanager
    def of_file(self, _name: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
        """The shape that jgo's resolver asks of a progress callback."""
        yield self.add


def _resolve(artifact: Artifact, repository: Path, tally: _Tally) -> Path:
    # jgo pulls in requests and an XML model: only a download pays for importing it.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - see above

    context: Any = MavenContext(
        resolver=PythonResolver(progress_callback=tally.of_file),
        repo_cache=repository,
        timeout=_TIMEOUT_S,
    )
    group, name, version = artifact.coordinate.split(":")
    component = context.project(group, name).at_version(version)
    return Path(component.artifact("", artifact.packaging).resolve())


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _unzip(archive: Path, target: Path) -> None:
    unpacked = target.with_name("unzipped")
    with zipfile.ZipFile(archive) as content:
        content.extractall(unpacked)
    (top,) = unpacked.iterdir()
    shutil.move(top, target)


def _open_to_all(directory: Path) -> None:
    # Root's umask may be 077, and zipfile keeps no modes.
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        elif not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o444)
