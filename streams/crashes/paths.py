"""Files to names that no host, release directory or bundler changes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+):/{2,}(?P<rest>.*)")
_PAGES = re.compile(r"https?|blob", re.IGNORECASE)
_SCRIPT = re.compile(r"\.(?:[cm]?[jt]sx?|py|rb|php|dart|vue|svelte|html?|bundle|wasm)$")
_QUERY = re.compile(r"[?#].*$")
_SEPARATOR = re.compile(r"[/\\]+")
_EXTENSION = re.compile(r"\.([A-Za-z]\w{0,9})$")

_STEM_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\.(?:min|bundle|chunk|prod|production|development|umd|esm|module)\b", ""),
        # app.3f9a1c2b.js, main-BqX1cZ9k.js, vendors~main.0a1b2c3d4e.js: the hash of a bundle
        (r"[.\-_~](?=[0-9a-zA-Z_-]*\d)[0-9a-zA-Z_]{7,40}(?=\.|$)", ""),
        # index-DkYtLmWq.js: a hash without a digit is no row of words
        (
            (r"[.-](?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?!(?:[A-Z]?[a-z]{2,}|[A-Z]+(?![a-z]))+(?:\.|$))"
            r"[A-Za-z_-]{8}(?=\.|$)"),
            "",
        ),
        (r"[-_.]v?\d+(?:\.\d+)+(?=\.|$)", ""),
        (r"_\$\$_(?:jvst|javassist|weld)\w*", ""),
        (r"^(?:[0-9a-f]{16,}|\d+)$", "<chunk>"),
    )
)  # fmt: skip

_VERSION_LIKE = re.compile(
    r"[vr]?\d[\w.+-]*|(?=[0-9a-f]*\d)[0-9a-f]{7,}|(?:build|release|rel|rev|deploy|version)[-_.]?\d[\w.-]*"
    r"|[\w-]+[-_@]v?\d+(?:\.\d+)+[\w.+-]*|\{?[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}\}?",
    re.IGNORECASE,
)
_CONTAINERS = frozenset(
    ("home", "users", "user", "root", "srv", "opt", "var", "www", "usr", "src", "app",
     "apps", "code", "build", "builds", "workspace", "workspaces", "data", "mnt", "tmp",
     "private", "local", "share", "lib", "dist", "out", "target", "release", "releases",
     "current", "shared", "deploy", "deployments", "html", "htdocs", "public", "task",
     "project", "projects", "repo", "repos", "git", "go", "work", "dev", "static", "assets",
     "documents", "desktop", "source", "sources", "vendor", "bundle", "application",
     "containers", "agent", "_work", "github", "runner", "buildkite", "jenkins", "ci", ".",
     "..")
)  # fmt: skip
"""Directories that say where a program was put, not what it is."""

_COMMON_FILES = frozenset(
    ("__init__", "__main__", "index", "mod", "main", "lib", "views", "view", "models",
     "model", "tasks", "task", "serializers", "forms", "admin", "urls", "routes", "route",
     "router", "utils", "util", "helpers", "helper", "handler", "handlers", "controller",
     "api", "app", "server", "client", "service", "services", "middleware", "page",
     "layout", "types", "errors", "base", "common", "core", "schema", "settings", "config",
     "consumers", "signals", "commands", "store", "actions", "reducers", "hooks")
)  # fmt: skip
"""Names that a framework asks for: only with their directory do they tell one file from another."""

_HOMES = frozenset(("home", "users"))
_WHOLE_PROJECTS = frozenset(("app", "code", "workspace", "build", "builds", "task"))
"""In images of containers these are the project's own root."""


class Place(NamedTuple):
    """A file's bare name, and its extension."""

    name: str
    extension: str


@lru_cache(maxsize=65_536)
def place_of(file: str) -> Place:
    """The name of a file, with its directory if it is a common one; empty for a page's address.

    >>> place_of("/srv/checkout/1.5.0/shop/cart.py"), place_of("/srv/checkout/1.5.0/shop/views.py")
    (Place(name='cart', extension='py'), Place(name='shop/views', extension='py'))
    >>> place_of("https://a.example/static/app.3f9a1c2b.js?v=1")
    Place(name='app', extension='js')
    >>> place_of("https://a.example/products/7")
    Place(name='', extension='')
    """
    path = _QUERY.sub("", file)
    is_page = False
    if found := _URL.match(path):
        is_page = _PAGES.fullmatch(found["scheme"]) is not None
        path = ("/" if is_page or found["scheme"] == "file" else "") + found["rest"]
        if is_page and not _SCRIPT.search(path.partition("/")[2]):
            return Place("", "")
    elif path.startswith("blob:"):
        return Place("", "")
    parts = [part for part in _SEPARATOR.split(path.removeprefix("package:")) if part]
    if not parts:
        return Place("", "")
    stem, extension = _stem(parts[-1])
    # the directories of a web site are those of its releases and hosts
    is_told = is_page or stem not in _COMMON_FILES
    parent = "" if is_told else _parent(parts[:-1], is_absolute=_is_absolute(path))
    return Place(f"{parent}/{stem}" if parent else stem, extension)


def _stem(base: str) -> tuple[str, str]:
    found = _EXTENSION.search(base)
    stem = base[: found.start()] if found else base
    for pattern, replacement in _STEM_RULES:
        stem = pattern.sub(replacement, stem)
    return stem.lower(), found[1].lower() if found else ""


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:2] == ":"


def _parent(directories: list[str], *, is_absolute: bool) -> str:
    """The last directory below the project's root."""
    below = _below_root(directories) if is_absolute else directories
    named = [d for d in below if not _VERSION_LIKE.fullmatch(d)]
    last = named[-1].lower() if named else ""
    return "" if last in _CONTAINERS else last


def _below_root(directories: list[str]) -> list[str]:
    """Without where the project was put: containers, an owner's name, and the project's own."""
    rest = [d for d in directories if not d.endswith(":")]
    is_whole = False
    while rest and rest[0].lower() in _CONTAINERS:
        first = rest.pop(0).lower()
        is_whole = first in _WHOLE_PROJECTS
        if first in _HOMES and rest:
            rest.pop(0)
    if rest and not is_whole and not _VERSION_LIKE.fullmatch(rest[0]):
        rest.pop(0)
    while rest and (_VERSION_LIKE.fullmatch(rest[0]) or rest[0].lower() in _CONTAINERS):
        rest.pop(0)
    return rest
