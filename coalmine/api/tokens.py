"""The file of tokens: a name, a role and a hash each. A token itself is shown once and not kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from contracts.config import Secret, load
from contracts.errors import ConfigError
from contracts.kept_files import KeptFile, write_private

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
LOCAL = "local"
"""The token of the commands on the machine of ``coalmine up``."""
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = "coalmine_"
_RANDOM_BYTES = 32

TokenName = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class Role(StrEnum):
    """What a token allows."""

    READ = "read"
    OPERATE = "operate"
    """Also to open, steer and end rollouts."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    role: Role


class TokenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds of one token."""

    role: Role
    sha256: str
    """Of the token. No salt and no slow hash: 32 random bytes cannot be guessed."""


class TokensFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    tokens: dict[TokenName, TokenEntry] = {}


class Tokens:
    """The tokens of one file, read again whenever it changes.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._entries = KeptFile(path, read_tokens)

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; every entry is compared, in constant time."""
        found = hash_token(token)
        caller = None
        for name, entry in self._entries.current().items():
            if hmac.compare_digest(entry.sha256, found):
                caller = Caller(name, entry.role)
        return caller


def new_token() -> Secret:
    """A token that nobody has; its beginning tells scanners of secrets what it is."""
    return Secret(_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES))


def hash_token(token: str) -> str:
    """What the file holds of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_tokens(path: Path) -> dict[str, TokenEntry]:
    """Name to entry.

    Raises:
        ConfigError: unreadable, or a token that is not hashed (which is not shown).
    """
    tokens = dict(load(path, TokensFile).tokens)
    for name, entry in tokens.items():
        if not _HASH.fullmatch(entry.sha256):
            expected = "expected a hashed token: write it with coalmine api tokens add"
            raise ConfigError(str(path), expected, field=f"tokens.{name}.sha256")
    return tokens


def write_tokens(path: Path, tokens: dict[str, TokenEntry]) -> None:
    """Replace the file as a whole; only its owner can read it.

    Raises:
        ConfigError: it cannot be written.
    """
    document = {"tokens": msgspec.to_builtins(tokens)}
    write_private(path, yaml.safe_dump(document, sort_keys=True))


def local_tokens(tokens: Path, token: Path) -> Path:
    """Let commands on this machine in: a token of their own in a file that only its owner reads.

    Args:
        tokens: the file of tokens; those that others have stay.
        token: gets the token itself.

    Returns:
        The file of tokens.

    Raises:
        ConfigError: a file cannot be read or written.
    """
    known = read_tokens(tokens) if tokens.exists() else {}
    if LOCAL in known and token.exists():
        return tokens
    made = new_token()
    write_private(token, made.reveal())
    entry = TokenEntry(Role.OPERATE, hash_token(made.reveal()))
    write_tokens(tokens, {**known, LOCAL: entry})
    return tokens
