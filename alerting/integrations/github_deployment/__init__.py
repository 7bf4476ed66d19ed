"""GitHub deployments: one of the baseline is asked for, the canary's is marked as failed."""

from __future__ import annotations

from typing import Any

from alerting.auth import BEARER
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, became, get, listed, post, refused
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
from contracts.results import Decision, DecisionAction

_DESCRIPTION_AT_MOST = 140
_CREATED = 201


class Options(preset.Options, frozen=True, kw_only=True):
    """Where what is deployed."""

    repository: Repository
    environment: Wording = "production"
    rollback_ref: Wording = "{baseline}"
    """Branch, tag or commit that is to run after a rollback."""
    promote_ref: Wording = "{canary}"
    """And after a promotion."""
    canary_ref: Wording = "{canary}"
    """Whose latest deployment a rollback marks as failed."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether it was asked for before, ask for it, and mark the canary's deployment."""
    known = yield _deployments(decision, options, task=decision.action.value)
    if not known.is_ok:
        return refused(known, "message")
    if _deployment(known, decision.id) is None:
        created = yield post(
            under(options.repository, "deployments"), _wanted(decision, options), HEADERS
        )
        if created.status != _CREATED:  # 202: GitHub has merged instead; 409: checks are missing
            return refused(created, "message")
    if decision.action is DecisionAction.ROLLBACK:
        canaries = yield _deployments(decision, options, ref=filled(options.canary_ref, decision))
        if canaries.is_ok and (canary := canaries.json(0, "id")) is not None:
            marked = yield post(
                under(options.repository, "deployments", canary, "statuses"),
                {"state": "failure", "description": decision.reason[:_DESCRIPTION_AT_MOST]},
                HEADERS,
            )
            return Delivered() if marked.is_ok else refused(marked, "message")
    return Delivered()


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the deployment's latest status is success."""
    known = yield _deployments(decision, options, task=decision.action.value)
    if not known.is_ok:
        return taken(known)
    deployment = _deployment(known, decision.id)
    if deployment is None:
        return Retry("no deployment carries this decision")
    number = at(deployment, "id")
    answer = yield get(
        under(options.repository, "deployments", number, "statuses"), {"per_page": "1"}, HEADERS
    )
    if not answer.is_ok:
        return taken(answer)
    bad = ("failure", "error", "inactive")
    return became(f"deployment {number}", answer.json(0, "state"), good=("success",), bad=bad)


def _deployments(decision: Decision, options: Options, **filters: str) -> HttpRequest:
    query = {"environment": filled(options.environment, decision), **filters, "per_page": "30"}
    return get(under(options.repository, "deployments"), query, HEADERS)


def _deployment(answer: Answer, decision_id: str) -> Any:  # noqa: ANN401 - any JSON
    for deployment in listed(answer):
        if at(deployment, "payload", "coalmine", "decision") == decision_id:
            return deployment
    return None


def _wanted(decision: Decision, options: Options) -> dict[str, object]:
    is_promotion = decision.action is DecisionAction.PROMOTE
    ref = options.promote_ref if is_promotion else options.rollback_ref
    return {
        "ref": filled(ref, decision),
        "task": decision.action.value,
        # both default to what would merge the main branch, or refuse over a check of the canary
        "auto_merge": False,
        "required_contexts": [],
        "environment": filled(options.environment, decision),
        "description": decision.reason[:_DESCRIPTION_AT_MOST],
        "payload": {"coalmine": words(decision)},
    }


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(BEARER,),
    actions=frozenset({DecisionAction.ROLLBACK, DecisionAction.PROMOTE}),
)
