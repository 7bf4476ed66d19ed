"""What the rollout page says of crash groups and log templates that are judged by themselves."""

from __future__ import annotations

from contracts.results import (
    ArmCounts,
    Contributor,
    MetricKind,
    MetricVerdict,
    Outcome,
    RelativeRisk,
)
from dashboard.components import group_metrics
from dashboard.components.explanation import sentences


def _metric(*groups: Contributor) -> MetricVerdict:
    return MetricVerdict(
        name="crash_groups",
        kind=MetricKind.GROUPS,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=RelativeRisk(),
        evidence_log10=0.0,
        promotion_log10=0.0,
        exposures=ArmCounts(),
        bad=ArmCounts(),
        contributors=list(groups),
        known_groups=7,
    )


_CRASH = Contributor(
    name="<b>KeyError</b>", canary=0.01, baseline=0.0, group="crash/ab", is_new=True,
    evidence_log10=3.2,
)  # fmt: skip
_LINE = Contributor(name="disk <*> full", canary=0.02, baseline=0.01, group="log.error/cd")


def test_each_group_has_its_rates_its_evidence_and_a_link_where_there_is_a_page() -> None:
    """A crash leads to its page; a title stays text, whatever is in it."""
    table = str(group_metrics.guilty_table(_metric(_CRASH, _LINE), "a/b").to_plotly_json())
    assert "/s/a%2Fb/crashes/ab" in table
    assert "'<b>KeyError</b>'" in table
    assert "10^3.2" in table
    assert table.count("'New'") == 1
    assert "crashes/cd" not in table


def test_where_no_group_speaks_for_harm_the_page_says_so() -> None:
    """An empty table would look like something that is missing."""
    assert "None speaks against" in str(group_metrics.guilty_table(_metric(), "shop"))
    assert group_metrics.sentence(_metric()).startswith("each judged by itself · 7 known")


def test_the_groups_are_told_once() -> None:
    """The table names them, so the list under the head does not."""
    assert sentences(_metric(_CRASH)) == []
