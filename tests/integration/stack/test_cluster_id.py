"""A broker's own data directory."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import pytest

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.kafka_server import KafkaServer
from coalmine.stack.runtime import server_user

pytestmark = pytest.mark.integration


def test_a_cluster_id_may_begin_with_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in sixty-four does, and is no option of Kafka's tool."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" * 16))
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        server = KafkaServer(Path(name), cache=Cache(cache_directory()), user=server_user())
        server.start()
        server.stop()
