"""ServiceNow, PagerDuty, Alertmanager and Slack."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.support.tools import TOKEN, Call, Problem, Reply, Tool


def servicenow() -> Tool:
    """The table of incidents."""
    tool, incidents = Tool(), list[dict[str, Any]]()
    table = "/api/now/table/incident"
    wrong = Problem(401, {"error": {"message": "User Not Authenticated"}, "status": "failure"})

    @tool.route("GET", table)
    def find(call: Call) -> Reply:
        call.needs_login(wrong)
        field, _, value = call.query["sysparm_query"].partition("=")
        return 200, {"result": [one for one in incidents if one[field] == value]}, {}

    @tool.route("POST", table)
    def create(call: Call) -> Reply:
        call.needs_login(wrong)
        call.needs("accept", "application/json", Problem(406))
        wanted = call.json()
        if len(wanted["short_description"]) > 160 or len(wanted["correlation_id"]) > 100:
            raise Problem(400, {"error": {"message": "a value is too long"}})
        incidents.append({"sys_id": str(len(incidents)), **wanted})
        return 201, {"result": incidents[-1]}, {"location": f"{table}/{len(incidents)}"}

    return tool


def pagerduty() -> Tool:
    """Events v2; ``tool.alerts`` holds what is open."""
    tool, alerts = Tool(), set[str]()

    @tool.route("POST", "/v2/enqueue")
    def enqueue(call: Call) -> Reply:
        event = call.json()
        payload = event["payload"]
        errors = [
            name
            for name, is_right in {
                "routing_key": event["routing_key"] == TOKEN,
                "dedup_key": 0 < len(event["dedup_key"]) <= 255,
                "summary": 0 < len(payload["summary"]) <= 1024,
                "source": bool(payload["source"]),
                "severity": payload["severity"] in {"critical", "error", "warning", "info"},
                "timestamp": datetime.fromisoformat(payload["timestamp"]).tzinfo is not None,
            }.items()
            if not is_right
        ]
        if errors:
            said = {"status": "invalid event", "message": "Event object is invalid"}
            raise Problem(400, {**said, "errors": errors})
        {"trigger": alerts.add, "resolve": alerts.discard}[event["event_action"]](
            event["dedup_key"]
        )
        return 202, {"status": "success", "dedup_key": event["dedup_key"], "open": len(alerts)}, {}

    return tool


def alertmanager() -> Tool:
    """``POST /api/v2/alerts``, after its OpenAPI document."""
    tool, alerts = Tool(), dict[str, str]()

    @tool.route("POST", "/api/v2/alerts")
    def take(call: Call) -> Reply:
        for alert in call.json():
            labels, values = alert["labels"], [*alert["labels"].values()]
            starts, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
            if not labels.get("alertname") or not all(isinstance(v, str) and v for v in values):
                raise Problem(400, "invalid labels")
            if starts >= ends:
                raise Problem(400, "start time must be before end time")
            alerts[str(sorted(labels.items()))] = alert["endsAt"]
        return 200, "", {}

    return tool


def slack() -> Tool:
    """An incoming webhook."""
    tool = Tool()

    @tool.route("POST", "/services/T0/B0/X")
    def post(call: Call) -> Reply:
        message = call.json()
        if not message["text"]:
            raise Problem(400, "no_text")
        if not all(_is_block(block) for block in message["blocks"]):
            raise Problem(400, "invalid_blocks")
        return 200, "ok", {}

    return tool


def _is_block(block: dict[str, Any]) -> bool:
    match block["type"]:
        case "header":
            text = block["text"]
            return text["type"] == "plain_text" and 0 < len(text["text"]) <= 150
        case "section":
            return 0 < len(block["text"]["text"]) <= 3000 and 0 < len(block["fields"]) <= 10
        case _:
            return block["type"] == "context" and 0 < len(block["elements"]) <= 10
