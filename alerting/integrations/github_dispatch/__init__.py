"""GitHub Actions: a ``repository_dispatch`` event that starts the workflows that listen to it."""

from __future__ import annotations

from typing import Any

from alerting.auth import BEARER
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, RUNS, became, get, listed, post, refused
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    HttpRequest,
    Retry,
    at,
    taken,
)
from alerting.integrations.github import HEADERS, Repository, under
from alerting.integrations.words import Wording, filled, words
from contracts.results import Decision

_BAD = ("failure", "cancelled", "timed_out", "action_required", "stale", "startup_failure")


class Options(preset.Options, frozen=True, kw_only=True):
    """Which event of which repository."""

    repository: Repository
    event_type: Wording = "coalmine-{action}"
    find_run: bool = False
    """Whether the workflow's ``run-name`` holds ``github.event.client_payload.coalmine.decision``:
    the event itself gets no id, so only then can a run be found again."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it runs already, where that can be seen, then send the event."""
    if options.find_run:
        runs = yield _runs(options)
        if not runs.is_ok:
            return refused(runs, "message")
        if _run(runs, decision.id) is not None:
            return Delivered()
    event = {
        "event_type": filled(options.event_type, decision),
        # at most ten keys are allowed at the top
        "client_payload": {"coalmine": words(decision)},
    }
    answer = yield post(under(options.repository, "dispatches"), event, HEADERS)
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the run succeeded."""
    if not options.find_run:
        return Retry("without find_run there is nothing to look at")
    answer = yield _runs(options)
    if not answer.is_ok:
        return taken(answer)
    run = _run(answer, decision.id)
    return became("run", at(run, "conclusion"), good=("success",), bad=_BAD)


def _runs(options: Options) -> HttpRequest:
    query = {"event": "repository_dispatch", "per_page": "50"}
    return get(under(options.repository, "actions", "runs"), query, HEADERS)


def _run(answer: Answer, decision_id: str) -> Any:  # noqa: ANN401 - any JSON
    for run in listed(answer, "workflow_runs"):
        if decision_id in str(at(run, "display_title")).split():
            return run
    return None


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(BEARER,),
    actions=RUNS,
)
