"""What a run left in Elasticsearch: documents and bytes by kind, and by a million events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from elasticsearch import Elasticsearch

from benchmarks.system.figures import Row
from contracts import indices
from contracts.settings import ElasticsearchSettings


def stored(settings: ElasticsearchSettings, events: int, seconds: float) -> Iterator[Row]:
    """Rows of every kind of document, with how many days it is kept.

    Args:
        settings: where they are.
        events: that were written to logs.
        seconds: that the run lasted; most documents come by time, not by event.
    """
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with Elasticsearch(**settings.client_options(), request_timeout=60) as client:
        names = [index.pattern for index in indices.ALL]
        client.indices.forcemerge(index=names, max_num_segments=1, ignore_unavailable=True)
        stats = client.indices.stats(index=names, metric=["docs", "store"])["indices"]
    for name, one in stats.items():
        kind = next(i.name for i in indices.ALL if name.startswith(i.pattern.rstrip("*")))
        found[kind][0] += one["primaries"]["docs"]["count"]
        found[kind][1] += one["primaries"]["store"]["size_in_bytes"]
    days = {index.name: index.retention_days for index in indices.ALL}
    for kind, (documents, size) in sorted(found.items()):
        if not documents:
            continue
        what = f"{kind}, kept {days[kind]} days"
        yield Row(what=f"{what}: documents a second", value=documents / seconds)
        yield Row(what=f"{what}: bytes a document", value=size / documents, unit="B")
    documents, size = (sum(column) for column in zip(*found.values(), strict=True))
    yield Row(what="documents by a million events", value=1e6 * documents / events)
    yield Row(what="bytes by a million events", value=1e6 * size / events / 1e6, unit="MB")
