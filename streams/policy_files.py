"""Policies that change while a worker runs: taken when whole, left alone where broken.

Open rollouts keep the policy that they were opened with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from contracts.errors import ConfigError
from contracts.policy import Policies, load_policies
from streams import metrics

log = structlog.get_logger()

POLL_S = 1.0

Contents = Mapping[Path, bytes]


class PolicyFiles:
    """A directory of policies, looked at again and again.

    Args:
        directory: of YAML files.
        policies: what was read of it, and is changed in place.
    """

    def __init__(self, directory: Path, policies: Policies) -> None:
        self._directory = directory
        self._policies = policies
        self._used = self._seen = _contents(directory)
        self._refused = ""

    def refused(self) -> str:
        """Why the files as they are now are not used; empty while they are."""
        return self._refused

    async def poll(self) -> None:
        """Look once; meant to be called every ``POLL_S`` seconds.

        A change is taken when it has lasted from one look to the next: half a file may be a whole
        policy, too.
        """
        found = await asyncio.to_thread(_contents, self._directory)
        has_settled, self._seen = found == self._seen, found
        if not has_settled or found == self._used:
            return
        self._used = found
        try:
            new = await asyncio.to_thread(_load, self._directory)
        except ConfigError as error:
            self._refuse(str(error))
            return
        self._policies.take(new)
        self._refuse("")
        log.info("policies_loaded", directory=str(self._directory), files=len(found))

    def _refuse(self, why: str) -> None:
        self._refused = why
        metrics.POLICIES_REFUSED.set(bool(why))
        if why:
            log.error("policies_refused", reason=why, kept="those before")


def _load(directory: Path) -> Policies:
    if not directory.is_dir():
        raise ConfigError(str(directory), "cannot be read: no such directory")
    return load_policies(directory)


def _contents(directory: Path) -> Contents:
    """The bytes of every file; of one that cannot be read (or was just replaced), none."""
    found = {}
    for path in [*directory.glob("*.yaml"), *directory.glob("*.yml")]:
        try:
            found[path] = path.read_bytes()
        except OSError:
            found[path] = b""
    return found
