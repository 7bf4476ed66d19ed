"""One job of Jenkins, built with parameters; with a crumb where the server asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from alerting.auth import BASIC
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, as_list, became, form, get, listed
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    HttpRequest,
    Retry,
    UnreadableError,
    at,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled, id_name, parameters
from contracts.config import Secret
from contracts.results import Decision

_PARAMETERS = "actions[parameters[name,value]]"
_TREE = f"queueItem[{_PARAMETERS}],builds[number,result,{_PARAMETERS}]{{0,50}}"
_BAD = ("FAILURE", "ABORTED", "NOT_BUILT", "UNSTABLE")


class Options(preset.Options, frozen=True, kw_only=True):
    """Which job is built, and with what."""

    job: Wording
    """With its folders: ``deploy/rollback``."""
    parameters: dict[str, Wording] | None = None
    """Those that the job declares; Jenkins drops all others."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it was built before, then have it built."""
    job = _job(decision, options)
    known = yield get(f"{job}/api/json", {"tree": _TREE})
    if not known.is_ok:
        return taken(known)
    if _build(known, decision.id) is not None:
        return Delivered()
    build = form(f"{job}/buildWithParameters", parameters(decision, options.parameters, str.upper))
    answer = yield build
    if answer.status == 403 and "crumb" in answer.text.lower():  # no API token: a password
        crumb = yield get("/crumbIssuer/api/json")
        if not crumb.is_ok:
            return taken(crumb)
        answer = yield _with_crumb(build, crumb)
    return taken(answer)


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the build succeeded."""
    answer = yield get(f"{_job(decision, options)}/api/json", {"tree": _TREE})
    if not answer.is_ok:
        return taken(answer)
    build = _build(answer, decision.id)
    if at(build, "number") is None:
        return Retry("the build waits in the queue, or the job does not declare COALMINE_DECISION")
    what = f"build {at(build, 'number')}"
    return became(what, at(build, "result"), good=("SUCCESS",), bad=_BAD)


def _job(decision: Decision, options: Options) -> str:
    names = filled(options.job, decision).split("/")
    return path(*(part for name in names for part in ("job", name)))


def _build(answer: Answer, decision_id: str) -> Any:  # noqa: ANN401 - any JSON
    """The build, or what waits in the queue, that was asked for by this decision."""
    for one in [answer.json("queueItem"), *listed(answer, "builds")]:
        if (id_name(str.upper), decision_id) in _given(one):
            return one
    return None


def _given(build: object) -> Iterator[tuple[object, object]]:
    for action in as_list(at(build, "actions")):
        for parameter in as_list(at(action, "parameters")):
            yield at(parameter, "name"), at(parameter, "value")


def _with_crumb(build: HttpRequest, answer: Answer) -> HttpRequest:
    """The crumb belongs to a session, so its cookie goes along."""
    name, value = answer.json("crumbRequestField"), answer.json("crumb")
    if not (isinstance(name, str) and isinstance(value, str)):
        raise UnreadableError("the crumb is missing")
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    session = {"cookie": Secret(cookie)} if cookie else {}
    return replace(build, headers={**build.headers, name: Secret(value), **session})


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(BASIC,),
    actions=RUNS,
)
