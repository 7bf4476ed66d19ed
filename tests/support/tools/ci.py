"""Spinnaker, Jenkins, GitHub and GitLab."""

from __future__ import annotations

from typing import Any

from tests.support.tools import TOKEN, Call, Problem, Reply, Tool

DECLARED = {"COALMINE_DECISION", "RELEASE"}
"""Parameters of the Jenkins job; what it does not declare is dropped."""


def spinnaker() -> Tool:
    """Gate, with one pipeline ``Roll back`` of ``checkout`` that listens to ``coalmine``."""
    tool, executions = Tool(), list[dict[str, Any]]()

    def run(kind: str, parameters: dict[str, str]) -> None:
        trigger = {"type": kind, "parameters": parameters}
        executions.insert(
            0, {"id": str(len(executions)), "status": "SUCCEEDED", "trigger": trigger}
        )

    @tool.route("POST", "/webhooks/webhook/([^/]+)")
    def webhook(call: Call, source: str) -> Reply:
        document = call.json()
        if source == "coalmine" and document.get("secret") == TOKEN:
            run("webhook", document["parameters"])
        return 200, {"eventProcessed": True, "eventId": "c581dc8c"}, {}

    @tool.route("POST", "/pipelines/v2/checkout/([^/]+)")
    def pipeline(call: Call, name: str) -> Reply:
        call.needs_login(Problem(401))
        if name != "Roll back":
            raise Problem(404, {"message": f"Unable to trigger pipeline {name}"})
        document = call.json()
        run(document["type"], document["parameters"])
        return 202, {"eventId": "c581dc8c"}, {}

    @tool.route("GET", "/applications/checkout/executions/search")
    def search(call: Call) -> Reply:
        call.needs_login(Problem(401))
        kinds = call.query["triggerTypes"].split(",")
        return 200, [one for one in executions if one["trigger"]["type"] in kinds], {}

    return tool


def jenkins(*, wants_crumb: bool = False) -> Tool:
    """A job ``deploy/rollback``, and one that the Generic Webhook Trigger's token starts.

    Args:
        wants_crumb: whether the login is a password, not an API token.
    """
    tool, builds = Tool(), list[dict[str, Any]]()
    session = "JSESSIONID.9f=node01"

    @tool.route("POST", "/generic-webhook-trigger/invoke")
    def invoke(call: Call) -> Reply:
        given = call.headers.get("token") or call.headers.get("authorization", "")[7:]
        if given != TOKEN:
            raise Problem(404, {"jobs": None, "message": "Did not find any jobs"})
        is_rollback = call.json()["coalmine"]["action"] == "rollback"
        job = {"triggered": is_rollback, "url": "queue/item/7/"}
        return 200, {"jobs": {"rollback": job}, "message": "Triggered jobs."}, {}

    @tool.route("GET", "/job/deploy/job/rollback/api/json")
    def job(call: Call) -> Reply:
        call.needs_login(Problem(401))
        assert call.query["tree"].startswith("queueItem[")
        return 200, {"_class": "hudson.model.FreeStyleProject", "builds": builds}, {}

    @tool.route("GET", "/crumbIssuer/api/json")
    def crumb(call: Call) -> Reply:
        call.needs_login(Problem(401))
        document = {"crumb": "c0ffee", "crumbRequestField": "Jenkins-Crumb"}
        return 200, document, {"set-cookie": f"{session}; Path=/; HttpOnly"}

    @tool.route("POST", "/job/deploy/job/rollback/buildWithParameters")
    def build(call: Call) -> Reply:
        call.needs_login(Problem(401))
        if wants_crumb:
            missing = Problem(403, "HTTP ERROR 403 No valid crumb was included in the request")
            call.needs("jenkins-crumb", "c0ffee", missing)
            call.needs("cookie", session, missing)
        given = [{"name": n, "value": v} for n, v in call.form().items() if n in DECLARED]
        number = len(builds) + 1
        actions = [{}, {"parameters": given}]
        builds.insert(0, {"number": number, "result": "SUCCESS", "actions": actions})
        return 201, "", {"location": f"http://jenkins/queue/item/{number}/"}

    return tool


_REPOSITORY = "/repos/shop/checkout"


def _check_github(call: Call) -> None:
    if not call.headers.get("user-agent"):
        raise Problem(403, {"message": "Request forbidden by administrative rules."})
    call.needs("authorization", f"Bearer {TOKEN}", Problem(401, {"message": "Bad credentials"}))
    version = Problem(400, {"message": "unsupported version"})
    call.needs("x-github-api-version", "2022-11-28", version)


def github_actions() -> Tool:
    """``shop/checkout`` with a workflow on ``coalmine-rollback`` that names its runs."""
    tool, runs = Tool(), list[dict[str, Any]]()

    @tool.route("POST", f"{_REPOSITORY}/dispatches")
    def dispatch(call: Call) -> Reply:
        _check_github(call)
        event = call.json()
        if len(event["event_type"]) > 100 or len(event["client_payload"]) > 10:
            raise Problem(422, {"message": "Invalid request."})
        if event["event_type"] == "coalmine-rollback":
            title = f"coalmine {event['client_payload']['coalmine']['decision']}"
            runs.insert(0, {"display_title": title, "conclusion": "success"})
        return 204, "", {}

    @tool.route("GET", f"{_REPOSITORY}/actions/runs")
    def workflow_runs(call: Call) -> Reply:
        _check_github(call)
        assert call.query["event"] == "repository_dispatch"
        return 200, {"total_count": len(runs), "workflow_runs": runs}, {}

    return tool


def github_deployments() -> Tool:
    """``shop/checkout`` with a deployment of the canary."""
    tool = Tool()
    deployments = [{"id": 41, "ref": "1.5.0", "task": "deploy", "environment": "production"}]
    statuses: dict[str, list[dict[str, Any]]] = {}

    @tool.route("GET", f"{_REPOSITORY}/deployments")
    def find(call: Call) -> Reply:
        _check_github(call)
        wanted = {name: v for name, v in call.query.items() if name in {"ref", "task"}}
        found = [d for d in deployments if all(d[name] == v for name, v in wanted.items())]
        return 200, found, {}

    @tool.route("POST", f"{_REPOSITORY}/deployments")
    def deploy(call: Call) -> Reply:
        _check_github(call)
        wanted = call.json()
        if wanted.get("auto_merge", True):
            return 202, {"message": "Auto-merged main into the ref on deployment."}, {}
        if wanted.get("required_contexts") != []:
            raise Problem(409, {"message": "Conflict: Commit status checks failed"})
        made = {"id": 41 + len(deployments), **wanted}
        deployments.insert(0, made)
        statuses[str(made["id"])] = [{"state": "success"}]
        return 201, made, {}

    @tool.route("POST", rf"{_REPOSITORY}/deployments/(\d+)/statuses")
    def mark(call: Call, number: str) -> Reply:
        _check_github(call)
        status = call.json()
        known = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
        if status["state"] not in known or len(status["description"]) > 140:
            raise Problem(422, {"message": "Validation Failed"})
        statuses.setdefault(number, []).insert(0, status)
        return 201, status, {}

    @tool.route("GET", rf"{_REPOSITORY}/deployments/(\d+)/statuses")
    def status(call: Call, number: str) -> Reply:
        _check_github(call)
        return 200, statuses.get(number, []), {}

    return tool


def gitlab() -> Tool:
    """``shop/checkout`` with a trigger, and an environment that runs the canary."""
    tool, pipelines = Tool(), list[dict[str, Any]]()
    project = "/api/v4/projects/shop%2Fcheckout"

    def deployed(number: int, ref: str) -> dict[str, Any]:
        return {"id": number, "ref": ref, "status": "success", "deployable": {"id": 10 * number}}

    deployments = [deployed(8, "1.5.0"), deployed(7, "1.4.2")]

    def check(call: Call) -> None:
        call.needs("private-token", TOKEN, Problem(401, {"message": "401 Unauthorized"}))

    @tool.route("POST", f"{project}/trigger/pipeline")
    def trigger(call: Call) -> Reply:
        fields = call.form()
        if fields["token"] != TOKEN:
            raise Problem(404, {"message": "404 Not Found"})
        if fields["ref"] != "main":
            raise Problem(400, {"message": {"base": ["Reference not found"]}})
        name = f"coalmine {fields['variables[COALMINE_DECISION]']}"
        made = {"id": len(pipelines) + 1, "name": name, "status": "success", "source": "trigger"}
        pipelines.insert(0, made)
        return 201, made, {}

    @tool.route("GET", f"{project}/pipelines")
    def find(call: Call) -> Reply:
        check(call)
        named = [one for one in pipelines if one["name"] == call.query["name"]]
        return 200, [one for one in named if one["source"] == call.query["source"]], {}

    @tool.route("GET", f"{project}/deployments")
    def history(call: Call) -> Reply:
        check(call)
        assert (call.query["order_by"], call.query["sort"]) == ("id", "desc")
        return 200, deployments if call.query["environment"] == "production" else [], {}

    @tool.route("POST", rf"{project}/jobs/(\d+)/retry")
    def retry(call: Call, job: str) -> Reply:
        check(call)
        (old,) = [one for one in deployments if str(one["deployable"]["id"]) == job]
        deployments.insert(0, deployed(len(deployments) + 7, old["ref"]))
        return 201, {"id": deployments[0]["deployable"]["id"], "status": "pending"}, {}

    return tool
