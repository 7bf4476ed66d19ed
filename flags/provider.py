"""The OpenFeature provider: evaluates Coalmine's flags in the service's own process."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, Metadata

from contracts.flags import DEFAULT_VARIANT, Assignment, Because, FlagState, arm_of, assign
from flags import values
from flags.arms import ARM, OPENED_AT, ArmHook
from flags.follow import Follower, Source
from flags.rules import Rules
from flags.values import Variants

T = TypeVar("T")
_REASONS = {
    Because.TARGETED: Reason.TARGETING_MATCH,
    Because.SPLIT: Reason.SPLIT,
    Because.EVERYBODY: Reason.STATIC,
    Because.KILLED: Reason.DISABLED,
    Because.DEFAULT: Reason.DEFAULT,
}
_NO_CONTEXT = EvaluationContext()


class CoalmineProvider(AbstractProvider):
    """Answers out of memory; a thread keeps what it knows fresh and waits for rollbacks.

    It never raises into the service and never waits for the network. A flag that Coalmine has said
    nothing about has the value the code gives as its default; while the API is away the last known
    state stays, with the reason ``STALE`` and ``stale_s`` in the flag's metadata.

    Args:
        url: of the API: ``https://coalmine.example.org``.
        service: whose flags, as its telemetry names it.
        token: of the API, with the role ``read``.
        variants: values of variants by flag, where their names do not say them.
        groups_attribute: the attribute of the evaluation context that lists the user's groups.
        first_answer_within_s: how long ``set_provider_and_wait`` waits for the API at most.

    Raises:
        ValueError: the URL is none of HTTP.
    """

    def __init__(
        self,
        url: str,
        service: str,
        *,
        token: str = "",
        variants: Variants | None = None,
        groups_attribute: str = "groups",
        first_answer_within_s: float = 2.0,
    ) -> None:
        super().__init__()
        self._service = service
        self._variants = variants or {}
        self._groups_attribute = groups_attribute
        self._first_answer_within_s = first_answer_within_s
        self._follower = Follower(Source(url, service, token), self._changed)
        self._hooks: list[Hook] = [ArmHook()]
        _restart_after_fork(self)

    # --- life ---

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Begin to follow; returns with the first answer, or after a while without one."""
        del evaluation_context
        self._follower.start()
        self._follower.wait(self._first_answer_within_s)

    def shutdown(self) -> None:
        """Stop following; what was known last keeps being answered."""
        self._follower.stop()

    def get_metadata(self) -> Metadata:
        """See ``AbstractProvider``."""
        return Metadata(name="coalmine")

    def get_provider_hooks(self) -> list[Hook]:
        """The hook that collects arms."""
        return self._hooks

    def restart(self) -> None:
        """In the child after a fork: threads were left behind."""
        if self._follower.is_started:
            self._follower.start()

    def _changed(self, before: Rules, after: Rules) -> None:
        if names := after.changed(before):
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=names))
        if after.stale_since_s is not None and before.stale_since_s is None:
            self.emit_provider_stale(ProviderEventDetails(message="the API is away"))
        elif before.stale_since_s is not None and after.stale_since_s is None:
            self.emit_provider_ready(ProviderEventDetails())

    @property
    def rules(self) -> Rules:
        """What is known at this moment."""
        return self._follower.rules

    # --- evaluating ---

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the interface
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """See ``AbstractProvider``."""
        return self._resolve(flag_key, default_value, evaluation_context, values.BOOLEAN)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """See ``AbstractProvider``."""
        return self._resolve(flag_key, default_value, evaluation_context, values.STRING)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """See ``AbstractProvider``."""
        return self._resolve(flag_key, default_value, evaluation_context, values.INTEGER)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """See ``AbstractProvider``."""
        return self._resolve(flag_key, default_value, evaluation_context, values.FLOAT)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: values.Structure,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[values.Structure]:
        """See ``AbstractProvider``."""
        return self._resolve(flag_key, default_value, evaluation_context, values.STRUCTURE)

    def _resolve(
        self,
        flag: str,
        default: T,
        context: EvaluationContext | None,
        as_type: values.Reading[T],
    ) -> FlagResolutionDetails[T]:
        rules = self._follower.rules
        metadata = _staleness(rules)
        state = rules.flags.get(flag)
        if state is None:
            return FlagResolutionDetails(default, reason=Reason.DEFAULT, flag_metadata=metadata)
        who = context or _NO_CONTEXT
        found = assign(state, who.targeting_key or "", self._groups_of(who))
        table = self._variants.get(flag, {})
        if found.variant == DEFAULT_VARIANT and DEFAULT_VARIANT not in table:
            value = default
        else:
            try:
                value = values.value_of(table, found.variant, as_type)
            except OpenFeatureError as error:
                return _mismatch(default, error)
        metadata |= _facts(state, found)
        reason = _REASONS[found.because] if rules.stale_since_s is None else Reason.STALE
        return FlagResolutionDetails(
            value, reason=reason, variant=found.variant, flag_metadata=metadata
        )

    def _groups_of(self, context: EvaluationContext) -> Sequence[str]:
        groups = context.attributes.get(self._groups_attribute)
        if not groups:
            return ()
        if isinstance(groups, str):
            return (groups,)
        if isinstance(groups, Sequence | set | frozenset):
            return [group for group in groups if isinstance(group, str)]
        return ()


_Metadata = dict[str, bool | int | float | str]


def _staleness(rules: Rules) -> _Metadata:
    """How long nobody could tell whether the rules still hold; nothing while they do."""
    if rules.stale_since_s is None:
        return {} if rules.is_heard else {"is_heard": False}
    stale_s = round(time.monotonic() - rules.stale_since_s, 3)
    return {"is_stale": True, "stale_s": stale_s, "is_heard": rules.is_heard}


def _facts(state: FlagState, found: Assignment) -> _Metadata:
    facts: _Metadata = {
        "rollout": state.rollout,
        "phase": state.phase,
        "status": state.status.value,
        "exposure": state.exposure,
    }
    if found.is_compared:
        facts[ARM] = arm_of(state.flag, found.variant)
        facts[OPENED_AT] = state.opened_at
    return facts


def _mismatch(default: T, error: OpenFeatureError) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(
        default,
        reason=Reason.ERROR,
        error_code=ErrorCode.TYPE_MISMATCH,
        error_message=error.error_message,
    )


def _restart_after_fork(provider: CoalmineProvider) -> None:
    """Let a provider that was set before ``fork`` (a preloading server) go on in the children."""
    if not hasattr(os, "register_at_fork"):
        return
    known = weakref.ref(provider)

    def restart() -> None:
        if (provider := known()) is not None:
            provider.restart()

    os.register_at_fork(after_in_child=restart)
