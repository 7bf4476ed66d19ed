"""Runs a conversation: one request after the other until it ends, within one attempt's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    Ending,
    HttpRequest,
    Refused,
    Request,
    Retry,
    UnreadableError,
    UnusableError,
)
from alerting.retry import may_pass

_log = structlog.get_logger()

_STEPS_AT_MOST = 50
_UNFORESEEN = (AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer of a shape that its tool never had so far raises."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A conversation that is over: its ending, and what was said."""

    ending: Ending
    answer: Answer | None = None
    """The last one."""
    status: int | None = None
    """Of the last answer over HTTP."""
    body: str = ""
    """Of the last request that had one, as records show it."""
    steps: tuple[str, ...] = ()
    """Each request and how it was answered."""
    duration_ms: float = 0.0


def converse(conversation: Conversation, ask: Callable[[Request], Answer]) -> Exchange:
    """Ask what the conversation asks for until it ends, or an answer says to try again.

    Args:
        conversation: not begun yet; it is closed when this returns.
        ask: sends one request; never raises for what a receiver or a network does.
    """
    said = Exchange(Retry("too many requests in one conversation"))
    answer: Answer | None = None
    try:
        for _ in range(_STEPS_AT_MOST):
            request = conversation.send(answer) if answer else next(conversation)
            answer = ask(request)
            said = _with(said, request, answer)
            if ending := _early_ending(answer):
                return _ended(said, ending)
    except StopIteration as end:
        return _ended(said, end.value)
    except UnusableError as error:
        return _ended(said, Refused(f"unusable: {error}"))
    except UnreadableError as error:
        return _ended(said, Retry(f"unreadable: {error}"))
    except _UNFORESEEN as error:
        # a mistake of a preset looks the same: it is tried again, then told to people
        _log.warning("answer_unforeseen", steps=said.steps, error=repr(error))
        return _ended(said, Retry(f"unreadable: {type(error).__name__}"))
    finally:
        conversation.close()
    return said


def _early_ending(answer: Answer) -> Ending | None:
    """How it ends without asking the preset: there is no answer, or it says to come again."""
    reason = answer.failure or f"http {answer.status}"
    if may_pass(answer):
        return Retry(reason)
    return Refused(reason) if answer.failure else None


def _with(said: Exchange, request: Request, answer: Answer) -> Exchange:
    outcome = answer.failure or str(answer.status)
    return replace(
        said,
        answer=answer,
        status=answer.status if isinstance(request, HttpRequest) else said.status,
        body=request.body.shown or said.body,
        steps=(*said.steps, f"{request.shown}: {outcome}"),
        duration_ms=said.duration_ms + answer.duration_ms,
    )


def _ended(said: Exchange, ending: Ending) -> Exchange:
    assert isinstance(ending, Delivered | Refused | Retry), "a conversation returns an ending"
    return replace(said, ending=ending)
