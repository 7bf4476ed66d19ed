"""Figures draw exactly the data they are given, and nothing that plotly would not accept."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from contracts.histogram import bins_of
from dashboard.figures.base import Figure, Mark, escape
from dashboard.figures.evidence import evidence
from dashboard.figures.latency import quantile, survival, tail
from dashboard.figures.rates import rates
from dashboard.figures.risk import relative_risk
from dashboard.figures.traffic import traffic

NOON = 1_795_435_200_000  # 2026-11-23 12:00:00 UTC
SPAN = (NOON, NOON + 60_000)


def _looks(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": [NOON + 1000 * n for n in range(len(values))],
            "evidence_log10": values,
            "promotion_log10": [-v for v in values],
        }
    )


def _metric(rows: list[tuple[float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["estimate", "lower", "upper"])
    return frame.assign(time=[NOON + 1000 * n for n in range(len(rows))])


def _counts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": [NOON, NOON, NOON + 10_000, NOON + 10_000],
            "arm": ["canary", "baseline", "canary", "baseline"],
            "request": [100, 900, 0, 1000],
            "request.bad": [5, 9, 0, 4],
            "crash": [1, 0, 0, 0],
        }
    )


def _every_figure() -> dict[str, Figure]:
    return {
        "evidence": evidence(_looks([0.0, 1.5]), rollback_at=2.0, promote_at=1.3, span=SPAN),
        "evidence of nothing": evidence(_looks([]), rollback_at=2.0, promote_at=1.3, span=SPAN),
        "risk": relative_risk(_metric([(2.0, 0.5, 8.0)]), tolerance=0.1, span=SPAN),
        "risk of nothing": relative_risk(_metric([]), span=SPAN),
        "rates": rates(_counts(), bad="request.bad", span=SPAN),
        "rates of nothing": rates(_counts().head(0), bad="request.bad", span=SPAN),
        "traffic": traffic(_counts(), bucket_s=10, span=SPAN),
        "traffic of nothing": traffic(_counts().head(0), bucket_s=10, span=SPAN),
        "tail": tail({"canary": {0: 3, 35: 1}, "baseline": {0: 4}}),
        "tail of nothing": tail({}),
    }


@pytest.mark.parametrize("name", list(_every_figure()))
def test_plotly_accepts(name: str) -> None:
    """Every figure, an empty one too, passes plotly's own validation."""
    figure = _every_figure()[name]

    assert len(go.Figure(figure).data) == len(figure["data"])


@pytest.mark.parametrize("kind", ["evidence", "risk", "rates", "traffic", "tail"])
def test_empty_and_full_have_the_same_traces(kind: str) -> None:
    """A patch addresses traces by number: an empty figure has all of them already."""
    figures = _every_figure()

    names = [[t["name"] for t in figures[n]["data"]] for n in (kind, f"{kind} of nothing")]

    assert names[0] == names[1]


def test_evidence_is_drawn_at_its_looks() -> None:
    """Evidence stands at the moment of its look, in the reader's zone, and unchanged."""
    figure = evidence(
        _looks([0.25, 1.5]), rollback_at=2.0, promote_at=1.3, span=SPAN, zone="Asia/Tokyo"
    )

    harm, health = figure["data"]
    assert harm["x"] == ["2026-11-23 21:00:00.000", "2026-11-23 21:00:01.000"]
    assert harm["y"] == [0.25, 1.5]
    assert health["y"] == [-0.25, -1.5]
    assert harm["customdata"][0] == "2026-11-23 12:00:00 UTC"


def test_both_thresholds_are_drawn() -> None:
    """The lines stand at 1/α and 1/β, and say so."""
    layout = evidence(_looks([0.0]), rollback_at=2.0, promote_at=1.3, span=SPAN)["layout"]

    assert [s["y0"] for s in layout["shapes"][:2]] == [2.0, 1.3]
    assert "rolls back at 100 : 1" in layout["annotations"][0]["text"]


def test_evidence_beyond_the_plot_is_told_in_words() -> None:
    """Overwhelming evidence leaves the axis, and a label says how much it is."""
    figure = evidence(_looks([0.0, 31.2]), rollback_at=2.0, promote_at=1.3, span=SPAN)

    assert "10<sup>31</sup>" in figure["layout"]["annotations"][-1]["text"]


def test_relative_risk_is_drawn_on_a_log_scale() -> None:
    """The estimate, both ends of the interval and the tolerated harm stand at their logarithm."""
    figure = relative_risk(_metric([(2.0, 0.5, 8.0)]), tolerance=0.1, span=SPAN)

    lower, upper, line = (trace["y"] for trace in figure["data"])
    assert lower == [pytest.approx(math.log10(0.5), abs=1e-4)]
    assert upper == [pytest.approx(math.log10(8), abs=1e-4)]
    assert line == [pytest.approx(math.log10(2), abs=1e-4)]
    assert figure["layout"]["shapes"][1]["y0"] == pytest.approx(math.log10(1.1))
    assert figure["data"][2]["customdata"][0].startswith("×2 (×0.5 to ×8)")


def test_unknown_risk_draws_nothing() -> None:
    """Looks without an estimate or an interval leave a gap and invent no value."""
    figure = relative_risk(_metric([(np.nan, np.nan, np.nan), (3.0, 1.0, 9.0)]), span=SPAN)

    assert [len(trace["x"]) for trace in figure["data"]] == [1, 1, 1]


def test_rate_is_bad_per_exposure() -> None:
    """A rate is bad outcomes by exposures; a stretch without exposures has none."""
    baseline, canary = rates(_counts(), bad="request.bad", span=SPAN)["data"]

    assert baseline["y"] == [0.01, 0.004]
    assert canary["y"] == [0.05, None]
    assert canary["customdata"][0].startswith("5 of 100")


def test_traffic_is_per_second_and_shared() -> None:
    """Load is requests by seconds; the canary's share is of both arms together."""
    baseline, canary, share = traffic(_counts(), bucket_s=10, span=SPAN)["data"]

    assert baseline["y"] == [90.0, 100.0]
    assert canary["y"] == [10.0, 0.0]
    assert share["y"] == [0.1, 0.0]


def test_tail_counts_what_is_slower() -> None:
    """The tail starts with everything and ends with the share in the last bin."""
    edges, share = survival({0: 90, 35: 9, 70: 1})

    assert share.tolist() == pytest.approx([1.0, 0.1, 0.01])
    assert edges[0] == 1.0
    assert tail({"canary": {0: 90, 35: 9, 70: 1}})["data"][1]["y"] == [1.0, 0.1, 0.01]


def test_quantiles_agree_with_numpy() -> None:
    """Quantiles of the histogram lie within the width of a bin of the exact ones."""
    values = np.random.default_rng(5).lognormal(4, 0.6, 20_000)
    bins, counts = np.unique(bins_of(values), return_counts=True)
    histogram = dict(zip(bins.tolist(), counts.tolist(), strict=True))

    for q in (0.5, 0.9, 0.99):
        assert quantile(histogram, q) == pytest.approx(np.quantile(values, q), rel=0.02)
    assert quantile({}, 0.5) is None


def test_marks_are_escaped() -> None:
    """Text that came with telemetry cannot become a link in a plot."""
    mark = Mark(NOON, '<a href="https://evil.example">x</a>')

    figure = evidence(_looks([0.0]), rollback_at=2.0, promote_at=1.3, span=SPAN, marks=[mark])

    assert "<a" not in str(figure)
    assert escape("a<b>&") == "a&lt;b&gt;&amp;"


def test_series_are_plain_lists() -> None:
    """No array is left in a figure: arrays travel as base64, which a patch cannot replace."""
    for figure in _every_figure().values():
        for trace in figure["data"]:
            for key in ("x", "y"):
                assert type(trace[key]) is list
                assert all(v is None or type(v) in {float, str} for v in trace[key])
