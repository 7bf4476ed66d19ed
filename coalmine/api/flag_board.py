"""What the API knows of flags: the last state of each, and who waits for the next."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from contracts.flags import FlagState, FlagStates

MOST_FLAGS = 20_000
"""What was heard of first goes first."""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer about one service, and the tag that names its content."""

    body: bytes
    etag: str


class FlagBoard:
    """Safe for one thread that feeds it and others that ask.

    >>> board = FlagBoard()
    >>> board.take(msgspec.json.encode(FlagState(flag="new-checkout", service="shop")))
    >>> board.told("shop").body
    b'{"service":"shop","flags":[{"flag":"new-checkout","service":"shop"}]}'
    """

    def __init__(self, most: int = MOST_FLAGS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], FlagState] = {}
        self._told: dict[str, Told] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._states)

    def take(self, value: bytes) -> None:
        """Take one message of ``coalmine.flags`` into account; an older state changes nothing.

        Raises:
            msgspec.MsgspecError: it is none.
        """
        state = msgspec.json.decode(value, type=FlagState)
        key = (state.service, state.flag)
        with self._lock:
            known = self._states.get(key)
            if known is not None and known.version > state.version:
                return  # a worker that was wedged wrote an older copy behind a newer one
            self._states[key] = state
            if known is not None and _for_services(known) == _for_services(state):
                return
            self._told.pop(state.service, None)
            if len(self._states) > self._most:
                oldest = next(iter(self._states))
                del self._states[oldest]
                self._told.pop(oldest[0], None)
            for wake in self._waiting.get(state.service, ()):
                wake()

    def told(self, service: str) -> Told:
        """What services are told of their flags, by the flags' names."""
        with self._lock:
            known = self._told.get(service)
            if known is None:
                flags = [_for_services(s) for (of, _), s in self._states.items() if of == service]
                flags.sort(key=lambda state: state.flag)
                body = msgspec.json.encode(FlagStates(service=service, flags=tuple(flags)))
                known = Told(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
                if flags:  # strangers' names are not kept
                    self._told[service] = known
            return known

    @contextmanager
    def waiting(self, service: str, wake: Callable[[], None]) -> Iterator[None]:
        """Call ``wake`` whenever a flag of a service changes meanwhile, from the feeding thread.

        It must be quick and must not raise.
        """
        with self._lock:
            self._waiting.setdefault(service, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                waiting = self._waiting[service]
                waiting.remove(wake)
                if not waiting:
                    del self._waiting[service]


def _for_services(state: FlagState) -> FlagState:
    """Without the version, which grows with every look at the rollout."""
    return msgspec.structs.replace(state, version=0)
