"""The local stack: real Kafka and real Elasticsearch, with no container engine and no Java.

>>> # with LocalStack(Path("/tmp/coalmine")) as stack:
>>> #     stack.kafka, stack.elasticsearch
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.elasticsearch_server import ElasticsearchServer
from coalmine.stack.kafka_server import KafkaServer
from coalmine.stack.report import Report, silent
from coalmine.stack.runtime import server_user

_POLL_S = 0.2


class LocalStack:
    """Both servers on free ports of the loopback interface; data below ``state_dir``.

    ``start`` on the same ``state_dir`` finds the data again. Nothing outlives this process, not
    even when it is killed (see ``coalmine.stack.guard``). Each server can be stopped, killed and
    started by itself: ``stack.kafka_server.kill()``, ``stack.kafka_server.start()``.

    Args:
        state_dir: where the servers keep data, configuration and logs.
        kafka_port: Kafka's port; a free one if not given.
        elasticsearch_port: Elasticsearch's port; a free one if not given.
        cache: of downloads; ``COALMINE_CACHE`` or the user's cache directory if not given.
        report: told of every step while the servers come up.
    """

    def __init__(
        self,
        state_dir: Path,
        kafka_port: int | None = None,
        elasticsearch_port: int | None = None,
        *,
        cache: Cache | None = None,
        report: Report = silent,
    ) -> None:
        cache = cache or Cache(cache_directory())
        self._cache = cache
        user = server_user()
        self.state_dir = state_dir
        self.kafka_server = KafkaServer(
            state_dir, cache=cache, user=user, port=kafka_port, report=report
        )
        self.elasticsearch_server = ElasticsearchServer(
            state_dir, cache=cache, user=user, port=elasticsearch_port, report=report
        )

    @property
    def kafka(self) -> str:
        """``127.0.0.1:port`` of the broker."""
        return self.kafka_server.address

    @property
    def elasticsearch(self) -> str:
        """``http://127.0.0.1:port`` of the node."""
        return self.elasticsearch_server.url

    def environment(self) -> dict[str, str]:
        """The variables that lead Coalmine's own processes to this stack."""
        return {"COALMINE_KAFKA": self.kafka, "COALMINE_ELASTICSEARCH": self.elasticsearch}

    def start(self, *, kafka: bool = True, elasticsearch: bool = True) -> None:
        """Start both servers (or the one that is wanted) side by side, return when they answer.

        Raises:
            Fatal: one of them did not come up; the other is stopped again.
        """
        wanted = [self.kafka_server.start] * kafka + [
            self.elasticsearch_server.start
        ] * elasticsearch
        with ThreadPoolExecutor(2) as pool:
            starts = [pool.submit(start) for start in wanted]
            try:
                for start in as_completed(starts):
                    start.result()
            except BaseException:
                self._give_up(starts)
                raise

    def stop(self) -> None:
        """Stop both servers side by side; harmless where they do not run."""
        with ThreadPoolExecutor(2) as pool:
            for stop in [
                pool.submit(self.kafka_server.stop),
                pool.submit(self.elasticsearch_server.stop),
            ]:
                stop.result()

    def _give_up(self, starts: Sequence[Future[None]]) -> None:
        # A start may be anywhere: downloading, about to spawn, or waiting for an answer.
        while wait(starts, timeout=_POLL_S).not_done:
            self._cache.cancel()
            self.kafka_server.kill()
            self.elasticsearch_server.kill()
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
