from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from contracts.flags import Because, FlagState, assign, bucket, flag_state
from contracts.results import Action, Outcome, PhaseProgress, RolloutStatus, Verdict

text = st.text(max_size=30)
shares = st.floats(0, 1)
users = [f"user-{number}" for number in range(50_000)]


def state_of(exposure: float, **changes: object) -> FlagState:
    """A running flag."""
    return FlagState(
        **{  # type: ignore[arg-type]
            "flag": "new-checkout",
            "service": "shop",
            "canary": "on",
            "baseline": "off",
            "exposure": exposure,
            **changes,
        }
    )


def buckets(flag: str) -> npt.NDArray[np.float64]:
    """Of all users, (n,)."""
    return np.array([bucket(flag, user) for user in users])


def verdict_of(**changes: object) -> Verdict:
    """The last verdict of a flag's rollout."""
    return Verdict(
        **{  # type: ignore[arg-type]
            "time": 2_000,
            "processed_time": 2_000,
            "service": "shop",
            "rollout": "shop-on",
            "canary": "on",
            "baseline": "off",
            "phase": "part",
            "phase_started_at": 1_000,
            "opened_at": 1_000,
            "status": RolloutStatus.RUNNING,
            "outcome": Outcome.INCONCLUSIVE,
            "action": Action.CONTINUE,
            "reason": "",
            "evidence_log10": 0.0,
            "promotion_log10": 0.0,
            "rollback_at_log10": 2.0,
            "promote_at_log10": 1.3,
            "flag": "new-checkout",
            **changes,
        }
    )


@given(text, text)
def test_a_bucket_is_the_same_every_time_and_in_the_unit_interval(flag: str, user: str) -> None:
    """Of any text."""
    assert bucket(flag, user) == bucket(flag, user)
    assert 0 <= bucket(flag, user) < 1


@given(text.filter(bool), shares, shares)
def test_who_has_the_variant_keeps_it_when_the_share_grows(
    user: str, one: float, two: float
) -> None:
    """The buckets below a share are among those below a larger one."""
    fewer, more = sorted((one, two))
    if assign(state_of(fewer), user).variant == "on":
        assert assign(state_of(more), user).variant == "on"


@given(st.text())
def test_nobody_at_no_share_and_everybody_at_the_whole(user: str) -> None:
    """Whoever it is, also who is not known."""
    assert assign(state_of(0.0), user).variant == "off"
    assert assign(state_of(1.0), user).variant == "on"


@given(text, shares, st.sampled_from([*RolloutStatus]))
def test_of_a_rollout_that_ended_everybody_gets_one_variant(
    user: str, share: float, status: RolloutStatus
) -> None:
    """The canary after a promotion, the baseline after whatever else."""
    verdict = verdict_of(status=status, exposure=share)
    variant = assign(flag_state(verdict), user, ["internal"]).variant
    if status in {RolloutStatus.PROMOTED, RolloutStatus.WATCHING}:
        assert variant == "on"
    elif status not in {RolloutStatus.RUNNING, RolloutStatus.HOLDING}:
        assert variant == "off"


@pytest.mark.statistical
def test_buckets_are_uniform() -> None:
    """Fifty thousand users in two hundred cells, by a two-sided chi-square."""
    cells = 200
    found = np.bincount((buckets("new-checkout") * cells).astype(int), minlength=cells)
    expected = len(users) / cells
    statistic = float(((found - expected) ** 2 / expected).sum())
    print(f"chi-square of {cells} cells: {statistic:.1f}")
    # two-sided: numbers that are too even are as suspect as those that are not
    assert chi2.ppf(1e-4, cells - 1) < statistic < chi2.isf(1e-4, cells - 1)


@pytest.mark.statistical
@pytest.mark.parametrize("other", ["old-checkout", "new-checkout2", "", "new-checkou"])
def test_flags_divide_users_independently_of_one_another(other: str) -> None:
    """Also flags whose names differ by one letter, by a chi-square of ten times ten cells."""
    one, two = (np.minimum(buckets(f) * 10, 9).astype(int) for f in ("new-checkout", other))
    table = np.zeros((10, 10))
    np.add.at(table, (one, two), 1)
    p = float(chi2_contingency(table)[1])
    print(f"independence of {other!r}: p = {p:.4f}")
    assert p > 1e-4


def test_a_targeted_group_comes_before_the_percentage() -> None:
    """Its members get the canary whatever their bucket."""
    state = state_of(0.1, groups=("internal",))
    outside = next(u for u in users if bucket("new-checkout", u) >= 0.1)
    assert assign(state, outside).because is Because.SPLIT
    chosen = assign(state, outside, ["staff", "internal"])
    assert (chosen.variant, chosen.because) == ("on", Because.TARGETED)


def test_who_was_chosen_is_compared_only_while_nobody_is_drawn() -> None:
    """Members of a group are no random sample."""
    internal = ["internal"]
    assert assign(state_of(0.0, groups=("internal",)), "ann", internal).is_compared
    assert assign(state_of(0.0, groups=("internal",)), "ann").is_compared
    assert not assign(state_of(0.1, groups=("internal",)), "ann", internal).is_compared


def test_who_is_not_known_gets_the_baseline_and_is_not_compared() -> None:
    """Nobody can draw lots for who has no name."""
    anonymous = assign(state_of(0.99), "")
    assert (anonymous.variant, anonymous.because) == ("off", Because.DEFAULT)
    assert not anonymous.is_compared


def test_arms_are_named_no_longer_than_the_rollout_is_open() -> None:
    """And as long as that."""
    open_ones = {s for s in RolloutStatus if assign(state_of(0.5, status=s), "ann").is_compared}
    assert open_ones == {s for s in RolloutStatus if s.is_open}


PHASES = [
    PhaseProgress(name="employees", users="internal"),
    PhaseProgress(name="few", exposure=0.05),
    PhaseProgress(name="friends", users="beta"),
    PhaseProgress(name="half", exposure=0.5),
]


@pytest.mark.parametrize(
    ("phase", "exposure", "groups"),
    [
        ("employees", 0.0, ("internal",)),
        ("few", 0.05, ("internal",)),
        ("friends", 0.05, ("internal", "beta")),
        ("half", 0.5, ("internal", "beta")),
    ],
)
def test_a_phase_keeps_the_users_of_those_before_it(
    phase: str, exposure: float, groups: tuple[str, ...]
) -> None:
    """Nobody who has the variant loses it on the way."""
    configured = next(p.exposure for p in PHASES if p.name == phase)
    state = flag_state(verdict_of(phase=phase, exposure=configured, phases=PHASES))
    assert (state.exposure, state.groups) == (exposure, groups)


def test_a_phase_that_names_neither_share_nor_users_gives_the_variant_to_nobody() -> None:
    """What is not said is not guessed."""
    state = flag_state(verdict_of(exposure=None))
    assert (state.exposure, state.groups) == (0.0, ())
