"""Documents of messages, and the writer against a real HTTP server that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from elasticsearch import AsyncElasticsearch

from contracts import topics
from contracts.errors import InvalidRecord
from contracts.records import LogLine, RecordKind
from contracts.results import CrashMark, CrashMarkKind, DeadLetter, Window
from streams.index.documents import Document, documents_of
from streams.index.writer import Writer, beyond
from streams.messages import Message
from tests.support.telemetry import batch_message

NOW = 1_700_000_000_000
Answer = Callable[[list[dict[str, Any]]], web.Response]


def _message(topic: str, value: bytes, headers: dict[str, bytes] | None = None) -> Message:
    return Message(topic, 1, 42, NOW, headers or {}, value)


def _document(number: int) -> Document:
    return Document("coalmine-windows-2023.11.14", f"id-{number}", number, {"n": number}, "t/0/1")


def _items(statuses: list[int]) -> web.Response:
    items = [{"index": {"status": s, "error": {"reason": "why"}}} for s in statuses]
    return web.json_response({"errors": True, "items": items})


@asynccontextmanager
async def _elasticsearch(answers: list[Answer]) -> AsyncIterator[tuple[Writer, list[list[str]]]]:
    """A writer and the ids of each bulk request that came."""
    requests: list[list[str]] = []

    async def bulk(request: web.Request) -> web.Response:
        lines = [msgspec.json.decode(line) for line in (await request.text()).splitlines() if line]
        requests.append([line["index"]["_id"] for line in lines[::2]])
        response = answers[len(requests) - 1](lines[1::2])
        response.headers["X-Elastic-Product"] = "Elasticsearch"
        return response

    app = web.Application()
    app.router.add_route("*", "/_bulk", bulk)
    server = TestServer(app)
    await server.start_server()
    client = AsyncElasticsearch(str(server.make_url("")), max_retries=0)

    async def no_wait(_seconds: float) -> None:
        await asyncio.sleep(0)

    try:
        yield Writer(client, sleep=no_wait), requests
    finally:
        await client.close()
        await server.close()


async def test_only_what_was_not_taken_is_sent_again() -> None:
    """201 and 409 are done; 429 and 503 come again, by themselves."""
    answers: list[Answer] = [
        lambda _: _items([201, 409, 429, 503]),
        lambda _: _items([200, 429]),
        lambda _: _items([201]),
    ]
    async with _elasticsearch(answers) as (writer, requests):
        refused = await writer.write([_document(n) for n in range(4)])
    assert refused == []
    assert requests == [["id-0", "id-1", "id-2", "id-3"], ["id-2", "id-3"], ["id-3"]]


async def test_a_mapping_error_is_handed_back_and_stops_nothing() -> None:
    """400 never becomes right by waiting."""
    async with _elasticsearch([lambda _: _items([400, 201])]) as (writer, requests):
        refused = await writer.write([_document(0), _document(1)])
    assert [r.document.id for r in refused] == ["id-0"]
    assert "why" in refused[0].reason
    assert len(requests) == 1


async def test_a_broken_cluster_is_waited_for() -> None:
    """Whole requests that fail are sent again, whatever they answer."""
    answers: list[Answer] = [
        lambda _: web.Response(status=503, text="red"),
        lambda _: web.Response(status=429, text="busy"),
        lambda _: _items([201]),
    ]
    async with _elasticsearch(answers) as (writer, requests):
        assert await writer.write([_document(0)]) == []
    assert len(requests) == 3


async def test_a_request_that_is_refused_as_a_whole_blames_one_document_only() -> None:
    """Elasticsearch refuses everything for one id that is too long: the others are stored."""

    def answer(documents: list[dict[str, Any]]) -> web.Response:
        if any(d["n"] == 2 for d in documents):
            return web.json_response({"error": "id is too long"}, status=400)
        return _items([201] * len(documents))

    async with _elasticsearch([answer] * 10) as (writer, requests):
        refused = await writer.write([_document(n) for n in range(5)])
    assert [r.document.id for r in refused] == ["id-2"]
    assert "too long" in refused[0].reason
    assert len(requests) <= 7


async def test_of_two_versions_in_one_batch_only_the_newer_is_sent() -> None:
    """A window that changed three times within a batch is written once."""
    older, newer = _document(1), Document("coalmine-windows-2023.11.14", "id-1", 9, {}, "t/0/9")
    async with _elasticsearch([lambda _: _items([201])]) as (writer, requests):
        await writer.write([newer, older])
    assert requests == [["id-1"]]


def test_a_window_has_one_id_whatever_its_counts() -> None:
    """The same window, grown, replaces itself: same id, later version."""

    def window(requests: int) -> Window:
        return Window(
            time=NOW,
            service="s",
            release="1",
            window_s=10,
            part="p",
            counts={"request": requests},
            histograms={},
        )

    topic = topics.WINDOWS.name
    [first] = documents_of(_message(topic, msgspec.json.encode(window(1))))
    [second] = documents_of(_message(topic, msgspec.json.encode(window(2))))
    assert (first.id, first.index) == (second.id, second.index)
    assert first.body["service.name"] == "s"
    assert first.version == 42


def test_names_of_any_length_give_an_id_that_elasticsearch_takes() -> None:
    """A service with a very long name does not stop the storage of all others."""
    letters = [
        DeadLetter(id="x" * 600 + end, time=NOW, stage="x", reason="r", origin="1") for end in "ab"
    ]
    ids = {
        documents_of(_message(topics.DEADLETTERS.name, msgspec.json.encode(one)))[0].id
        for one in letters
    }
    assert len(ids) == 2
    assert all(len(i.encode()) <= 512 for i in ids)


def test_log_lines_are_identified_by_agent_sequence_and_row() -> None:
    """A batch that is sent again at another offset gives the same ids."""
    lines = [LogLine(time=NOW, service="s", release="1", message=m) for m in ("a", "b")]
    _, value, headers = batch_message(RecordKind.LOGS, "agent-1", 7, [*lines])
    first = documents_of(_message(topics.LOGS.name, value, dict(headers)))
    again = documents_of(_message(topics.LOGS.name, value, dict(headers))._replace(offset=99))
    assert [d.id for d in first] == ["agent-1:7:0", "agent-1:7:1"] == [d.id for d in again]
    assert first[0].body["message"] == "a"


def test_errors_are_kept_all_and_of_the_rest_a_share() -> None:
    """The same lines whenever the batch is read, each with the number of lines it stands for."""
    severities = ["info"] * 4000 + ["error", "FATAL", "critical"]
    lines = [LogLine(time=NOW, service="s", release="1", severity=s) for s in severities]
    _, value, headers = batch_message(RecordKind.LOGS, "agent-1", 7, [*lines])
    message = _message(topics.LOGS.name, value, dict(headers))
    kept = documents_of(message, 0.1)
    assert [d.id for d in kept] == [d.id for d in documents_of(message, 0.1)]
    rest = [d for d in kept if d.body["severity"] == "info"]
    assert 300 < len(rest) < 500
    assert {d.body["weight"] for d in rest} == {10.0}
    assert b'"weight":10.0' in msgspec.json.encode(rest[0].body)
    assert [d.body["weight"] for d in kept[len(rest) :]] == [1.0] * 3
    assert [d.body["row"] for d in kept[len(rest) :]] == [4000, 4001, 4002]
    assert len(documents_of(message, 0.0)) == 3
    _, value, headers = batch_message(RecordKind.LOGS, "agent-1", 8, [*lines])
    other = documents_of(_message(topics.LOGS.name, value, dict(headers)), 0.1)
    assert [d.body["row"] for d in other] != [d.body["row"] for d in kept]


def test_a_mark_is_stored_under_its_own_id() -> None:
    """Sent twice it is one document."""
    mark = CrashMark(
        id="m", time=NOW, service="s", fingerprint="f", kind=CrashMarkKind.RESOLVED, release="2"
    )
    [document] = documents_of(_message(topics.CRASH_MARKS.name, msgspec.json.encode(mark)))
    assert (document.id, document.body["service.version"]) == ("m", "2")


def test_the_oldest_days_go_first() -> None:
    """Until the rest is small enough; the newest stays, and no limit deletes nothing."""
    sizes = {f"coalmine-logs-2026.11.{day}": 10 for day in (25, 23, 24)}
    assert beyond(sizes, 30) == []
    assert beyond(sizes, 29) == ["coalmine-logs-2026.11.23"]
    assert beyond(sizes, 1) == ["coalmine-logs-2026.11.23", "coalmine-logs-2026.11.24"]


def test_a_document_that_is_none_is_refused() -> None:
    """Garbage on a results topic is an invalid record."""
    for topic in (topics.WINDOWS.name, topics.DEADLETTERS.name, "somewhere.else"):
        with pytest.raises(InvalidRecord):
            documents_of(_message(topic, b"{}"))


def test_a_dead_letter_is_stored_under_its_own_id() -> None:
    """The same dead letter twice is one document."""
    letter = DeadLetter(id="x:1", time=NOW, stage="x", reason="r", origin="1")
    [document] = documents_of(_message(topics.DEADLETTERS.name, msgspec.json.encode(letter)))
    assert document.id == "x:1"
