"""GitLab environments: the job that deployed the baseline is run again."""

from __future__ import annotations

from typing import Any

from alerting.auth import BEARER, header
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, became, get, listed, post, refused
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Refused,
    at,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled
from contracts.results import Decision, DecisionAction

_SHORTEST_COMMIT = 7
_BAD = ("failed", "canceled", "skipped")


class Options(preset.Options, frozen=True, kw_only=True):
    """Which environment is rolled back, to what."""

    project: int | str
    """Its number, or its path: ``group/shop``."""
    environment: Wording = "production"
    ref: Wording = "{baseline}"
    """The tag, branch or commit that was deployed as the baseline."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Find the baseline's last successful deployment and run its job again."""
    known = yield _deployments(decision, options)
    if not known.is_ok:
        return refused(known, "message")
    deployments = listed(known)
    ref, environment = filled(options.ref, decision), filled(options.environment, decision)
    latest = at(deployments, 0)
    if _is_of(latest, ref) and at(latest, "status") not in _BAD:
        return Delivered()  # asked before, or by someone else
    worked = (one for one in deployments if _is_of(one, ref) and at(one, "status") == "success")
    job = at(next(worked, None), "deployable", "id")
    if job is None:
        return Refused(f"no job has deployed {ref} to {environment} with success")
    answer = yield post(path("api", "v4", "projects", options.project, "jobs", job, "retry"), {})
    return Delivered() if answer.is_ok else refused(answer, "message")


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the environment's latest deployment is the baseline's, with success."""
    answer = yield _deployments(decision, options)
    if not answer.is_ok:
        return taken(answer)
    latest = answer.json(0)
    if not _is_of(latest, filled(options.ref, decision)):
        return became("another deployment", at(latest, "ref"), good=(), bad=())
    return became("deployment", at(latest, "status"), good=("success",), bad=_BAD)


def _deployments(decision: Decision, options: Options) -> HttpRequest:
    query = {
        "environment": filled(options.environment, decision),
        "order_by": "id",
        "sort": "desc",
        "per_page": "50",
    }
    return get(path("api", "v4", "projects", options.project, "deployments"), query)


def _is_of(deployment: Any, ref: str) -> bool:  # noqa: ANN401 - any JSON
    commit = str(at(deployment, "sha") or "")
    is_commit = len(ref) >= _SHORTEST_COMMIT and commit.startswith(ref)
    return at(deployment, "ref") == ref or is_commit


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(header("private-token", auth="header"), BEARER),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
