"""HAProxy's Data Plane API, version 3: takes the canary's servers out of the traffic, and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from alerting.auth import BASIC
from alerting.integrations import preset
from alerting.integrations.conversation import (
    Conversation,
    Delivered,
    HttpRequest,
    Refused,
    Retry,
    json_body,
    path,
    taken,
)
from alerting.integrations.preset import Preset
from contracts.results import Decision, DecisionAction


class Stop(StrEnum):
    """The state of a server that gets no traffic."""

    DRAIN = "drain"
    MAINT = "maint"


class Options(preset.Options, frozen=True, kw_only=True):
    """The backend, and the servers in it that run the canary."""

    backend: str
    canary: Annotated[list[str], msgspec.Meta(min_length=1)]
    stop: Stop = Stop.DRAIN


def deliver(_: Decision, options: Options) -> Conversation:
    """One request for each server of the canary; a state that is set again changes nothing."""
    for server in options.canary:
        answer = yield HttpRequest(
            method="PUT",
            path=_path(options, server),
            headers={"content-type": "application/json"},
            body=json_body({"admin_state": options.stop}),
        )
        if not answer.is_ok:
            return Refused(f"http {answer.status} for {options.backend}/{server}")
    return Delivered()


def verify(_: Decision, options: Options) -> Conversation:
    """Whether each server says that it is stopped."""
    for server in options.canary:
        answer = yield HttpRequest(path=_path(options, server))
        if not answer.is_ok:
            return taken(answer)
        if (state := answer.json("admin_state")) != options.stop:
            return Retry(f"{options.backend}/{server} is {state}")
    return Delivered()


def _path(options: Options, server: str) -> str:
    return "/v3/services/haproxy/runtime" + path("backends", options.backend, "servers", server)


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(BASIC,),
    actions=frozenset({DecisionAction.ROLLBACK}),
)
