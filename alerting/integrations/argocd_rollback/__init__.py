"""Argo CD: an application goes back to what it ran before the canary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from alerting.auth import BEARER
from alerting.integrations import preset
from alerting.integrations.asking import as_list
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Refused,
    Retry,
    at,
    json_body,
    path,
    taken,
)
from alerting.integrations.preset import Preset
from contracts.results import Decision, DecisionAction

_BYTES = 4 * 1024 * 1024


class Options(preset.Options, frozen=True, kw_only=True):
    """Which application."""

    application: str = ""
    """By default the service's name."""
    namespace: str = ""
    """Of the application, where it is not Argo CD's own."""
    prune: bool = False
    """Whether objects that the old revision does not know are deleted."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look what is deployed, then ask for the revision before it, unless that was done already.

    The history says when what was deployed: what was deployed before the decision last is the
    canary, and the last revision before it that differs is the baseline. What was deployed since
    is either our own rollback, or somebody else's, whom we leave alone.
    """
    read = yield _read(decision, options)
    if not read.is_ok:
        return taken(read)
    application = read.json()
    target, since = _target(application, decision)
    if target is None:
        return Refused("the history knows nothing before the canary")
    if since:
        is_ours = _what(since[-1]) == _what(target)
        return Delivered() if is_ours else Refused("it was deployed again since the decision")
    if at(application, "spec", "syncPolicy", "automated") is not None:
        return Refused("auto-sync is on: Argo CD would undo the rollback, and refuses it")
    if at(application, "status", "operationState", "phase") in {"Running", "Terminating"}:
        return Retry("another operation is under way")
    name = options.application or decision.service
    wanted = {"name": name, "id": target["id"], "prune": options.prune, "dryRun": False}
    answer = yield HttpRequest(
        method="POST",
        path=_path(decision, options) + "/rollback",
        headers={"content-type": "application/json"},
        body=json_body(wanted | _where(options)),
        answer_bytes=_BYTES,
    )
    return taken(answer)


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the rollback's operation succeeded and the history shows it."""
    read = yield _read(decision, options)
    if not read.is_ok:
        return taken(read)
    application = read.json()
    target, since = _target(application, decision)
    phase = at(application, "status", "operationState", "phase")
    if target and since and _what(since[-1]) == _what(target) and phase == "Succeeded":
        return Delivered()
    if phase in ("Failed", "Error"):
        return Refused(f"the operation ended as {phase}")
    return Retry(f"the operation is {phase}")


def _read(decision: Decision, options: Options) -> HttpRequest:
    query = {name: str(value) for name, value in _where(options).items()}
    return HttpRequest(path=_path(decision, options), query=query, answer_bytes=_BYTES)


def _path(decision: Decision, options: Options) -> str:
    return "/api/v1" + path("applications", options.application or decision.service)


def _where(options: Options) -> dict[str, str]:
    return {"appNamespace": options.namespace} if options.namespace else {}


def _target(application: Any, decision: Decision) -> tuple[Any, list[Any]]:  # noqa: ANN401 - any JSON
    """The deployment to go back to, and those since the decision, oldest first."""
    history = sorted(as_list(at(application, "status", "history")), key=_deployed_ms)
    before = [one for one in history if _deployed_ms(one) <= decision.time]
    since = [one for one in history if _deployed_ms(one) > decision.time]
    others = [one for one in before if _what(one) != _what(before[-1])]
    return (others[-1] if others else None), since


def _what(entry: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any JSON
    return tuple(str(at(entry, part)) for part in ("revision", "revisions", "source", "sources"))


def _deployed_ms(entry: Any) -> float:  # noqa: ANN401 - any JSON
    try:
        moment = datetime.fromisoformat(str(at(entry, "deployedAt")))
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(BEARER,),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
