"""Recorded conversations of the presets: each folder's ``recorded.yaml``, played without a socket.

Write one with the answers of the real tool and without the requests, then let this fill them in::

    python -m tests.support.presets argo-rollouts-abort
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from alerting import integrations
from alerting.conversing import Exchange, converse
from alerting.integrations import PRESETS
from alerting.integrations.conversation import (
    Answer,
    Delivered,
    Ending,
    HttpRequest,
    ReadFile,
    Refused,
    ReplaceFile,
    Request,
    Retry,
    RunCommand,
    SocketLine,
)
from alerting.settings import Endpoint, load_endpoints
from contracts.results import Decision, DecisionAction
from tests.unit.alerting.support import SECRET, House, decision

FOLDERS = Path(integrations.__file__).parent
TOKEN = "tok-3n&t=\"%/x'y"
"""A token with everything that some encoding changes."""
SECRETS = {
    "signature": SECRET,
    "basic": f"user:{TOKEN}",
    "none": "",
}
"""By way of authentication; a token for all others."""


class Step(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request, as records show it, and what the tool answered."""

    request: dict[str, Any] = {}
    answer: dict[str, Any] = {}


class Recording(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One conversation with the tool."""

    title: str
    """One sentence: what happens."""
    decision: dict[str, Any] = {}
    """What differs from a rollback of checkout 1.5.0."""
    url: str = "https://tool.example/base"
    auth: str = ""
    options: dict[str, Any] = {}
    """A secret among them is ``${env:PRESET_TOKEN}``."""
    conversation: list[Step] = []
    ending: str
    """``delivered``, ``refused: <reason>`` or ``retry: <reason>``."""
    verify: list[Step] = []
    verify_ending: str = ""


@dataclass(frozen=True)
class Case:
    """A recording, ready to be played."""

    preset: str
    recording: Recording
    endpoint: Endpoint
    decision: Decision

    def __str__(self) -> str:
        return f"{self.preset}: {self.recording.title}"


def folder_of(preset: str) -> Path:
    """Where a preset lives."""
    return FOLDERS / preset.replace("-", "_")


def recordings_of(preset: str) -> list[Recording]:
    """What its folder has recorded."""
    text = (folder_of(preset) / "recorded.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), list[Recording])


def cases(presets: Sequence[str] = tuple(PRESETS)) -> list[Case]:
    """Every recording of these presets."""
    return [_case(preset, one) for preset in presets for one in recordings_of(preset)]


def _case(preset: str, recording: Recording) -> Case:
    changes = {**recording.decision}
    if "action" in changes:
        changes["action"] = DecisionAction(changes["action"])
        changes.setdefault("id", f"checkout/1.5.0/canary/{changes['action'].value}")
    made = decision(**changes)
    return Case(preset, recording, endpoint_of(preset, recording, made.action), made)


def endpoint_of(preset: str, recording: Recording, action: DecisionAction) -> Endpoint:
    """The endpoint of a recording, read from a file as a user would write it."""
    auth = recording.auth or PRESETS[preset].auth[0].name
    secret = SECRETS.get(auth, TOKEN)
    entry: dict[str, Any] = {
        "name": "deploy-tool",
        "preset": preset,
        "url": recording.url,
        "auth": auth,
        "secret": "${env:PRESET_SECRET}",
        "options": recording.options,
        "actions": [action.value],
        "retry": {"delays": ["1s"], "jitter": 0},
        "verify_within": 0,
    }
    if not secret:
        del entry["secret"]
    saved = dict(os.environ)
    os.environ.update(PRESET_SECRET=secret or "unused", PRESET_TOKEN=TOKEN)
    try:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "endpoints.yaml"
            file.write_text(yaml.safe_dump({"endpoints": [entry]}), encoding="utf-8")
            (endpoint,) = load_endpoints(file)
            return endpoint
    finally:
        os.environ.clear()
        os.environ.update(saved)


def answer_of(step: Step) -> Answer:
    """What the tool answered."""
    fields = dict(step.answer)
    body = fields.pop("body", "")
    return Answer(body=body.encode(), **{"status": 200, **fields})


def shown(request: Request) -> dict[str, Any]:
    """A request as recordings have it."""
    match request:
        case HttpRequest():
            fields: dict[str, Any] = {
                "method": request.method,
                "path": request.path,
                "query": {name: str(value) for name, value in request.query.items()},
                "headers": {name: str(value) for name, value in request.headers.items()},
                "body": request.body.shown,
            }
        case SocketLine():
            fields = {"line": request.line}
        case ReadFile() | ReplaceFile():
            fields = {"file": request.shown, "body": request.body.shown}
        case RunCommand():
            fields = {"command": list(request.argv)}
    return {name: value for name, value in fields.items() if value}


def play(case: Case, *, verify: bool = False) -> tuple[list[Request], Exchange]:
    """Run a recorded conversation against its recorded answers: what was asked, how it ended."""
    preset, asked = PRESETS[case.preset], list[Request]()
    steps = case.recording.verify if verify else case.recording.conversation

    def ask(request: Request) -> Answer:
        assert len(asked) < len(steps), f"no answer is recorded for {request}"
        asked.append(request)
        return answer_of(steps[len(asked) - 1])

    say = preset.verify if verify else preset.deliver
    assert say is not None, "nothing to verify with"
    return asked, converse(say(case.decision, case.endpoint.options), ask)


def sent(case: Case) -> list[Request]:
    """What goes over the wire for a recording, credentials included."""
    house = House(*(answer_of(step) for step in case.recording.conversation), to=case.endpoint)
    house.take(case.decision)
    return house.transport.requests[: len(case.recording.conversation)]


def told(ending: Ending) -> str:
    """An ending as recordings have it."""
    match ending:
        case Delivered():
            return "delivered"
        case Refused(reason):
            return f"refused: {reason}"
        case Retry(reason):
            return f"retry: {reason}"


def _fill_in(preset: str) -> None:
    file = folder_of(preset) / "recorded.yaml"
    raw: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    for one, case in zip(raw, cases([preset]), strict=True):
        for step, request in zip(one["conversation"], sent(case), strict=True):
            _put_first(step, shown(request))
        one["ending"] = told(play(case)[1].ending)
        if "verify" in one:
            asked, exchange = play(case, verify=True)
            for step, request in zip(one["verify"], asked, strict=True):
                _put_first(step, shown(request))
            one["verify_ending"] = told(exchange.ending)
    text = yaml.dump(raw, Dumper=_Readable, sort_keys=False, width=100, allow_unicode=True)
    file.write_text(text, encoding="utf-8")


class _Readable(yaml.SafeDumper):
    """Texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if text.strip().count("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _text)


def _put_first(step: dict[str, Any], request: Mapping[str, Any]) -> None:
    answer = step.get("answer", {})
    step.clear()
    step.update(request=request, answer=answer)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        _fill_in(name)
