"""The file of users: a name and a hashed password each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from werkzeug.security import check_password_hash, generate_password_hash

from contracts.config import Secret, load
from contracts.errors import ConfigError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
SHORTEST_PASSWORD = 10
_METHOD = "scrypt:32768:8:1"
_HASHES = "scrypt:"

UserName = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class UsersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    users: dict[UserName, str] = {}
    """Name to ``scrypt:…``, as ``coalmine dashboard users add`` writes it."""


class Users:
    """The users of one file, read again whenever it changes.

    Raises:
        ConfigError: the file cannot be read, or holds something else than hashed passwords.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._hashes = read_users(path)
        # an unknown name must cost as much time as a known one
        self._nobody = hash_password(Secret("nobody has this password"))

    def check(self, name: str, password: Secret) -> bool:
        """Whether this is the user's password; slow on purpose."""
        known = self._current().get(name)
        is_right = check_password_hash(known or self._nobody, password.reveal())
        return is_right and known is not None

    def mark(self, name: str) -> str:
        """Changes with the user's password; empty for those who are no users (any more)."""
        return self._current().get(name, "")[-16:]

    def _current(self) -> dict[str, str]:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            try:
                self._hashes = read_users(self._path)
            except ConfigError:
                return self._hashes  # half-written by hand: the last good one holds
            self._stamp = stamp
        return self._hashes


def read_users(path: Path) -> dict[str, str]:
    """Name to hashed password.

    Raises:
        ConfigError: unreadable, or a password that is not hashed (which is not shown).
    """
    users = dict(load(path, UsersFile).users)
    for name, hashed in users.items():
        if not hashed.startswith(_HASHES) or hashed.count("$") != 2:
            expected = "expected a hashed password: write it with coalmine dashboard users add"
            raise ConfigError(str(path), expected, field=f"users.{name}")
    return users


def write_users(path: Path, users: dict[str, str]) -> None:
    """Replace the file as a whole; only its owner can read it.

    Raises:
        ConfigError: it cannot be written.
    """
    text = yaml.safe_dump({"users": users}, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written: {error.strerror}") from error


def hash_password(password: Secret) -> str:
    """What the file holds of a password: scrypt, salted."""
    return generate_password_hash(password.reveal(), method=_METHOD)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
