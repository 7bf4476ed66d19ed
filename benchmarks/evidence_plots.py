"""The plots of ``docs/evidence.md``: ``python benchmarks/evidence_plots.py docs/images``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from playwright.sync_api import ViewportSize

sys.path[:0] = [str(Path(__file__).parent.parent)]

from contracts.policy import Metric, Policy  # noqa: E402 - the path comes first
from streams.judge import calibration, forecast, ratio, simulation  # noqa: E402 - the path comes first
from streams.judge.simulation import Scenario  # noqa: E402 - the path comes first
from tests.support.dashboard_browser import browser  # noqa: E402 - the path comes first

ALPHA, TOLERANCE, HARM = 0.01, 0.1, 0.5
LOOKS, BAD, GOOD = 600, "#c2410c", "#0f766e"
SIZE: ViewportSize = {"width": 860, "height": 420}
Floats = npt.NDArray[np.float64]


def main(directory: Path) -> None:
    """Write every plot as PNG."""
    made = {"evidence-paths": paths(), "evidence-looks": looks(), "evidence-delay": delay()}
    with browser() as running:
        page = running.new_page(viewport=SIZE, device_scale_factor=1.5)
        for name, figure in made.items():
            figure.update_layout(template="plotly_white", margin={"t": 50, "b": 50}, **SIZE)
            page.set_content(figure.to_html(include_plotlyjs=True, config={"staticPlot": True}))
            page.wait_for_selector(".main-svg")
            page.screenshot(path=directory / f"{name}.png")


def of_runs(seed: int, runs: int, true: float, share: float = 0.1) -> tuple[Floats, Floats]:
    """Evidence (log10) of the e-process and z of the naive test, each (LOOKS, runs)."""
    rng = np.random.default_rng(seed)
    scenario = Scenario(
        runs=runs, windows=LOOKS, ratio=true, share=share, exposures=1_000, rate=0.005
    )
    grid = ratio.grid_of(TOLERANCE, HARM)
    log_likelihood, sums = np.zeros((runs, len(grid.ratios))), np.zeros((4, runs))
    evidence, z = np.zeros((LOOKS, runs)), np.zeros((LOOKS, runs))
    for window in range(LOOKS):
        counts = simulation.draw(rng, scenario, window)
        log_likelihood += ratio.log_likelihoods(grid.ratios, **counts._asdict())
        evidence[window] = ratio.evidence(log_likelihood, grid)[0] / np.log(10)
        sums += np.stack(counts)
        bad_canary, bad_baseline, canary, baseline = sums
        rate = (bad_canary + bad_baseline) / (canary + baseline)
        spread = np.sqrt(np.maximum(rate * (1 - rate) * (1 / canary + 1 / baseline), 1e-12))
        z[window] = (bad_canary / canary - bad_baseline / baseline) / spread
    return evidence, z


def paths() -> go.Figure:
    """Thirty healthy and thirty bad rollouts, and the line that rolls back."""
    figure = go.Figure()
    minutes = np.arange(1, LOOKS + 1) / 60
    for name, colour, true in (("no worse", GOOD, 1.0), ("half as bad again", BAD, 1.5)):
        evidence, _ = of_runs(31, 30, true)
        for number, path in enumerate(evidence.T):
            crossed = np.flatnonzero(path >= -np.log10(ALPHA))
            end = crossed[0] + 1 if len(crossed) else LOOKS
            line = {"color": colour, "width": 1}
            figure.add_scatter(
                x=minutes[:end],
                y=path[:end],
                mode="lines",
                line=line,
                name=name,
                showlegend=not number,
            )
    figure.add_hline(y=2, line_dash="dash", annotation_text="rolls back: 100 to 1")
    figure.update_layout(title="Evidence of thirty rollouts each, until they are rolled back")
    figure.update_xaxes(title="minutes at 1,000 requests a second, 0.5 % errors, canary share 10 %")
    figure.update_yaxes(title="evidence (log10)", range=[-2.5, 2.6])
    return figure


def looks() -> go.Figure:
    """How many releases that are no worse have been rolled back after so many looks."""
    evidence, z = of_runs(32, 2_000, 1.0)
    figure = go.Figure()
    for name, colour, hits in (
        ("z-test at 1 %, at every look", BAD, z >= 2.326),
        ("Coalmine", GOOD, evidence >= -np.log10(ALPHA)),
    ):
        share = np.maximum.accumulate(hits, axis=0).mean(axis=1)
        figure.add_scatter(x=np.arange(1, LOOKS + 1), y=share, name=name, line={"color": colour})
    figure.add_hline(y=ALPHA, line_dash="dash", annotation_text="promised: 1 %")
    figure.update_layout(title="Rolled back although no worse")
    figure.update_xaxes(title="looks")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="share of 2,000 rollouts")
    return figure


def delay() -> go.Figure:
    """Median time to a rollback beside the mean that no test can beat."""
    policy = Policy(metrics=[Metric(name="error_rate", bad="request.bad")])
    ratios = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
    figure = go.Figure()
    for share, dash in ((0.5, "solid"), (0.05, "dash")):
        rows = [
            calibration.calibrate(
                policy,
                calibration.Assumed(100, share, 0.01, _lasts_s(share, true)),
                [true],
                runs=300,
            )[0]
            for true in ratios
        ]
        for name, colour, times in (
            ("Coalmine (median)", BAD, [row.rollback_s for row in rows]),
            ("no test is faster (mean)", "#64748b", [row.bound_s for row in rows]),
        ):
            line = {"color": colour, "dash": dash}
            figure.add_scatter(x=ratios, y=times, name=f"{name}, share {share:.0%}", line=line)
    figure.update_layout(title="Time until a bad release is rolled back")
    figure.update_xaxes(type="log", title="canary's error rate ÷ baseline's", tickvals=ratios)
    figure.update_yaxes(type="log", title="seconds, at 100 requests a second, 1 % errors")
    return figure


def _lasts_s(share: float, true: float) -> float:
    """Four times the bound: long enough for most, short enough for fine steps."""
    traffic = forecast.Traffic(share=share, bad_rate=0.01, per_s=100)
    found = forecast.until_seen(traffic, tolerance=TOLERANCE, harm=true - 1, alpha=ALPHA)
    return 4 * max(found.seconds or 0.0, 10.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
