"""How large the judge's memory of one service is, as it stands in its table and changelog."""

from __future__ import annotations

import time
from collections.abc import Iterable

from contracts.config import Seconds
from contracts.policy import Metric, Policy, StratifyBy
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from streams.state import encode_state
from tests.support.partials import Traffic

_ROUTES = {f"/r{number}": 1 / 60 for number in range(60)}
_LATE = Metric(name="crash_rate", bad="crash", reports_within=Seconds(3600))
_SETTINGS: tuple[tuple[str, int, dict[str, float], Policy], ...] = (
    ("empty policy", 1, {}, Policy(autodetect=True)),
    ("empty policy", 50, {}, Policy(autodetect=True)),
    ("stratified, 60 routes", 1, _ROUTES, Policy(autodetect=True, stratify_by=StratifyBy.ROUTE)),
    ("crashes reported within 1 h", 1, {}, Policy(autodetect=True, metrics=[_LATE])),
)


def state_sizes(scale: float) -> Iterable[list[str]]:
    """Bytes after a minute and after the end, and what one partial costs by then."""
    seconds = max(120, int(1_200 * scale))
    for title, hosts, routes, policy in _SETTINGS:
        traffic = Traffic(
            requests_per_s={"1.4.2": 3_000, "1.5.0": 600},
            routes={"1.4.2": routes, "1.5.0": routes} if routes else {},
            hosts=hosts,
        )
        state = ServiceState(service="checkout")
        row = [title, str(hosts)]
        for second in range(seconds):
            for partial in traffic.second(second, None if second > 5 else ["1.4.2"]):
                started = time.process_time()
                apply_partial(state, partial, policy, processed_time=partial.sent_at)
                cost_s = time.process_time() - started
            if second in (60, seconds - 1):
                row.append(f"{len(encode_state(state)) / 1000:,.0f} kB")
        yield [*row, f"{1000 * cost_s:.1f} ms"]
