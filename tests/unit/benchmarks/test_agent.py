"""The agent's benchmark compares what it says it compares: no server needed."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.agent.arrivals import difference
from benchmarks.agent.logs import SHAPES, Request, generate
from contracts.records import Event
from ingest.parsers.base import Labels
from ingest.parsers.factory import parser_for
from ingest.settings import FileSource

COLUMNS = generate(2_000, seed=6)


@pytest.mark.parametrize("shape", ["json", "combined"])
def test_the_agent_s_parser_makes_what_must_arrive(shape: str) -> None:
    """Each line of an access log becomes the request that the generator knows."""
    log = SHAPES[shape].write(COLUMNS, 6)
    source = msgspec.convert({"paths": ["x"], **SHAPES[shape].source}, FileSource)
    parsed = parser_for(source).parse(log.text.splitlines(), Labels(service="shop"), 0)
    found = []
    for event in parsed.records:
        assert isinstance(event, Event)
        is_json = shape == "json"
        name, user = (event.trace, event.user) if is_json else (event.user, None)
        found.append(
            Request(
                name or "", event.time, event.route, event.status or 0, event.size_bytes,
                event.duration_ms, user,
            )
        )  # fmt: skip

    assert not parsed.rejected
    assert not difference(found, log.records)
    assert log.lines == 2_000


def test_a_loss_and_a_repetition_are_seen() -> None:
    """The comparison counts what is missing and what is there twice."""
    assert difference([1, 2, 2], [1, 2, 3]) == "1 lost or altered, 1 twice or altered"
