"""The cache of downloads, with jgo's resolver reading a Maven repository on loopback."""

from __future__ import annotations

import gc
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jgo.maven._core
import pytest

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.pins import Artifact
from contracts.errors import Fatal

# requests, inside jgo, leaves the socket of a broken-off download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

_CONTENT = b"a jar" * 5000


class _Repository(SimpleHTTPRequestHandler):
    """Serves files, and remembers which were asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        """Note the path, then serve the file."""
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent."""


@pytest.fixture(autouse=True)
def is_online(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about fetching, even where the run itself must fetch nothing."""
    monkeypatch.delenv("COALMINE_OFFLINE", raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Maven repository with one jar; the paths that were asked for."""
    root = tmp_path / "repository"
    (root / "org/example/thing/1.0").mkdir(parents=True)
    (root / "org/example/thing/1.0/thing-1.0.jar").write_bytes(_CONTENT)
    asked: list[str] = []
    handler = type("Handler", (_Repository,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(jgo.maven._core, "DEFAULT_REMOTE_REPOS", {"here": address})
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()
    gc.collect()


def _artifact(content: bytes = _CONTENT) -> Artifact:
    return Artifact(
        coordinate="org.example:thing:1.0",
        packaging="jar",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def _ignore(_done: int, _total: int) -> None:
    pass


def test_a_file_is_fetched_once(tmp_path: Path, repository: list[str]) -> None:
    """The second fetch asks nobody, and both give the same bytes."""
    cache = Cache(tmp_path / "cache")
    (first,) = cache.fetch([_artifact()], _ignore)
    asked = len(repository)
    assert asked > 0
    (second,) = Cache(tmp_path / "cache", is_offline=True).fetch([_artifact()], _ignore)
    assert (first, second.read_bytes(), len(repository)) == (second, _CONTENT, asked)


def test_progress_ends_at_the_whole(tmp_path: Path, repository: list[str]) -> None:
    """The bytes that are reported begin at 0 and end at the artifact's size."""
    assert repository == []
    told: list[tuple[int, int]] = []
    Cache(tmp_path / "cache").fetch([_artifact()], lambda d, t: told.append((d, t)))
    assert told[0] == (0, len(_CONTENT))
    assert told[-1] == (len(_CONTENT), len(_CONTENT))


def test_another_content_is_refused(tmp_path: Path, repository: list[str]) -> None:
    """A file whose SHA-256 is not the pinned one never gets its final name."""
    cache = Cache(tmp_path / "cache")
    wanted = _artifact(b"what was pinned")
    with pytest.raises(Fatal, match="refused: its SHA-256 is"):
        cache.fetch([wanted], _ignore)
    assert repository
    assert cache.missing([wanted]) == [wanted]


def test_an_interrupted_download_leaves_nothing(tmp_path: Path, repository: list[str]) -> None:
    """After a download was cancelled half-way, the next one starts anew and succeeds."""
    assert repository == []
    cache = Cache(tmp_path / "cache")

    def cancel(done_bytes: int, _total: int) -> None:
        if done_bytes:
            cache.cancel()

    with pytest.raises(Fatal, match="cancelled"):
        cache.fetch([_artifact()], cancel)
    assert cache.missing([_artifact()])
    assert not list((tmp_path / "cache" / "partial").iterdir())
    assert cache.fetch([_artifact()], _ignore)[0].read_bytes() == _CONTENT


def test_two_starts_fetch_it_once(tmp_path: Path, repository: list[str]) -> None:
    """Two caches on one directory, side by side: one waits for the other's file."""
    caches = [Cache(tmp_path / "cache") for _ in range(2)]
    threads = [threading.Thread(target=c.fetch, args=([_artifact()], _ignore)) for c in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(path.endswith("thing-1.0.jar") for path in repository) == 1


def test_offline_names_what_is_missing(tmp_path: Path) -> None:
    """With COALMINE_OFFLINE a missing file is one plain sentence."""
    with pytest.raises(Fatal, match=r"COALMINE_OFFLINE is set.*thing-1\.0\.jar"):
        Cache(tmp_path, is_offline=True).fetch([_artifact()], _ignore)


def test_an_unknown_file_is_a_plain_error(tmp_path: Path, repository: list[str]) -> None:
    """What the repository does not have is named by its coordinate."""
    assert repository == []
    unknown = Artifact(coordinate="org.example:none:1", packaging="jar", sha256="0", size_bytes=1)
    with pytest.raises(Fatal, match=r"org\.example:none:1 cannot be downloaded"):
        Cache(tmp_path).fetch([unknown], _ignore)


def test_an_archive_is_unpacked_once_and_open_to_all(tmp_path: Path) -> None:
    """Its one top folder is left out, and every user can read what was in it."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("top-1.0/bin/run", "x")
    cache = Cache(tmp_path / "cache")
    target = cache.unpack(archive, "top")
    archive.unlink()
    assert cache.unpack(archive, "top") == target
    assert (target / "bin" / "run").read_text(encoding="utf-8") == "x"
    assert (target / "bin").stat().st_mode & 0o005 == 0o005


def test_the_cache_is_where_the_environment_says() -> None:
    """COALMINE_CACHE comes first."""
    assert cache_directory({"COALMINE_CACHE": "/somewhere"}) == Path("/somewhere")
