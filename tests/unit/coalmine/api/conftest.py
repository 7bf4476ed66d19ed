"""An API over a board of its own, without Kafka: its commands are answered by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from coalmine.api.access import Access
from coalmine.api.app import Options, build, guarded
from coalmine.api.board import Board
from coalmine.api.tokens import Role, TokenEntry, hash_token, write_tokens
from contracts.clock import ManualClock
from contracts.errors import Recoverable
from contracts.results import Answer, RolloutCommand
from tests.support.results import OPENED_AT
from tests.unit.coalmine.api.test_board import tell

TOKENS = {"ci": Role.OPERATE, "wall": Role.READ}


class Judge:
    """Stands where Kafka and the worker stand: keeps commands, and answers as the test says."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.commands: list[RolloutCommand] = []
        self.answers: Callable[[RolloutCommand], Answer | None] = lambda _: None
        self.is_away = False

    async def __call__(self, command: RolloutCommand) -> None:
        """Take a command."""
        if self.is_away:
            raise Recoverable("Kafka did not take the command: nobody is there")
        self.commands.append(command)
        answer = self.answers(command)
        if answer is not None:
            tell(self.board, answer)


class Api:
    """The app behind its door."""

    def __init__(self, access: Access, patience_s: float = 5.0) -> None:
        self.board = Board()
        self.judge = Judge(self.board)
        self.is_current = True
        self.clock = ManualClock(now_ms=OPENED_AT)
        options = Options(access, patience_s)
        app = build(self.board, self.judge, lambda: self.is_current, self.clock, options)
        self.app: Any = guarded(app, access, self.clock)

    def client(self, token: str = "ci", address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client that shows a token, or none."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 1234))
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8060", headers=headers
        )


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file of two tokens; each token is its name."""
    path = tmp_path / "tokens.yaml"
    entries = {name: TokenEntry(role, hash_token(name)) for name, role in TOKENS.items()}
    write_tokens(path, entries)
    return path


@pytest.fixture
def api(tokens: Path) -> Api:
    """An API that asks for tokens."""
    return Api(Access(tokens=tokens))
