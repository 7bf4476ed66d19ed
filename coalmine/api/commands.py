"""From a request to a command on Kafka, and the judge's answer to it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from coalmine.api import metrics
from coalmine.api.board import Board, Record
from coalmine.api.replies import Refusal
from contracts.clock import Clock
from contracts.results import Answer, AnswerCode, RolloutCommand, RolloutCommandAction

Send = Callable[[RolloutCommand], Awaitable[None]]

PATIENCE_S = 10.0
LONGEST_KEY = 200

_STATUS = {
    AnswerCode.ACCEPTED: 200,
    AnswerCode.REPLACED: 201,
    AnswerCode.ALREADY_OPEN: 200,
    AnswerCode.NO_OPEN_ROLLOUT: 404,
    AnswerCode.UNKNOWN_PHASE: 422,
    AnswerCode.REASON_MISSING: 422,
    AnswerCode.RELEASE_MISSING: 422,
}
_CONFLICT = 409


def status_of(answer: Answer) -> int:
    """The HTTP status that says what became of a command."""
    is_start = answer.action is RolloutCommandAction.START
    if is_start and answer.code is AnswerCode.ACCEPTED:
        return 201
    return _STATUS.get(answer.code, _CONFLICT)


def command_id(key: str, *, caller: str, service: str) -> str:
    """The command's id: of an ``Idempotency-Key``, which each caller has for each service.

    Raises:
        Refusal: the key is too long, or no plain text.
    """
    if not key:
        return str(uuid.uuid4())
    if len(key) > LONGEST_KEY or not key.isprintable():
        expected = f"expected at most {LONGEST_KEY} visible letters"
        raise Refusal(422, f"idempotency-key: {expected}")
    return f"{caller}/{service}/{key}"


class Commander:
    """Sends commands and waits for their answers.

    Args:
        board: where answers come.
        send: puts a command on Kafka; raises ``Recoverable`` where that cannot be done now.
        clock: stamps commands.
        patience_s: how long an answer is waited for.
    """

    def __init__(
        self, board: Board, send: Send, clock: Clock, patience_s: float = PATIENCE_S
    ) -> None:
        self._board = board
        self._send = send
        self._clock = clock
        self._patience_s = patience_s

    def now_ms(self) -> int:
        """The time of a command that is made now."""
        return self._clock.now_ms()

    async def ask(self, command: RolloutCommand) -> Answer | None:
        """The judge's answer; None where none came in time, though the command stands.

        A command that was answered before is not sent again.

        Raises:
            Refusal: its id stands for another command.
            Recoverable: it could not be sent.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()

        def note(record: Record) -> None:
            if isinstance(record, Answer) and record.id == command.id:
                loop.call_soon_threadsafe(_settle, future, record)

        with self._board.listening(note):
            answer = self._board.answer(command.id)
            if answer is None:
                await self._send(command)
                answer = await self._waited_for(future)
        if answer is not None:
            _check(command, answer)
        return answer

    async def tell(self, command: RolloutCommand) -> None:
        """Send a command without waiting for its answer.

        Raises:
            Recoverable: it could not be sent.
        """
        await self._send(command)

    async def _waited_for(self, future: asyncio.Future[Answer]) -> Answer | None:
        with metrics.ANSWER_SECONDS.time():
            try:
                return await asyncio.wait_for(future, self._patience_s)
            except TimeoutError:
                metrics.UNANSWERED.inc()
                return None


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


def _check(command: RolloutCommand, answer: Answer) -> None:
    """A key that comes again must say the same as before."""
    is_same = answer.service == command.service and answer.action is command.action
    canary_differs = bool(command.canary and answer.canary and command.canary != answer.canary)
    if not is_same or canary_differs:
        said = f"{answer.action} of {answer.canary or answer.service}"
        raise Refusal(422, f"idempotency-key: it was used before, for {said}")
