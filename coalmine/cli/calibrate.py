"""``coalmine calibrate`` and its traffic options: what a policy does, by simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from coalmine.cli.progress import counting
from contracts.errors import ConfigError
from contracts.policy import Policy, load_policy

if TYPE_CHECKING:
    from streams.judge.calibration import Calibrated

PolicyFile = Annotated[Path | None, typer.Option(help="Policy file; by default an empty one.")]
PerSecond = Annotated[
    float, typer.Option(min=0.001, help="Exposures a second, both arms together.")
]
Share = Annotated[float, typer.Option(min=0.0001, max=0.9999, help="The canary's share of them.")]
BadRate = Annotated[float, typer.Option(min=1e-9, max=1, help="The baseline's bad outcomes each.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add ``calibrate`` to the application."""
    epilog = (
        "Example: coalmine calibrate --policy checkout.yaml --per-second 200 --share 0.05 "
        "--bad-rate 0.001 --html calibration.html"
    )
    app.command(epilog=f"{epilog} {EXIT_CODES}")(calibrate)


def calibrate(
    policy: PolicyFile = None,
    per_second: PerSecond = 100.0,
    share: Share = 0.1,
    bad_rate: BadRate = 0.01,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long a rollout lasts.")] = 60.0,
    runs: Annotated[int, typer.Option(min=10, max=1_000_000, help="Rollouts per ratio.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 1,
    html: Annotated[Path | None, typer.Option(help="Write a plot to this file.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Simulate rollouts under a policy: how often it errs, and how long it takes."""
    from streams.judge import calibration  # noqa: PLC0415 - loads scipy

    rules = load_policy(policy) if policy else Policy()
    assumed = calibration.Assumed(per_second, share, bad_rate, minutes * 60)
    accepted = 1 + rules.tolerance_of(calibration.ratio_metrics(rules)[0])
    ratios = sorted({1.0, accepted, 1 + rules.harm, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0})
    with counting("rollouts") as progress:
        rows = calibration.calibrate(
            rules, assumed, ratios, runs=runs, seed=seed, progress=progress
        )
    if html:
        _write_plot(html, rules, rows)
    simulated = calibration.ratio_metrics(rules)
    others = [m.name for m in rules.metrics if m not in simulated]
    if as_json:
        names = [m.name for m in simulated]
        print_json({"simulated": names, "not_simulated": others, "rows": rows})
        return
    print_table(
        ["true ratio", "rolled back", "promoted", "rollback", "(bound)", "promotion", "(bound)"],
        [_row(row) for row in rows],
    )
    for line in _notes(rules, simulated[0].name, accepted, others):
        say(line)


def _row(row: Calibrated) -> list[str]:
    return [
        f"{row.ratio:.3g}",
        f"{row.rolled_back:.2%} ± {row.error_of(row.rolled_back):.2%}",
        f"{row.promoted:.2%} ± {row.error_of(row.promoted):.2%}",
        *(
            duration(seconds)
            for seconds in (row.rollback_s, row.bound_s, row.promotion_s, row.promotion_bound_s)
        ),
    ]


def _notes(policy: Policy, worse: str, accepted: float, others: list[str]) -> list[str]:
    notes = [
        (
            f"{worse} is worse by the true ratio. Up to {accepted:.3g} a rollback is false: "
            f"at most {policy.false_rollback_rate:.2%} are promised. From {1 + policy.harm:.3g} "
            f"a promotion is: at most {policy.false_promotion_rate:.2%}."
        ),
        "Times are medians, and the mean that no test can beat (Wald).",
    ]
    if others:
        notes.append(
            f"Not simulated, so without evidence of harm and no hindrance to a promotion: "
            f"{', '.join(others)}."
        )
    return notes


def duration(seconds: float | None) -> str:
    """A time for people: ``–`` where it is not reached."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _write_plot(path: Path, policy: Policy, rows: list[Calibrated]) -> None:
    from coalmine.cli.calibration_plot import figure  # noqa: PLC0415 - loads plotly

    try:
        figure(policy, rows).write_html(path, include_plotlyjs=True)
    except OSError as error:
        raise ConfigError("--html", f"cannot be written: {error}", value=str(path)) from error
    say(f"The plot is in {path}.")
