"""``coalmine power``: how long a rollout of given traffic needs to see a given harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from coalmine.cli.calibrate import AsJson, BadRate, PerSecond, PolicyFile, duration
from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from contracts.policy import Metric, Policy, load_policy

if TYPE_CHECKING:
    from streams.judge.forecast import Traffic

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)


class Power(msgspec.Struct, kw_only=True):
    """What the first critical ratio metric needs until a ratio is seen; ``None``: never seen.

    No test with this α needs less on average (Wald); ``median_s`` is what Coalmine's needs.
    """

    share: float
    ratio: float
    bad: float | None
    exposures: float | None
    seconds: float | None
    median_s: float | None


def register(app: typer.Typer) -> None:
    """Add ``power`` to the application."""
    epilog = "Example: coalmine power --policy checkout.yaml --per-second 200 --bad-rate 0.001"
    app.command(epilog=f"{epilog} {EXIT_CODES}")(power)


def power(
    policy: PolicyFile = None,
    per_second: PerSecond = 100.0,
    bad_rate: BadRate = 0.01,
    share: Annotated[
        float | None,
        typer.Option(min=0.0001, max=0.9999, help="One canary share, in detail; else several."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell how long a rollout must last, by canary share and by how much worse the canary is."""
    from streams.judge.calibration import ratio_metrics  # noqa: PLC0415 - loads scipy
    from streams.judge.forecast import Traffic  # noqa: PLC0415 - see above

    rules = load_policy(policy) if policy else Policy()
    metric = ratio_metrics(rules)[0]
    traffics = [Traffic(each, bad_rate, per_second) for each in ([share] if share else SHARES)]
    found = [_needed(rules, metric, traffic, ratio) for traffic in traffics for ratio in RATIOS]
    promotions = {each.share: _promotion_s(rules, metric, each) for each in traffics}
    if as_json:
        print_json({"metric": metric.name, "rollback": found, "promotion_s": promotions})
    elif share:
        _print_details(metric, found, promotions[share])
    else:
        _print_shares(metric, found, promotions)


def _needed(policy: Policy, metric: Metric, traffic: Traffic, ratio: float) -> Power:
    from coalmine.policies.budgets import seconds_until_seen  # noqa: PLC0415 - loads scipy
    from streams.judge import calibration, forecast  # noqa: PLC0415 - loads scipy

    tolerance = policy.tolerance_of(metric)
    bound = forecast.UNKNOWN
    if ratio > 1 + tolerance:
        bound = forecast.until_seen(
            calibration.suspect_traffic(metric, traffic, ratio),
            tolerance=tolerance,
            harm=ratio - 1,
            alpha=policy.false_rollback_rate,
        )
    median_s = seconds_until_seen(policy, metric, traffic, ratio - 1)
    return Power(share=traffic.share, ratio=ratio, **bound._asdict(), median_s=median_s)


def _promotion_s(policy: Policy, metric: Metric, traffic: Traffic) -> float | None:
    from streams.judge import calibration, forecast  # noqa: PLC0415 - loads scipy

    return forecast.until_promoted(
        calibration.suspect_traffic(metric, traffic, 1.0),
        harm=policy.harm,
        beta=policy.false_promotion_rate,
    ).seconds


def _print_details(metric: Metric, found: Sequence[Power], promotion_s: float | None) -> None:
    print_table(
        ["times worse", "bad outcomes", "exposures", "no test sooner", "expected"],
        [
            [
                f"{need.ratio:g}",
                "–" if need.bad is None else f"{need.bad:,.0f}",
                "–" if need.exposures is None else f"{need.exposures:,.0f}",
                duration(need.seconds),
                duration(need.median_s),
            ]
            for need in found
        ],
    )
    say(
        f"Until {metric.name} would be seen to be that many times worse: counts and time that no "
        f"test with this policy's error rate can beat on average (Wald), and the median expected "
        f"of Coalmine's. An equal release is promoted after about {duration(promotion_s)}, "
        f"or later where other metrics need longer. – : within the tolerance."
    )


def _print_shares(
    metric: Metric, found: Sequence[Power], promotion_s: Mapping[float, float | None]
) -> None:
    print_table(
        ["share", *(f"× {ratio:g}" for ratio in RATIOS), "promotion"],
        [
            [
                f"{share:.0%}",
                *(duration(need.median_s) for need in found if need.share == share),
                duration(seconds),
            ]
            for share, seconds in promotion_s.items()
        ],
    )
    say(
        f"Median time until {metric.name} would be seen to be that many times worse; --share gives "
        f"one share in detail, with the bound that no test can beat. Promotion: of an equal "
        f"release. Expected from what was measured; coalmine calibrate simulates the whole policy. "
        f"– : within the tolerance."
    )
