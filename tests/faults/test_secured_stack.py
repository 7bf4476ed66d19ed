"""Every process on a Kafka with TLS and SCRAM and an Elasticsearch with TLS and users."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from coalmine.stack.local import LocalStack
from coalmine.stack.preflight import check_elasticsearch
from coalmine.stack.topics import ensure_topics
from contracts.errors import ConfigError
from contracts.settings import elasticsearch_settings, kafka_settings
from tests.faults.conftest import FaultTable
from tests.integration.security.planted import Planted, plant
from tests.integration.security.test_planted_secrets import (
    Room,
    begin_canary,
    configure,
    documents,
    messages_of_kafka,
    shown,
    told,
)
from tests.support.certificates import Authority
from tests.support.secure_stack import SecureElasticsearch, SecureKafka
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(580)]


class Secured:
    """The servers, and what each process must know to use them."""

    def __init__(self, folder: Path, planted: Planted) -> None:
        self.authority = Authority(folder / "authority")
        self.stack = LocalStack(folder)
        self.stack.kafka_server = self.kafka = SecureKafka(folder, self.authority)
        self.search = SecureElasticsearch(folder, self.authority)
        self.stack.elasticsearch_server = self.search
        self._password = planted.word("kafka password")

    def variables(self, user: str = "") -> Mapping[str, str]:
        """Of a process that is this user of Elasticsearch; by default one with all rights."""
        return {
            "COALMINE_KAFKA": f"127.0.0.1:{self.kafka.secure_port}",
            "COALMINE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "COALMINE_KAFKA_USER": "coalmine",
            "COALMINE_KAFKA_PASSWORD": self._password,
            "COALMINE_KAFKA_CA_FILE": str(self.authority.file),
            "COALMINE_ELASTICSEARCH": self.search.url,
            "COALMINE_ELASTICSEARCH_CA_FILE": str(self.authority.file),
            "COALMINE_ELASTICSEARCH_USER": user or self.search.user,
            "COALMINE_ELASTICSEARCH_PASSWORD": self.search.limited.get(user, self.search.password),
        }

    def start(self) -> None:
        """Start both, and let the user in."""
        self.stack.start()
        self.kafka.add_user("coalmine", self._password)


@pytest.fixture
def planted() -> Planted:
    """The secrets of this test: those of the servers are looked for as well."""
    return Planted()


@pytest.fixture
def secured(planted: Planted) -> Iterator[Secured]:
    """Both servers, running."""
    with tempfile.TemporaryDirectory(prefix="coalmine-tls-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        servers = Secured(Path(name), planted)
        try:
            servers.start()
            yield servers
        finally:
            servers.stack.stop()


def test_all_processes_work_with_the_least_rights(
    secured: Secured, planted: Planted, tmp_path: Path, fault_table: FaultTable
) -> None:
    """Each process as a user that may do no more than the docs say: all lines are
    counted and shown, and no password comes out anywhere.
    """
    folder = Path(tmp_path / "out")
    folder.mkdir()
    planted.words.update(secured.search.limited)
    service, agent = unique("planted"), unique("agent")
    logs = tmp_path / "logs"
    logs.mkdir()
    plant(logs, planted, service, time.time_ns() // 1_000_000)
    agent_file, _, policies = configure(tmp_path, logs, service, agent)
    (empty := tmp_path / "none.yaml").write_text("endpoints: []\n", encoding="utf-8")
    kafka = kafka_settings(secured.variables())
    ensure_topics(kafka)
    room = Room(folder, {**os.environ, **secured.variables("indexer")})
    try:
        room.start("worker", "--policies", str(policies), "--state", str(folder / "worker"))
        room.start("indexer", "--state", str(folder / "indexer"))
        room.start("alerter", "--config", str(empty))
        room.start("agent", "--config", str(agent_file))
        search = elasticsearch_settings(secured.variables())
        with Elasticsearch(**search.client_options()) as client:
            wait_until(lambda: len(told(kafka, agent)) >= 12, 90, "log lines")
            begin_canary(client, logs, service, planted)
            seen = {**os.environ, **secured.variables("dashboard")}
            page = shown(elasticsearch_settings(seen), seen, service)
            room.run("doctor", "--json")
            everything = dict(room.told())
            everything |= {**dict(messages_of_kafka(kafka)), **dict(documents(client))}
    finally:
        room.stop()
    everything |= {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    everything["page"] = page
    found = {name: held for name, data in everything.items() if (held := planted.found_in(data))}

    assert found == {}
    fault_table(
        "every process on SASL_SSL, Elasticsearch with TLS and users of least rights",
        1,
        f"3,000 of 3,000 requests counted; {len(planted.words)} secrets in "
        f"{len(everything):,} messages, documents, files and pages: none found",
    )


def test_elasticsearch_refusals_are_named(secured: Secured, tmp_path: Path) -> None:
    """A wrong password, a wrong authority and an expired certificate have their own sentences."""
    good = secured.variables()
    expired = f"https://127.0.0.1:{secured.kafka.expired_port}"
    cases = [
        ({"COALMINE_ELASTICSEARCH_PASSWORD": "wrong horse"}, "_PASSWORD: Elasticsearch at"),
        ({"COALMINE_ELASTICSEARCH_CA_FILE": str(Authority(tmp_path / "o").file)}, "self-signed"),
        ({"COALMINE_ELASTICSEARCH": expired}, "certificate has expired"),
    ]
    check_elasticsearch(elasticsearch_settings(good))
    for changes, words in cases:
        with pytest.raises(ConfigError) as caught:
            check_elasticsearch(elasticsearch_settings({**good, **changes}))
        assert words in str(caught.value)
        assert "horse" not in str(caught.value)
