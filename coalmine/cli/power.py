"""``coalmine power``: how long a rollout of given traffic needs to see a given harm."""

from __future__ import annotations

import msgspec
import typer

from coalmine.cli.calibrate import AsJson, BadRate, PerSecond, PolicyFile, duration
from coalmine.cli.output import EXIT_CODES, print_json, print_table, say
from contracts.policy import Policy, load_policy

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)


class Power(msgspec.Struct, kw_only=True):
    """What the first critical ratio metric needs until a ratio is seen; ``None``: never seen."""

    share: float
    ratio: float
    bad: float | None
    exposures: float | None
    seconds: float | None


def register(app: typer.Typer) -> None:
    """Add ``power`` to the application."""
    epilog = "Example: coalmine power --policy checkout.yaml --per-second 200 --bad-rate 0.001"
    app.command(epilog=f"{epilog} {EXIT_CODES}")(power)


def power(
    policy: PolicyFile = None,
    per_second: PerSecond = 100.0,
    bad_rate: BadRate = 0.01,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell how long a rollout must last, by canary share and by how much worse the canary is."""
    rules = load_policy(policy) if policy else Policy()
    found = [
        _needed(rules, per_second, bad_rate, share=share, ratio=ratio)
        for share in SHARES
        for ratio in RATIOS
    ]
    promotions = {share: _promotion_s(rules, per_second, bad_rate, share) for share in SHARES}
    if as_json:
        print_json({"rollback": found, "promotion_s": promotions})
        return
    print_table(
        ["share", *(f"× {ratio:g}" for ratio in RATIOS), "promotion"],
        [
            [
                f"{share:.0%}",
                *(duration(need.seconds) for need in found if need.share == share),
                duration(promotions[share]),
            ]
            for share in SHARES
        ],
    )
    say(
        "The mean time that no test with this policy's error rates can beat (Wald); Coalmine's "
        "median is mostly 1.1 to 1.6 times as long: coalmine calibrate measures it. "
        "– : within the tolerance."
    )


def _needed(policy: Policy, per_s: float, bad_rate: float, *, share: float, ratio: float) -> Power:
    from streams.judge.calibration import ratio_metrics  # noqa: PLC0415 - loads scipy
    from streams.judge.forecast import UNKNOWN, Traffic, until_seen  # noqa: PLC0415 - see above

    tolerance = policy.tolerance_of(ratio_metrics(policy)[0])
    found = UNKNOWN
    if ratio > 1 + tolerance:
        found = until_seen(
            Traffic(share=share, bad_rate=bad_rate, per_s=per_s),
            tolerance=tolerance,
            harm=ratio - 1,
            alpha=policy.false_rollback_rate,
        )
    return Power(share=share, ratio=ratio, **found._asdict())


def _promotion_s(policy: Policy, per_s: float, bad_rate: float, share: float) -> float | None:
    from streams.judge.forecast import Traffic, until_promoted  # noqa: PLC0415 - loads scipy

    traffic = Traffic(share=share, bad_rate=bad_rate, per_s=per_s)
    return until_promoted(traffic, harm=policy.harm, beta=policy.false_promotion_rate).seconds
