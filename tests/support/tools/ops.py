"""Ansible, Nomad, Unleash and LaunchDarkly."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from tests.support.tools import TOKEN, Call, Problem, Reply, Tool

_SEMANTIC = "application/json; domain-model=launchdarkly.semanticpatch"


def eda(*, is_signed: bool = False) -> Tool:
    """The webhook source of a rulebook, after ansible-rulebook's ``event_source/webhook.py``.

    Args:
        is_signed: whether it wants an HMAC of the body instead of a token.
    """
    tool = Tool()

    @tool.route("POST", "/(.*)")
    def take(call: Call, endpoint: str) -> Reply:
        if is_signed:
            digest = hmac.new(TOKEN.encode(), call.body, hashlib.sha256).hexdigest()
            given = call.headers.get("x-hub-signature-256")
            if given is None:
                raise Problem(400, "Signature header not found")
            if given.removeprefix("sha256=") != digest:
                raise Problem(401, "HMAC verification failed")
        else:
            wrong = Problem(401, "Invalid authorization token")
            call.needs("authorization", f"Bearer {TOKEN}", wrong)
        json.loads(call.body)
        return 200, endpoint, {}

    return tool


def awx() -> Tool:
    """Template 7, which prompts for variables and for no limit."""
    tool, jobs = Tool(), list[dict[str, Any]]()
    template = "/api/v2/job_templates/7"

    def check(call: Call) -> None:
        wrong = Problem(401, {"detail": "Authentication credentials were not provided."})
        call.needs("authorization", f"Bearer {TOKEN}", wrong)

    @tool.route("GET", f"{template}/launch/")
    def needs(call: Call) -> Reply:
        check(call)
        asks = {"ask_variables_on_launch": True, "ask_limit_on_launch": False}
        return 200, {**asks, "survey_enabled": False, "can_start_without_user_input": True}, {}

    @tool.route("GET", f"{template}/jobs/")
    def launched(call: Call) -> Reply:
        check(call)
        assert call.query["order_by"] == "-id"
        return 200, {"count": len(jobs), "next": None, "results": jobs}, {}

    @tool.route("POST", f"{template}/launch/")
    def launch(call: Call) -> Reply:
        check(call)
        wanted = call.json()
        if not isinstance(json.loads(wanted["extra_vars"]), dict):
            raise Problem(400, {"extra_vars": ["Must be valid JSON or YAML."]})
        job = {"id": 968 + len(jobs), "status": "successful", "extra_vars": wanted["extra_vars"]}
        jobs.insert(0, job)
        ignored = {name: value for name, value in wanted.items() if name != "extra_vars"}
        return 201, {"job": job["id"], "ignored_fields": ignored}, {}

    return tool


def nomad() -> Tool:
    """The job ``checkout``, of which version 5 is the canary's and 4 the baseline's."""
    tool = Tool()
    versions = [
        {"Version": 5, "Stable": False, "Meta": {"release": "1.5.0"}},
        {"Version": 4, "Stable": True, "Meta": {"release": "1.4.2"}},
    ]

    def check(call: Call) -> None:
        call.needs("x-nomad-token", TOKEN, Problem(403, "Permission denied"))
        assert call.query["namespace"] == "default"

    @tool.route("GET", "/v1/job/checkout/versions")
    def history(call: Call) -> Reply:
        check(call)
        return 200, {"Versions": versions, "Diffs": None}, {}

    @tool.route("POST", "/v1/job/checkout/revert")
    def revert(call: Call) -> Reply:
        check(call)
        wanted = call.json()
        if wanted["JobID"] != "checkout" or wanted["EnforcePriorVersion"] != versions[0]["Version"]:
            raise Problem(500, "Current job has another version")
        (target,) = [one for one in versions if one["Version"] == wanted["JobVersion"]]
        versions.insert(0, {**target, "Version": wanted["EnforcePriorVersion"] + 1})
        return 200, {"EvalID": "d092fdc0"}, {}

    @tool.route("GET", "/v1/job/checkout/deployment")
    def deployment(call: Call) -> Reply:
        check(call)
        return 200, {"JobVersion": versions[0]["Version"], "Status": "successful"}, {}

    return tool


def unleash() -> Tool:
    """The flag ``new-checkout``, on in production."""
    tool, is_on = Tool(), {"production": True, "development": True}
    feature = "/api/admin/projects/default/features/new-checkout"

    def check(call: Call) -> None:
        call.needs("authorization", TOKEN, Problem(401, {"message": "You must log in"}))

    @tool.route("POST", f"{feature}/environments/([^/]+)/off")
    def switch_off(call: Call, environment: str) -> Reply:
        check(call)
        if environment not in is_on:
            raise Problem(404, {"message": f"no environment {environment}"})
        is_on[environment] = False
        return 200, "", {}

    @tool.route("GET", feature)
    def look(call: Call) -> Reply:
        check(call)
        environments = [{"name": name, "enabled": on} for name, on in is_on.items()]
        return 200, {"name": "new-checkout", "environments": environments}, {}

    return tool


def launchdarkly() -> Tool:
    """The flag ``new-checkout``, on in production."""
    tool, is_on = Tool(), {"production": True}
    flag = "/api/v2/flags/shop/new-checkout"

    def check(call: Call) -> None:
        wrong = Problem(401, {"code": "unauthorized", "message": "Invalid access token"})
        call.needs("authorization", TOKEN, wrong)

    def document() -> dict[str, Any]:
        return {"key": "new-checkout", "environments": {k: {"on": v} for k, v in is_on.items()}}

    @tool.route("PATCH", flag)
    def patch(call: Call) -> Reply:
        check(call)
        wanted = call.json(_SEMANTIC)
        kinds = [one["kind"] for one in wanted["instructions"]]
        if kinds != ["turnFlagOff"] or wanted["environmentKey"] not in is_on:
            raise Problem(400, {"code": "invalid_request", "message": "unknown instruction"})
        is_on[wanted["environmentKey"]] = False
        return 200, document(), {}

    @tool.route("GET", flag)
    def look(call: Call) -> Reply:
        check(call)
        return 200, document(), {}

    return tool
