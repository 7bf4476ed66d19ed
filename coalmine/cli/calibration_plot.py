"""The plot of a calibration: rows in, figure out."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from contracts.policy import Policy
from streams.judge.calibration import Calibrated

ROLLED_BACK, PROMOTED = "#c2410c", "#0f766e"


def figure(policy: Policy, rows: Sequence[Calibrated]) -> go.Figure:
    """Shares rolled back and promoted with their errors, and times beside their bounds."""
    made = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=["What happens to a rollout", "How long it takes (median)"],
    )
    ratios = [row.ratio for row in rows]
    for name, colour, shares in (
        ("rolled back", ROLLED_BACK, [row.rolled_back for row in rows]),
        ("promoted", PROMOTED, [row.promoted for row in rows]),
    ):
        errors = [row.error_of(share) for row, share in zip(rows, shares, strict=True)]
        bars = {"type": "data", "array": errors}
        line = go.Scatter(x=ratios, y=shares, error_y=bars, name=name, line={"color": colour})
        made.add_trace(line, row=1, col=1)
    for name, colour, dash, times in (
        ("rollback", ROLLED_BACK, "solid", [row.rollback_s for row in rows]),
        ("no test is faster", ROLLED_BACK, "dot", [row.bound_s for row in rows]),
        ("promotion", PROMOTED, "solid", [row.promotion_s for row in rows]),
        ("no test promotes faster", PROMOTED, "dot", [row.promotion_bound_s for row in rows]),
    ):
        style = {"color": colour, "dash": dash}
        made.add_trace(go.Scatter(x=ratios, y=times, name=name, line=style), row=1, col=2)
    for limit, name in ((policy.false_rollback_rate, "α"), (policy.false_promotion_rate, "β")):
        made.add_hline(y=limit, line_dash="dot", annotation_text=name, row=1, col=1)
    made.update_xaxes(type="log", title="canary's rate ÷ baseline's rate")
    made.update_yaxes(tickformat=".0%", rangemode="tozero", row=1, col=1)
    made.update_yaxes(type="log", title="seconds", row=1, col=2)
    made.update_layout(template="plotly_white", title="Rollouts under this policy, simulated")
    return made
