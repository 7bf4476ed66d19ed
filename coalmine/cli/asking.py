"""How a command asks Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contracts.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_TIMEOUT_S = 15


@contextmanager
def elasticsearch_client(settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """A client that gives up after a quarter of a minute, closed at the end."""
    # imported here: coalmine --help must not load the client
    from elasticsearch import Elasticsearch  # noqa: PLC0415 - see above

    options = settings.client_options()
    with Elasticsearch(**options, request_timeout=_TIMEOUT_S, max_retries=1) as client:
        yield client
