"""Nomad: a job reverted to the version that carries the baseline's release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alerting.auth import NONE, header
from alerting.integrations import preset
from alerting.integrations.asking import JOB_LIMIT_S, became, get, listed, post
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    HttpRequest,
    Refused,
    Retry,
    at,
    path,
    taken,
)
from alerting.integrations.words import Wording, filled
from contracts.results import Decision, DecisionAction


class Options(preset.Options, frozen=True, kw_only=True):
    """Which job is reverted, and how its versions tell their releases."""

    job: Wording = "{service}"
    namespace: Wording = "default"
    release_meta: str = "release"
    """The key of the job's ``meta`` that holds the release; a version tag counts too."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Find the baseline's version and revert to it, unless the job has changed meanwhile."""
    job = filled(options.job, decision)
    known = yield _ask(decision, options, "versions")
    if not known.is_ok:
        return taken(known)
    versions = _versions(known)
    if not versions:
        return Refused(f"the job {job} has no versions")
    if _is_release(versions[0], decision.baseline, options):
        return Delivered()  # reverted before, or nothing else was there
    found = (one for one in versions if _is_release(one, decision.baseline, options))
    target = at(next(found, None), "Version")
    if target is None:
        where = f"meta {options.release_meta}"
        return Refused(f"no version of {job} has the release {decision.baseline} in its {where}")
    revert = post(
        path("v1", "job", job, "revert"),
        # refused by Nomad if another version became the current one
        {"JobID": job, "JobVersion": target, "EnforcePriorVersion": at(versions[0], "Version")},
    )
    answer = yield _in_namespace(revert, decision, options)
    return taken(answer)


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the job's version is the baseline's, and its deployment done."""
    known = yield _ask(decision, options, "versions")
    if not known.is_ok:
        return taken(known)
    if not _is_release(next(iter(_versions(known)), None), decision.baseline, options):
        return Retry("another version is the current one")
    answer = yield _ask(decision, options, "deployment")
    if not answer.is_ok:
        return taken(answer)
    if answer.json() is None:  # a job without an update block has no deployments
        return Delivered()
    bad = ("failed", "cancelled")
    return became("deployment", answer.json("Status"), good=("successful",), bad=bad)


def _ask(decision: Decision, options: Options, what: str) -> HttpRequest:
    request = get(path("v1", "job", filled(options.job, decision), what))
    return _in_namespace(request, decision, options)


def _in_namespace(request: HttpRequest, decision: Decision, options: Options) -> HttpRequest:
    return replace(request, query={"namespace": filled(options.namespace, decision)})


def _versions(answer: Answer) -> list[Any]:
    """The newest first."""
    versions = [v for v in listed(answer, "Versions") if isinstance(at(v, "Version"), int)]
    return sorted(versions, key=lambda one: int(at(one, "Version")), reverse=True)


def _is_release(version: object, release: str, options: Options) -> bool:
    names = (at(version, "Meta", options.release_meta), at(version, "VersionTag", "Name"))
    return release in names


PRESET = preset.Preset(
    deliver=deliver,
    verify=verify,
    verify_within_s=JOB_LIMIT_S,
    options=Options,
    auth=(header("x-nomad-token", auth="header"), NONE),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
