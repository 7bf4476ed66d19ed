from __future__ import annotations

import math

import pytest

from streams.judge import forecast
from streams.judge.forecast import Traffic

USUAL = Traffic(share=0.05, bad_rate=0.001, per_s=100.0)


def test_the_published_example_is_reproduced() -> None:
    """5 % share, 0.1 % crashes, twice as many, α = 1 %: 267 crashes, 255,000 sessions."""
    found = forecast.until_seen(USUAL, tolerance=0.0, harm=1.0, alpha=0.01)
    assert found.bad == pytest.approx(267, abs=1)
    assert found.exposures == pytest.approx(255_000, rel=0.01)
    assert found.seconds == pytest.approx(2_550, rel=0.01)


def test_evidence_already_there_is_deducted() -> None:
    """Half of the evidence there halves what is needed; evidence for health is not added."""
    whole = forecast.until_seen(USUAL, tolerance=0.1, harm=1.0, alpha=0.01)
    half = forecast.until_seen(
        USUAL, tolerance=0.1, harm=1.0, alpha=0.01, log_evidence=math.log(10)
    )
    healthy = forecast.until_seen(USUAL, tolerance=0.1, harm=1.0, alpha=0.01, log_evidence=-40)
    assert half.bad is not None
    assert half.bad * 2 == pytest.approx(whole.bad)
    assert healthy == whole


def test_enough_evidence_needs_nothing_more() -> None:
    """At the threshold the forecast is zero."""
    found = forecast.until_promoted(USUAL, harm=0.5, beta=0.05, log_promotion=5.0)
    assert found == forecast.Forecast(0.0, 0.0, 0.0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_arm_alone_will_never_tell(share: float) -> None:
    """Without exposures in one arm nothing can be forecast, and nothing is divided by zero."""
    traffic = USUAL._replace(share=share)
    found = forecast.until_seen(traffic, tolerance=0.1, harm=0.5, alpha=0.01)
    assert found == forecast.UNKNOWN


def test_without_bad_outcomes_only_their_number_is_known() -> None:
    """A baseline that never failed leaves exposures and time open."""
    found = forecast.until_seen(USUAL._replace(bad_rate=0.0), tolerance=0.1, harm=0.5, alpha=0.01)
    assert found.bad is not None
    assert (found.exposures, found.seconds) == (None, None)


def test_without_traffic_the_time_is_unknown() -> None:
    """Exposures are known, seconds are not."""
    found = forecast.until_seen(USUAL._replace(per_s=0.0), tolerance=0.1, harm=0.5, alpha=0.01)
    assert found.exposures is not None
    assert found.seconds is None


def test_a_canary_as_bad_as_the_harm_is_never_forecast_to_be_promoted() -> None:
    """No information separates a ratio from itself."""
    assert forecast.until_promoted(USUAL, harm=0.5, beta=0.05, ratio=1.5) == forecast.UNKNOWN
