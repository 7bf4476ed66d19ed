"""What a crash group is to its service: new, ongoing, regressed or resolved. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum


class CrashState(StrEnum):
    """Where a crash group stands among the releases of its service."""

    REGRESSED = "regressed"
    """It was away, or a person said it was resolved, and it came back."""
    NEW = "new"
    """No release before the newest one had it."""
    ONGOING = "ongoing"
    RESOLVED = "resolved"
    """A person said in which release it is resolved, and from then on it was not seen."""


def release_order(first_seen: Mapping[str, int]) -> list[str]:
    """Releases by the moment of their first traffic, epoch milliseconds, the oldest first.

    >>> release_order({"1.5.0": 300, "1.4.2": 100, "1.4.3-hotfix": 200})
    ['1.4.2', '1.4.3-hotfix', '1.5.0']
    """
    return sorted(first_seen, key=lambda release: (first_seen[release], release))


def state_of(
    order: Sequence[str], seen: Collection[str], resolved_in: str | None, absent: int = 1
) -> CrashState:
    """The state of one group.

    Args:
        order: the service's releases, the oldest first.
        seen: releases that showed the crash, at least one.
        resolved_in: the first release without the crash, as a person said; None if nobody did.
        absent: so many releases without the crash make its return a regression.

    >>> state_of(["1", "2", "3"], {"1", "3"}, None).value
    'regressed'
    >>> state_of(["1", "2", "3"], {"1", "2"}, "3").value
    'resolved'
    """
    place = {release: number for number, release in enumerate(order)}
    places = sorted(place.get(release, -1) for release in seen)
    newest = len(order) - 1
    if resolved_in is not None:
        # a release that is not known yet has still to come
        is_back = places[-1] >= place.get(resolved_in, len(order))
        return CrashState.REGRESSED if is_back else CrashState.RESOLVED
    if places[0] == newest:
        return CrashState.NEW
    came_back = places[-1] == newest and newest - places[-2] > absent
    return CrashState.REGRESSED if came_back else CrashState.ONGOING


def families(found: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Which fingerprints are one group: a rule that merges groups keeps their history.

    Sightings from before the rule stand under the fingerprint that it replaces. They belong to the
    group that alone replaces it; where a rule split a group they stay where they are.

    Args:
        found: fingerprints, and what each of them replaces.

    Returns:
        The fingerprint of each group, and all that belong to it, its own first.

    >>> families({"merged": ["a", "b"], "a": [], "c": [], "half": ["d"], "other half": ["d"]})
    {'merged': ['merged', 'a', 'b'], 'c': ['c'], 'half': ['half'], 'other half': ['other half']}
    """
    owners: dict[str, list[str]] = {}
    for fingerprint, bases in found.items():
        for base in bases:
            if base != fingerprint:
                owners.setdefault(base, []).append(fingerprint)
    taken = {base for base, of in owners.items() if len(of) == 1}
    return {
        fingerprint: [fingerprint, *sorted(b for b in bases if b in taken and b != fingerprint)]
        for fingerprint, bases in found.items()
        if fingerprint not in taken
    }
