"""HAProxy's runtime API: weights of the servers of both releases, over its admin socket."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from alerting.auth import NONE
from alerting.integrations import preset
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    Ending,
    Refused,
    Retry,
    SocketLine,
)
from alerting.integrations.preset import Preset
from alerting.integrations.weights import ACTIONS, share_of, weights
from contracts.results import Decision

_MOST = 256
_STOPPED = 0x01 | 0x08
"""Bits of ``srv_admin_state``: set to maint, or to drain, by command."""

_Server: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[\w.:-]+/[\w.:-]+$")]


class Stop(StrEnum):
    """How a server without a share is stopped."""

    WEIGHT = "weight"
    """Weight 0: those who are bound to it by persistence still come."""
    DRAIN = "drain"
    """The same, and shown as such by HAProxy."""
    MAINT = "maint"
    """Nobody comes, persistence or not, and checks stop."""


class Options(preset.Options, frozen=True, kw_only=True):
    """Servers as ``backend/server``; both lists share one backend's traffic by their weights."""

    canary: Annotated[list[_Server], msgspec.Meta(min_length=1)]
    baseline: Annotated[list[_Server], msgspec.Meta(min_length=1)]
    stop: Stop = Stop.WEIGHT


def deliver(decision: Decision, options: Options) -> Conversation:
    """One line for all servers, so that no traffic falls between two commands."""
    wanted = _wanted(decision, options)
    commands = [f"set weight {server} {weight}" for server, weight in wanted.items()]
    if options.stop is not Stop.WEIGHT:
        for server, weight in wanted.items():
            state = "ready" if weight else options.stop.value
            commands.append(f"set server {server} state {state}")
    return _taken((yield SocketLine("; ".join(commands))))


def verify(decision: Decision, options: Options) -> Conversation:
    """Whether the servers have these weights: a reload of HAProxy forgets them."""
    found = _states((yield SocketLine("show servers state")))
    for server, weight in _wanted(decision, options).items():
        if server not in found:
            return Refused(f"{server} is not there")
        state = found[server]
        is_stopped = bool(int(state["srv_admin_state"]) & _STOPPED)
        is_as_wanted = options.stop is Stop.WEIGHT or is_stopped == (weight == 0)
        if state["srv_uweight"] != str(weight) or not is_as_wanted:
            return Retry(f"{server} has weight {state['srv_uweight']}, not {weight}")
    return Delivered()


def _wanted(decision: Decision, options: Options) -> dict[str, int]:
    """Servers that get more come first: at no moment does the backend have none."""
    of_canary, of_baseline = weights(
        share_of(decision),
        canaries=len(options.canary),
        baselines=len(options.baseline),
        most=_MOST,
    )
    canary = dict.fromkeys(options.canary, of_canary)
    baseline = dict.fromkeys(options.baseline, of_baseline)
    return baseline | canary if of_canary < of_baseline else canary | baseline


def _taken(answer: Answer) -> Ending:
    """HAProxy is silent about what it did, and complains about what it did not."""
    complaints = " ".join(answer.text.split())
    return Refused(f"haproxy: {complaints[:200]}") if complaints else Delivered()


def _states(answer: Answer) -> dict[str, dict[str, str]]:
    lines = answer.text.splitlines()
    names = next((line.split()[1:] for line in lines if line.startswith("# ")), [])
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines if line[:1].isdigit()]
    return {f"{row['be_name']}/{row['srv_name']}": row for row in rows if "srv_uweight" in row}


PRESET = Preset(
    deliver=deliver,
    verify=verify,
    options=Options,
    auth=(NONE,),
    actions=ACTIONS,
    schemes=("unix", "tcp"),
)
