"""Tables of the evidence: error rates, delays against the bound, latency, peers, cost.

``python benchmarks/evidence.py`` prints them as Markdown, from seeds, in about ten minutes on one
core; ``--scale 0.1`` runs a tenth of the rollouts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import typer

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from evidence_groups import many_groups, one_new_crash  # noqa: E402 - the path comes first
from evidence_latency import latency_delays, latency_errors  # noqa: E402 - the path comes first
from evidence_peers import peers, peers_small_share  # noqa: E402 - the path comes first
from evidence_reality import bursts as bursts_of_sessions  # noqa: E402 - the path comes first
from evidence_reality import hosts, late_reports  # noqa: E402 - the path comes first
from evidence_state import state_sizes  # noqa: E402 - the path comes first

from contracts.policy import Policy  # noqa: E402 - the path comes first
from streams.judge import combine, forecast, ratio, sample_ratio, simulation  # noqa: E402 - the path comes first
from streams.judge.simulation import Scenario  # noqa: E402 - the path comes first

ALPHA, BETA, TOLERANCE, HARM = 0.01, 0.05, 0.1, 0.5
NEGLIGIBLE = Policy().negligible_rate
LIMITS = {"harm": HARM, "alpha": ALPHA, "beta": BETA}
RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
SHARES = (0.01, 0.05, 0.1, 0.5)


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print one table, rows as they come."""
    names = list(head)
    print(f"\n### {title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def percent(hits: np.ndarray) -> str:
    """A frequency with its standard error."""
    share = float(np.mean(hits))
    return f"{100 * share:.2f} % ± {100 * (share * (1 - share) / len(hits)) ** 0.5:.2f}"


def bursts(rng: np.random.Generator, windows: int, runs: int) -> np.ndarray:
    """Shared rates with autocorrelation 0.7 and tenfold outages, shape (windows, runs)."""
    level = np.zeros(runs)
    rows = np.empty((windows, runs), np.float32)
    for window in range(windows):
        level = 0.7 * level + rng.normal(0, 0.5, runs)
        rows[window] = 0.002 * np.exp(level) * np.where(rng.random(runs) < 0.02, 10, 1)
    return rows


def false_rollbacks(scale: float) -> Iterable[list[str]]:
    """A/A at the worst accepted ratio, 1,000 looks a run."""
    runs, windows = int(10_000 * scale), 1_000
    ramp = np.repeat([0.01, 0.05, 0.25, 0.5], windows // 4)[:, None]
    drift = 0.002 * 19 ** (np.sin(np.linspace(0, 9, windows)) ** 2)[:, None]
    settings: list[tuple[str, npt.ArrayLike, npt.ArrayLike | None]] = [
        ("share 1 %", 0.01, 0.002),
        ("share 5 %", 0.05, 0.002),
        ("share 10 %", 0.1, 0.002),
        ("share 50 %", 0.5, 0.002),
        ("ramp 1→5→25→50 %, baseline drifting 19×", ramp, drift),
        ("ramp, shared bursts and autocorrelation 0.7", ramp, None),
    ]
    for seed, (name, share, rate) in enumerate(settings):
        rng = np.random.default_rng([1, seed])
        scenario = Scenario(
            runs=runs,
            windows=windows,
            ratio=1 + TOLERANCE,
            share=share,
            exposures=1_000,
            rate=bursts(rng, windows, runs) if rate is None else rate,
        )
        found = simulation.judge(rng, scenario, tolerance=TOLERANCE, **LIMITS)
        yield [name, f"{runs:,}", percent(found.rolled_back_at > 0)]


def delay_scenario(
    true: float, share: float, tolerance: float, runs: int
) -> tuple[float, Scenario, np.random.Generator]:
    """Wald's bound in bad outcomes, rollouts whose windows bring a hundredth of it, their seed."""
    bound = forecast.wald_bound(ratio=true, excluded=1 + tolerance, share=share, alpha=ALPHA)
    exposures = max(bound / 100, 0.2) / 0.001 / (true * share + 1 - share)
    scenario = Scenario(
        runs=runs, windows=400, ratio=true, share=share, exposures=exposures, rate=0.001
    )
    return bound, scenario, np.random.default_rng([4, int(1000 * share), int(100 * true)])


def delays(scale: float) -> Iterable[list[str]]:
    """Median delay in bad outcomes, divided by the Wald bound."""
    runs = int(4_000 * scale)
    for tolerance in (0.0, TOLERANCE):
        for share in SHARES:
            row = [f"{tolerance:.0%}", f"{share:.0%}"]
            for true in RATIOS:
                bound, scenario, rng = delay_scenario(true, share, tolerance, runs)
                found = simulation.judge(rng, scenario, tolerance=tolerance, **LIMITS)
                needed = np.where(found.rolled_back_at > 0, found.bad_at_rollback, np.inf)
                row.append(f"{np.median(needed) / bound:.2f}")
            yield row


def delays_if_known(scale: float) -> Iterable[list[str]]:
    """The same of a test that was told the true ratio: Wald's own, none is sooner on average."""
    runs = int(4_000 * scale)
    for share in SHARES:
        row = [f"{TOLERANCE:.0%}", f"{share:.0%}"]
        for true in RATIOS:
            bound, scenario, rng = delay_scenario(true, share, TOLERANCE, runs)
            log_evidence, bad = np.zeros(runs), np.zeros(runs)
            decided_at, needed = np.zeros(runs, np.int64), np.full(runs, np.inf)
            both = np.array([1 + TOLERANCE, true])
            for window in range(scenario.windows):
                counts = simulation.draw(rng, scenario, window)
                of_two = ratio.log_likelihoods(both, **counts._asdict())
                log_evidence += of_two[:, 1] - of_two[:, 0]
                bad += counts.canary_bad + counts.baseline_bad
                is_decided = log_evidence >= -np.log(ALPHA)
                simulation.note(decided_at, is_decided, window, needed, bad)
            row.append(f"{np.median(needed) / bound:.2f}")
        yield row


def promotions(scale: float) -> Iterable[list[str]]:
    """False promotions at the harm, and how soon an equal release is promoted."""
    runs = int(4_000 * scale)
    for share in SHARES:
        rng = np.random.default_rng([5, int(1000 * share)])
        bound = forecast.wald_bound(ratio=1, excluded=1 + HARM, share=share, alpha=BETA)
        exposures = bound / 50 / 0.001
        bad = Scenario(
            runs=runs, windows=400, ratio=1 + HARM, share=share, exposures=exposures, rate=0.001
        )
        good = Scenario(
            runs=runs, windows=200, ratio=1.0, share=share, exposures=exposures, rate=0.001
        )
        limits = {"tolerance": TOLERANCE, "negligible_rate": NEGLIGIBLE, **LIMITS}
        wrong = simulation.judge(rng, bad, **limits)
        right = simulation.judge(rng, good, **limits)
        needed = np.where(right.promoted_at > 0, right.bad_at_promotion, np.inf)
        yield [f"{share:.0%}", percent(wrong.promoted_at > 0), f"{np.median(needed) / bound:.2f}"]


def no_failures(scale: float) -> Iterable[list[str]]:
    """Promotion by exposures alone: an error rate far below, at, and above the negligible one."""
    runs = int(4_000 * scale)
    for times in (0, 0.1, 0.5, 1, 2):
        rng = np.random.default_rng([10, int(10 * times)])
        scenario = Scenario(
            runs=runs,
            windows=400,
            ratio=1 + HARM,
            share=0.1,
            exposures=0.5 / NEGLIGIBLE,
            rate=times * NEGLIGIBLE / (1 + HARM),
        )
        found = simulation.judge(
            rng, scenario, tolerance=TOLERANCE, negligible_rate=NEGLIGIBLE, **LIMITS
        )
        at = np.where(found.promoted_at > 0, found.promoted_at * 0.1 * 0.5, np.inf)
        yield [f"{times:g} × negligible", percent(found.promoted_at > 0), f"{np.median(at):.1f}"]


def coverage(scale: float) -> Iterable[list[str]]:
    """How often the 95 % interval covered in all of 300 windows."""
    runs = int(1_500 * scale)
    for share in (0.05, 0.5):
        row = [f"{share:.0%}"]
        for true in (0.5, 1.0, 2.0):
            rng = np.random.default_rng([6, int(100 * share), int(10 * true)])
            scenario = Scenario(
                runs=runs, windows=300, ratio=true, share=share, exposures=1_000, rate=0.005
            )
            found = simulation.judge(
                rng, scenario, tolerance=TOLERANCE, **LIMITS, interval_alpha=0.05
            )
            row.append(percent(found.missed_at == 0))
        yield row


def short_windows(scale: float) -> Iterable[list[str]]:
    """What windows with few exposures per arm cost: the delay against wide windows."""
    runs = int(600 * scale)
    bound = forecast.wald_bound(ratio=3.0, excluded=1 + TOLERANCE, share=0.1, alpha=ALPHA)
    total = 6 * bound / 0.05 / (3 * 0.1 + 0.9)
    for per_window in (1, 3, 10, 30, 100):
        rng = np.random.default_rng([7, per_window])
        scenario = Scenario(
            runs=runs,
            windows=int(total / per_window),
            ratio=3.0,
            share=0.1,
            exposures=per_window,
            rate=0.05,
        )
        found = simulation.judge(rng, scenario, tolerance=TOLERANCE, **LIMITS)
        needed = np.where(found.rolled_back_at > 0, found.bad_at_rollback, np.inf)
        yield [f"{0.1 * per_window:g}", f"{np.median(needed) / bound:.2f}"]


def sample_ratios(scale: float) -> Iterable[list[str]]:
    """False alarms of the sample-ratio test and of a χ² test repeated at every look."""
    runs = int(20_000 * scale)
    for share in (0.05, 0.5):
        rng = np.random.default_rng([8, int(100 * share)])
        canary = np.zeros(runs)
        ours, chi = np.zeros(runs, bool), np.zeros(runs, bool)
        for look in range(1, 301):
            canary += rng.binomial(300, share, runs)
            seen = 300 * look
            counts = np.stack([canary, seen - canary], axis=-1)
            ours |= sample_ratio.is_mismatch(counts, [share, 1 - share])
            chi |= (canary - share * seen) ** 2 / (share * (1 - share) * seen) > 10.83
        yield [f"{share:.0%}", percent(ours), percent(chi)]


def cost(_scale: float) -> Iterable[list[str]]:
    """One window of 10,000 rollouts with 5 ratio metrics each, on this machine."""
    rng = np.random.default_rng(9)
    grid = ratio.grid_of(TOLERANCE, HARM)
    counts = {
        "canary_bad": rng.poisson(1, (10_000, 5)),
        "baseline_bad": rng.poisson(9, (10_000, 5)),
        "canary_exposures": rng.poisson(100, (10_000, 5)),
        "baseline_exposures": rng.poisson(900, (10_000, 5)),
    }
    kept = grid._replace(ratios=grid.ratios[: grid.interval.start], interval=slice(0, 0))
    started = time.process_time()
    found = ratio.evidence(ratio.log_likelihoods(kept.ratios, **counts), kept)
    combine.log_averages(found[0], np.ones(5))
    evidence_s = time.process_time() - started
    started = time.process_time()
    looks = ratio.looks(ratio.log_likelihoods(grid.ratios, **counts), grid, alpha=ALPHA)
    combine.log_averages(looks.log_evidence, np.ones(5))
    with_interval_s = time.process_time() - started
    yield [f"{evidence_s:.2f} s", f"{with_interval_s:.2f} s"]


WORSE = [f"r = {true:g}" for true in RATIOS]
TABLES: list[tuple[str, list[str], Callable[[float], Iterable[list[str]]]]] = [
    (
        "False rollbacks, α = 1 %, r = 1 + tolerance, a look after each of 1,000 windows",
        ["setting", "rollouts", "rolled back"],
        false_rollbacks,
    ),
    (
        "Hosts that differ: rolled back, canary on 1 of 10 hosts, α = 1 %, 1,000 looks",
        ["sd of the hosts", "accepted", "rollouts", "r = 1 (false)", "r = 2", "r = 3"],
        hosts,
    ),
    (
        "Sessions that crash in bursts: rolled back, α = 1 %, 1,000 looks, equal arms",
        ["burst", "counted", "rollouts", "r = 1 (false)", "r = 2"],
        bursts_of_sessions,
    ),
    (
        "Reports 24 h late, share 10 %, two weeks, 1,008 looks",
        ["true r", "judged", "rollouts", "rolled back first", "promoted first"],
        late_reports,
    ),
    (
        "Median delay / Wald bound, α = 1 %",
        ["tolerance", "share", *WORSE],
        delays,
    ),
    (
        "The same of a test that knows r",
        ["tolerance", "share", *WORSE],
        delays_if_known,
    ),
    (
        "Promotion, β = 5 %, harm 50 %",
        ["canary share", "promoted at r = 1.5", "median delay / bound at r = 1"],
        promotions,
    ),
    (
        "Promotion where hardly anything fails, harm 50 %, negligible rate 0.01 %, 400 looks",
        ["canary's rate", "promoted", "median canary exposures × negligible rate"],
        no_failures,
    ),
    (
        "Coverage of the 95 % interval in all of 300 windows",
        ["canary share", "r = 0.5", "r = 1", "r = 2"],
        coverage,
    ),
    (
        "Cost of short windows, r = 3, share 10 %",
        ["canary exposures per window", "median delay / bound"],
        short_windows,
    ),
    (
        "Sample ratio, α = 0.1 %, correct router, 300 looks",
        ["canary share", "e-process", "χ² at every look"],
        sample_ratios,
    ),
    (
        "Latency: false alarms at 5 %, 40 looks, equal arms",
        ["setting", "rollouts", "rolled back", "interval missed"],
        latency_errors,
    ),
    (
        "Latency: median delay / information bound, α = 1 %",
        ["slowdown", "share 50 %", "share 10 %"],
        latency_delays,
    ),
    (
        "Many groups, A/A at r = 1 + tolerance, α = 1 %, 100 looks: rolled back by any of them",
        ["groups", "canary share", "rollouts", "by themselves", "in the default policy"],
        many_groups,
    ),
    (
        "One new crash, in 0.05 % of the canary's requests, among 50 known ones, α = 1 %",
        [
            *("canary share", "bound, crashes", "median crashes, alone", "/ bound"),
            *("in the default policy", "/ bound", "named"),
        ],
        one_new_crash,
    ),
    (
        "Peers: 120 minutes, arms equal in size; share found, median minutes",
        ["baseline errors/min", "test", "r = 1 (false)", *WORSE[1:]],
        peers,
    ),
    (
        "Peers at a 5 % share, equal arms, 1,000 looks: false rollbacks at nominal 1 %",
        ["test", "rolled back"],
        peers_small_share,
    ),
    (
        "10,000 rollouts × 5 metrics, one window",
        ["evidence, CPU time", "with intervals, CPU time"],
        cost,
    ),
    (
        "What the judge remembers of a service, 3,600 requests a second, latency included",
        ["policy", "hosts an arm", "after 1 min", "after 20 min", "last partial"],
        state_sizes,
    ),
]
"""Title, head, and what makes the rows, given the share of the rollouts to run."""


def main(*, scale: float = 1.0, only: str = "") -> None:
    """Print every table whose title contains ``only``."""
    started = time.perf_counter()
    for title, head, rows in TABLES:
        if only.lower() in title.lower():
            table(title, head, rows(scale))
    print(f"\n{time.perf_counter() - started:.0f} s, scale {scale:g}, seeds fixed")


if __name__ == "__main__":
    typer.run(main)
