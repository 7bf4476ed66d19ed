"""AWX and Ansible Automation Platform: a job template, launched with extra variables."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from alerting.auth import BASIC, BEARER
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, became, get, listed, post, refused
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    Ending,
    HttpRequest,
    Refused,
    Request,
    Retry,
    at,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled, id_name, parameters
from contracts.errors import UNREADABLE
from contracts.results import Decision

_BAD = ("failed", "error", "canceled")


class Options(preset.Options, frozen=True, kw_only=True):
    """Which template is launched, and with what."""

    template: int | str
    """Its number, or its name as ``name++organization``."""
    limit: Wording = ""
    """Hosts that the job is limited to."""
    extra_vars: dict[str, Wording] | None = None


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether the template takes variables and was not launched before, then launch it."""
    if early := (yield from _before(decision, options)):
        return early
    # as text: the form that every version takes
    variables = msgspec.json.encode(parameters(decision, options.extra_vars)).decode()
    limit = {"limit": filled(options.limit, decision)} if options.limit else {}
    answer = yield post(_path(options, "launch"), {"extra_vars": variables, **limit})
    if not answer.is_ok:
        return refused(answer, "detail")
    if ignored := answer.json("ignored_fields"):
        names = ", ".join(ignored) if isinstance(ignored, dict) else "some fields"
        number = answer.json("job")
        return Refused(f"job {number} was launched, but without {names}")
    return Delivered()


def _before(decision: Decision, options: Options) -> Generator[Request, Answer, Ending | None]:
    """The ending where nothing is to be launched."""
    template = yield get(_path(options, "launch"))
    if not template.is_ok:
        return refused(template, "detail")
    if why := _mistake(template, options):
        return Refused(why)
    known = yield _jobs(options)
    if not known.is_ok:
        return refused(known, "detail")
    return None if _job(known, decision.id) is None else Delivered()


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the job succeeded."""
    answer = yield _jobs(options)
    if not answer.is_ok:
        return taken(answer)
    job = _job(answer, decision.id)
    if job is None:
        return Retry("no job carries this decision")
    what = f"job {at(job, 'id')}"
    return became(what, at(job, "status"), good=("successful",), bad=_BAD)


def _path(options: Options, *segments: str) -> str:
    return path("api", "v2", "job_templates", options.template, *segments) + "/"


def _mistake(template: Answer, options: Options) -> str:
    """Why a launch would go without what it is given."""
    if not (template.json("ask_variables_on_launch") or template.json("survey_enabled")):
        return "the template does not prompt for variables on launch"
    if options.limit and not template.json("ask_limit_on_launch"):
        return "the template does not prompt for a limit on launch"
    return ""


def _jobs(options: Options) -> HttpRequest:
    return get(_path(options, "jobs"), {"order_by": "-id", "page_size": "50"})


def _job(answer: Answer, decision_id: str) -> Any:  # noqa: ANN401 - any JSON
    for job in listed(answer, "results"):
        try:
            variables = msgspec.json.decode(str(at(job, "extra_vars")))
        except UNREADABLE:
            continue
        if at(variables, id_name()) == decision_id:
            return job
    return None


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(BEARER, BASIC),
    actions=RUNS,
)
