"""What most presets ask in the same way: JSON, forms, and what became of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerting.integrations.conversation import (
    Answer,
    Delivered,
    Ending,
    HttpRequest,
    Refused,
    Retry,
    Text,
    UnreadableError,
    at,
    form_body,
    json_body,
)
from contracts.results import DecisionAction

RUNS = frozenset(DecisionAction) - {DecisionAction.ESCALATE}
"""What a tool hears of that runs something. Calls for people are not for it: by default an endpoint
gets them, and a job that does not look at the action would roll back."""

JOB_LIMIT_S = 15 * 60.0
"""How long a job may take before people are told that nothing came of it."""

_HEADERS = {"accept": "application/json", "user-agent": "coalmine"}
_REASON_SHOWN = 200


def get(
    path: str, query: Mapping[str, Text] | None = None, headers: Mapping[str, Text] | None = None
) -> HttpRequest:
    """Look at something."""
    return HttpRequest(path=path, query=query or {}, headers={**_HEADERS, **(headers or {})})


def post(
    path: str,
    document: Any,  # noqa: ANN401 - any JSON
    headers: Mapping[str, Text] | None = None,
    method: str = "POST",
) -> HttpRequest:
    """A JSON document; secrets may stand in it."""
    content = {"content-type": "application/json"}
    return HttpRequest(
        method=method,
        path=path,
        headers={**_HEADERS, **content, **(headers or {})},
        body=json_body(document),
    )


def form(path: str, fields: Mapping[str, Text]) -> HttpRequest:
    """Fields of a form; values may be secrets."""
    content = {"content-type": "application/x-www-form-urlencoded"}
    return HttpRequest(
        method="POST", path=path, headers={**_HEADERS, **content}, body=form_body(fields)
    )


def refused(answer: Answer, *where: str | int) -> Refused:
    """What the tool says of its no, at this place of its JSON.

    >>> refused(Answer(409, body=b'{"message": "conflict"}'), "message")
    Refused(reason='http 409: conflict')
    """
    said = at(_lenient(answer), *where)
    what = f": {said[:_REASON_SHOWN]}" if isinstance(said, str) and said else ""
    return Refused(f"http {answer.status}{what}")


def became(what: str, status: object, *, good: Sequence[str], bad: Sequence[str]) -> Ending:
    """What a job's status means to those who look whether it worked.

    >>> became("build 7", "FAILURE", good=["SUCCESS"], bad=["FAILURE"])
    Refused(reason='build 7: FAILURE')

    Args:
        what: the job, in words.
        status: as the tool has it.
        good: statuses of one that worked.
        bad: of one that will not; any other is still under way.
    """
    if status in good:
        return Delivered()
    said = f"{what}: {status or 'under way'}"
    return Refused(said) if status in bad else Retry(said)


def listed(answer: Answer, *where: str | int) -> list[Any]:
    """The list at a place of an answer's JSON; empty where there is none.

    >>> listed(Answer(200, body=b'{"jobs": [1, 2]}'), "jobs"), listed(Answer(200, body=b"null"))
    ([1, 2], [])
    """
    return as_list(answer.json(*where))


def as_list(found: object) -> list[Any]:
    """What a tool says is a list, if it is one."""
    return found if isinstance(found, list) else []


def _lenient(answer: Answer) -> Any:  # noqa: ANN401 - any JSON
    try:
        return answer.json()
    except UnreadableError:
        return None
