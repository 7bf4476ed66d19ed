"""nginx: a generated ``split_clients`` file, tested, and a reload. What does not pass is undone."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from alerting.auth import NONE
from alerting.integrations import preset
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    ReadFile,
    Refused,
    ReplaceFile,
    RunCommand,
    text_body,
)
from alerting.integrations.preset import Preset
from alerting.integrations.weights import ACTIONS, share_of
from contracts.results import Decision

_Word: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[\w.:/-]+$")]
_Command: TypeAlias = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Options(preset.Options, frozen=True, kw_only=True):
    """What the file says, and the commands around it."""

    variable: Annotated[str, msgspec.Meta(pattern=r"^\$\w+$")]
    """That ``proxy_pass`` uses."""
    canary: _Word
    """The variable's value for the canary, for example an upstream."""
    baseline: _Word
    key: Annotated[str, msgspec.Meta(pattern=r'^[^"\\\n{};]+$')] = "$remote_addr$http_user_agent"
    """What is hashed: who has the same gets the same release."""
    check: _Command = ("nginx", "-t")
    reload: _Command = ("nginx", "-s", "reload")


def deliver(decision: Decision, options: Options) -> Conversation:
    """The file, its test and the reload; the old file comes back if nginx does not like the new."""
    old = yield ReadFile()
    yield ReplaceFile(text_body(split_file(share_of(decision), options)))
    tested = yield RunCommand(options.check)
    if not tested.is_ok:
        if old.is_ok:
            yield ReplaceFile(text_body(old.text))
        return Refused(f"{options.check[0]}: {_last_line(tested)}")
    reloaded = yield RunCommand(options.reload)
    if not reloaded.is_ok:
        return Refused(f"{options.reload[0]}: {_last_line(reloaded)}")
    return Delivered()


def split_file(share: float, options: Options) -> str:
    """The file for a share; nginx knows hundredths of a per cent, and no line for 0."""
    percent = round(share * 100, 2)
    lines = [f"    {percent:.2f}% {options.canary};"] if 0 < percent < 100 else []
    rest = options.canary if percent >= 100 else options.baseline
    return "\n".join(
        [
            "# Written by Coalmine at each decision: changes are lost.",
            f'split_clients "{options.key}" {options.variable} {{',
            *lines,
            f"    * {rest};",
            "}\n",
        ]
    )


def _last_line(answer: Answer) -> str:
    lines = [line for line in answer.text.splitlines() if not line.startswith("exit code")]
    return lines[-1][:200] if lines else "exit code above 0"


PRESET = Preset(deliver=deliver, options=Options, auth=(NONE,), actions=ACTIONS, schemes=("file",))
