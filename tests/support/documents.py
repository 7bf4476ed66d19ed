"""What Elasticsearch must hold of a service, computed from Kafka, and what it does hold."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import Any

import msgspec
from elasticsearch import ApiError, Elasticsearch

from contracts import topics
from contracts.errors import InvalidRecord
from contracts.settings import KafkaSettings
from streams.index.documents import documents_of
from streams.messages import Message
from tests.support.stack import consume

Documents = dict[tuple[str, str], dict[str, Any]]
"""Index and id to body."""

_TOPICS = (topics.WINDOWS, topics.VERDICTS, topics.DECISIONS)


def expected_documents(kafka: KafkaSettings, service: str) -> Documents:
    """The newest version of every window, verdict, rollout and decision of a service."""
    newest: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    for topic in _TOPICS:
        for found in consume(kafka, topic.name, at_least=0):
            message = Message(topic.name, found.partition, found.offset, 0, {}, found.value)
            try:
                documents = documents_of(message)
            except InvalidRecord:
                continue  # poison of another test
            for document in documents:
                key = (document.index, document.id)
                is_ours = _service_of(document.body) == service
                if is_ours and newest.get(key, (-1, {}))[0] <= document.version:
                    newest[key] = (document.version, document.body)
    return {key: body for key, (_, body) in newest.items()}


def _service_of(body: dict[str, Any]) -> str | None:
    """A mark of a deployment says it in the form that Kibana reads."""
    name: str | None = body.get("service.name") or body.get("service", {}).get("name")
    return name


def hits(client: Elasticsearch, index: str, *, service: str = "") -> list[dict[str, Any]]:
    """What is found now, of one service or of all; nothing while a new index has no shard yet.

    What is asked again and again will find it later.
    """
    query = {"term": {"service.name": service}} if service else {"match_all": {}}
    try:
        found = client.search(index=index, query=query, size=10_000)
    except ApiError as error:
        if error.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return []
    return list(found["hits"]["hits"])


def stored_documents(client: Elasticsearch, service: str, *, refresh: bool = True) -> Documents:
    """Every document of a service, whatever its kind; a red index would keep a refresh waiting."""
    if refresh:
        with contextlib.suppress(ApiError):
            client.indices.refresh(index="coalmine-*", ignore_unavailable=True)
    found = hits(client, "coalmine-*", service=service)
    return {(hit["_index"], hit["_id"]): hit["_source"] for hit in found}


def differences(expected: Documents, stored: Documents) -> dict[str, Any]:
    """What is missing, too much, or different; empty where both are the same."""
    changed = [
        key
        for key in expected.keys() & stored.keys()
        if msgspec.json.encode(expected[key], order="sorted")
        != msgspec.json.encode(stored[key], order="sorted")
    ]
    found = {
        "missing": sorted(expected.keys() - stored.keys()),
        "too much": sorted(stored.keys() - expected.keys()),
        "different": sorted(changed),
    }
    return {name: keys for name, keys in found.items() if keys}
