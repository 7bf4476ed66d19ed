"""GitLab CI: a pipeline started with a trigger token."""

from __future__ import annotations

from alerting.auth import NONE, header
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, became, form, get, refused
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Retry,
    Text,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled, parameters
from contracts.config import Secret
from contracts.results import Decision

_BAD = ("failed", "canceled", "skipped")


class Options(preset.Options, frozen=True, kw_only=True):
    """Which pipeline is started, and with what."""

    project: int | str
    """Its number, or its path: ``group/shop``."""
    token: Secret
    """The trigger's."""
    ref: Wording = "main"
    variables: dict[str, Wording] | None = None
    pipeline_name: Wording = ""
    """The pipeline's ``workflow: name``, with ``$COALMINE_DECISION`` as ``{decision}``: by it a
    pipeline is found again. Needs a ``secret`` that may read the API."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it was started before, where that can be seen, then start it."""
    if options.pipeline_name:
        known = yield _pipelines(decision, options)
        if not known.is_ok:
            return refused(known, "message")
        if known.json(0, "id") is not None:
            return Delivered()
    variables = parameters(decision, options.variables, str.upper)
    fields: dict[str, Text] = {"token": options.token, "ref": filled(options.ref, decision)}
    fields |= {f"variables[{name}]": value for name, value in variables.items()}
    where = path("api", "v4", "projects", options.project, "trigger", "pipeline")
    answer = yield form(where, fields)
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the pipeline succeeded."""
    if not options.pipeline_name:
        return Retry("without pipeline_name there is nothing to look at")
    answer = yield _pipelines(decision, options)
    if not answer.is_ok:
        return taken(answer)
    what = f"pipeline {answer.json(0, 'id')}"
    return became(what, answer.json(0, "status"), good=("success",), bad=_BAD)


def _pipelines(decision: Decision, options: Options) -> HttpRequest:
    query = {"source": "trigger", "name": filled(options.pipeline_name, decision)}
    return get(path("api", "v4", "projects", options.project, "pipelines"), query)


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(NONE, header("private-token", auth="header")),
    actions=RUNS,
)
