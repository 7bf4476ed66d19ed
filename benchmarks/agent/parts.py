"""Parsing alone: bytes of lines to records, without files, spool and Kafka."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping

from benchmarks.agent.logs import SHAPES, Log
from contracts import config
from ingest.parsers.base import Labels
from ingest.parsers.factory import parser_for
from ingest.settings import FileSource

_BATCH = 1000
_LABELS = Labels(service="shop", release="1", host="h")


def parse_rates(logs: Mapping[str, Log], rounds: int) -> dict[str, float]:
    """Lines per CPU second, median of ``rounds``, by shape."""
    return {shape: _rate(shape, log, rounds) for shape, log in logs.items()}


def _rate(shape: str, log: Log, rounds: int) -> float:
    settings = {"paths": ["x"], **SHAPES[shape].source}
    # JSON is YAML
    parser = parser_for(config.parse(json.dumps(settings), FileSource, source=shape))
    lines = log.text.splitlines()
    pieces = [lines[at : at + _BATCH] for at in range(0, len(lines), _BATCH)]
    rates = []
    for _ in range(rounds):
        began_s = time.process_time()
        for piece in pieces:
            assert not parser.parse(piece, _LABELS, 0).rejected
        rates.append(len(lines) / (time.process_time() - began_s))
    return statistics.median(rates)
