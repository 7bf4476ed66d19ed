"""The decision in flat words: what tools take as parameters, and what options may name.

``{service}``, ``{baseline}`` and the like in an option stand for the decision's words. They are
filled in before anything is quoted or encoded, so that a word cannot lead a request elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec

from alerting.integrations.conversation import UnusableError
from alerting.integrations.generic import rfc3339
from contracts.results import Decision

_KNOWN = (
    "action|service|canary|baseline|phase|next_phase|exposure"
    "|rollout|flag|reason|decision|expires_at"
)
_WORD = re.compile(rf"\{{({_KNOWN})\}}")
_SAFE_KEY = re.compile(r"[\w./:@+-]+", re.ASCII)

Wording = Annotated[str, msgspec.Meta(pattern=rf"^(?:[^{{}}]|\{{(?:{_KNOWN})\}})*$")]
"""A text in which ``{service}`` and its kin stand for the decision's words."""


def words(decision: Decision) -> dict[str, str]:
    """Every word; empty where the decision says nothing.

    ``decision`` is its id, ``exposure`` the canary's share from now on, between 0 and 1.
    """
    return {
        "action": decision.action.value,
        "service": decision.service,
        "canary": decision.canary,
        "baseline": decision.baseline,
        "phase": decision.phase,
        "next_phase": decision.next_phase,
        "exposure": "" if decision.exposure is None else f"{decision.exposure:g}",
        "rollout": decision.rollout,
        "flag": decision.flag,
        "reason": decision.reason,
        "decision": decision.id,
        "expires_at": rfc3339(decision.expires_at),
    }


def filled(text: str, decision: Decision) -> str:
    """The text with the decision's words in it; what a word brings with it is not filled again."""
    known = words(decision)
    return _WORD.sub(lambda match: known[match[1]], text)


def named(text: str, decision: Decision) -> str:
    """Like ``filled``, where nothing can be without a name.

    Raises:
        UnusableError: the decision says nothing there: a flag, of a rollout of releases.
    """
    name = filled(text, decision)
    if not name:
        raise UnusableError(f"this decision fills {text} with nothing")
    return name


def parameters(
    decision: Decision,
    chosen: Mapping[str, str] | None,
    spelled: Callable[[str], str] = str.lower,
) -> dict[str, str]:
    """What a job is given: the parameters that the user chose, or every word.

    Args:
        decision: whose words.
        chosen: names and wordings; ``None`` for every word as ``coalmine_<word>``.
        spelled: upper or lower case, as the tool's users write such names.

    Returns:
        Names and values; the decision's id is always among them, see ``id_name``.
    """
    if chosen is None:
        return {spelled(f"coalmine_{name}"): value for name, value in words(decision).items()}
    own = {name: filled(text, decision) for name, text in chosen.items()}
    return {**own, id_name(spelled): decision.id}


def id_name(spelled: Callable[[str], str] = str.lower) -> str:
    """The parameter that holds the decision's id, by which a job is found again."""
    return spelled("coalmine_decision")


def key(decision_id: str, most: int) -> str:
    """The decision's id as a key of at most so many plain characters.

    >>> key("checkout/1.5.0/canary/rollback", 100), key("a^b", 100)[:9]
    ('checkout/1.5.0/canary/rollback', 'coalmine-')
    """
    if len(decision_id) <= most and _SAFE_KEY.fullmatch(decision_id):
        return decision_id
    return "coalmine-" + hashlib.sha256(decision_id.encode()).hexdigest()[:40]
