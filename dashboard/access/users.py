"""The file of users: a name and a hashed password each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from werkzeug.security import check_password_hash, generate_password_hash

from contracts.config import Secret, load
from contracts.errors import ConfigError
from contracts.kept_files import KeptFile, write_private

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
SHORTEST_PASSWORD = 10
_METHOD = "scrypt:32768:8:1"
_HASHES = "scrypt:"

UserName = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class Role(StrEnum):
    """What a user may do."""

    READ = "read"
    OPERATE = "operate"
    """Read, and steer rollouts: hold, promote, roll back, abort."""


class UsersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    users: dict[UserName, str] = {}
    """Name to ``scrypt:…``, as ``coalmine dashboard users add`` writes it."""
    roles: dict[UserName, Role] = {}
    """Of users who may do more than read."""


class Users:
    """The users of one file, read again whenever it changes.

    Raises:
        ConfigError: the file cannot be read, or holds something else than hashed passwords.
    """

    def __init__(self, path: Path) -> None:
        self._hashes = KeptFile(path, read_users)
        self._roles = KeptFile(path, read_roles)
        # an unknown name must cost as much time as a known one
        self._nobody = hash_password(Secret("nobody has this password"))

    def check(self, name: str, password: Secret) -> bool:
        """Whether this is the user's password; slow on purpose."""
        known = self._hashes.current().get(name)
        is_right = check_password_hash(known or self._nobody, password.reveal())
        return is_right and known is not None

    def mark(self, name: str) -> str:
        """Changes with the user's password; empty for those who are no users (any more)."""
        return self._hashes.current().get(name, "")[-16:]

    def role(self, name: str) -> Role:
        """What a user may do."""
        return self._roles.current().get(name, Role.READ)


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


def read_roles(path: Path) -> dict[str, Role]:
    """The roles of those who may do more than read.

    Raises:
        ConfigError: unreadable, or an unknown role.
    """
    return {n: role for n, role in load(path, UsersFile).roles.items() if role is not Role.READ}


def write_users(
    path: Path, users: Mapping[str, str], roles: Mapping[str, Role] | None = None
) -> None:
    """Replace the file as a whole; only its owner can read it.

    Args:
        path: of the file.
        users: name to hashed password.
        roles: of those who may do more than read; of others they are left out.

    Raises:
        ConfigError: it cannot be written.
    """
    kept = {
        n: role.value for n, role in (roles or {}).items() if n in users and role is not Role.READ
    }
    content = {"users": dict(users)} | ({"roles": kept} if kept else {})
    write_private(path, yaml.safe_dump(content, sort_keys=True))


def hash_password(password: Secret) -> str:
    """What the file holds of a password: scrypt, salted."""
    return generate_password_hash(password.reveal(), method=_METHOD)
