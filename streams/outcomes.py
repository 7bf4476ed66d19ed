"""What kind of bad outcome each record is: the crash group of a crash, the template of a line.

Templates of one stretch of messages are this stretch's own: mined with nothing remembered, so that
any worker gives the same for the same lines. The judge, to whom all of a service comes, makes one
set of them (``streams.judge.known_groups``).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.policy import Policies
from contracts.records import RecordKind
from streams.crashes.rules import Rules
from streams.crashes.sightings import Grouped, groups_of_batch
from streams.templates.miner import Miner
from streams.windows.aggregate import Outcomes
from streams.windows.grouping import codes_of

WORSE_THAN_ERROR = ("critical", "fatal")
"""Severities that count as ``error``: what a service calls its worst lines is its own affair."""
MAX_TEMPLATES = 300
"""Of one stretch: its partials must fit into messages."""
_LINE_CHARS = 400
_FIRST_LINE = r"(?s)\n.*"


def outcomes_of(kind: RecordKind, batch: pa.RecordBatch, policies: Policies) -> Outcomes | None:
    """The outcomes of a batch of crashes or log lines; ``None`` where no policy wants any.

    Args:
        kind: what the batch holds; its columns are those of ``contracts.arrow.schemas``.
        batch: n records.
        policies: tell which severities are judged template by template.
    """
    if kind is RecordKind.CRASHES:
        return of_groups(grouped(batch, policies))
    if kind is RecordKind.LOGS:
        return _of_lines(batch, policies.severities)
    return None


def grouped(batch: pa.RecordBatch, policies: Policies) -> Grouped:
    """The groups of a batch of crashes, as the user's rules have them."""
    return groups_of_batch(batch, _compiled(policies.crash_rules))


_compiled = lru_cache(maxsize=8)(Rules)


def of_groups(found: Grouped) -> Outcomes:
    """Every crash is an outcome, named by its group."""
    codes, groups = found
    names = [f"crash/{group.fingerprint}" for group in groups]
    return Outcomes(np.arange(len(codes)), codes, names, [group.title for group in groups])


def _of_lines(batch: pa.RecordBatch, wanted: frozenset[str]) -> Outcomes | None:
    severities, words = codes_of(batch.column("severity"), "unknown")
    counted = ["error" if word in WORSE_THAN_ERROR else word for word in words]
    chosen = np.array([word in wanted for word in counted], dtype=np.bool_)[severities]
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return None
    lines = batch.column("message").filter(pa.array(chosen))
    lines = pc.replace_substring_regex(lines, _FIRST_LINE, "")
    lines = pc.fill_null(pc.utf8_slice_codeunits(lines, 0, _LINE_CHARS), "")
    miner = Miner(MAX_TEMPLATES)
    numbers = miner.mine_column(lines)
    templates = miner.templates
    distinct = list(dict.fromkeys(counted))
    of_severity = np.array([distinct.index(word) for word in counted])[severities[rows]]
    keys, codes = np.unique(numbers * len(distinct) + of_severity, return_inverse=True)
    of_keys = [divmod(key, len(distinct)) for key in keys.tolist()]
    return Outcomes(
        rows,
        codes.astype(np.int64),
        [f"log.{distinct[severity]}/{templates[number].id}" for number, severity in of_keys],
        [templates[number].text for number, _ in of_keys],
    )
