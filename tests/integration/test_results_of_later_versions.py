"""Results of a later version: who does not understand one leaves it, and says so once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
import redis

import tasks
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tasks.results import aconsume, consume, listen, replay, streams
from tasks.results.feed import RESULTS
from tests.redis_server import RedisServer

NOW = tasks.Result(
    "a", "submitted", "task-a", "TEXT2IMAGE", "1.0.0", 1, "r", None, None, False, "2026-11-22T22:31:33.123Z"
)
LATER_SCHEMA = json.dumps({"schema": 2, "jobId": "later", "new": True})
LATER_STATUS = json.dumps({**json.loads(NOW.to_json()), "jobId": "later", "status": "of-a-later-version"})
LATER = pytest.mark.parametrize("later", [LATER_SCHEMA, LATER_STATUS], ids=["schema", "status"])


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    tasks.configure(redis_url=redis_server.url)
    yield redis_server.client()
    tasks.configure()


def _add(client: Any, *texts: str) -> None:
    for text in texts:
        client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: text})


def _of(job_id: str) -> str:
    return dataclasses.replace(NOW, job_id=job_id).to_json()


def _ids(results: Iterator[tasks.Result]) -> list[str]:
    return [result.job_id for result in results]


def _pending(client: redis.Redis) -> int:
    return int(cast(Any, client.xpending(DEFAULT_RESULTS, "g"))["pending"])


class LaterResult(tasks.Result):
    """What a later version reads."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Any:
        return dataclasses.replace(NOW, job_id=json.loads(text)["jobId"])


@LATER
def test_a_later_result_stays_unacknowledged(
    client: Any, later: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Those around it are handled; it is told once, however many there are and however often one looks."""
    _add(client, _of("a"), later, later, _of("b"), later, _of("c"))
    with caplog.at_level(logging.WARNING, "tasks.results"):
        results = consume("g", "me", block_ms=5, claim_idle_ms=1, idle_timeout_s=0.2)
        assert _ids(results) == ["a", "b", "c"]
    assert _pending(client) == 3
    (told,) = [record.getMessage() for record in caplog.records]
    assert "upgrade this consumer" in told
    assert _ids(consume("g", "me", idle_timeout_s=0)) == []
    assert _pending(client) == 3


@LATER
def test_a_later_consumer_gets_what_was_left(
    client: Any, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, without waiting for `claim_idle_ms`, and though the old one still lives and looks."""
    _add(client, later, _of("a"), later)
    old = consume("g", "old", block_ms=5, claim_idle_ms=1, idle_timeout_s=0)
    assert _ids(old) == ["a"]
    newer = dataclasses.replace(RESULTS, parse=LaterResult.from_json)
    monkeypatch.setattr(streams._STREAMS, "_feed", newer)
    assert _ids(consume("g", "new", claim_idle_ms=3_600_000, idle_timeout_s=0)) == ["later", "later"]
    assert _pending(client) == 0


def test_more_than_a_page_of_later_results_hides_nothing(client: Any) -> None:
    """What this version understands is found behind 250 that it does not, new, its own and taken over."""
    _add(client, *[LATER_SCHEMA] * 250, _of("a"))
    assert _ids(consume("g", "me", idle_timeout_s=0)) == ["a"]
    _add(client, *[LATER_SCHEMA] * 250, _of("b"))
    assert _ids(consume("g", "me", idle_timeout_s=0)) == ["b"]
    _add(client, _of("c"))
    ((_, ((entry_id, _),)),) = client.xreadgroup("g", "dead", {DEFAULT_RESULTS: ">"})
    client.xclaim(DEFAULT_RESULTS, "g", "dead", 0, [entry_id], idle=61_000, justid=True)
    assert _ids(consume("g", "heir", claim_idle_ms=60_000, idle_timeout_s=0)) == ["c"]
    assert _pending(client) == 500


def test_what_another_has_taken_is_not_taken_back(client: Any) -> None:
    """Before the program handles a result, what was left on the way there is in others' reach already."""
    _add(client, LATER_SCHEMA, _of("a"), _of("b"))
    results = consume("g", "old", idle_timeout_s=0)
    assert next(results).job_id == "a"
    client.xautoclaim(DEFAULT_RESULTS, "g", "new", 60_000)
    assert _ids(results) == ["b"]
    (entry,) = client.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 9)
    assert entry["consumer"] == b"new"


def test_asyncio_leaves_a_later_result_too(client: Any) -> None:
    """`aconsume` does as `consume` does."""
    _add(client, LATER_SCHEMA, _of("a"))

    async def first(results: AsyncIterator[tasks.Result]) -> list[str]:
        return [result.job_id async for result in results]

    assert asyncio.run(first(aconsume("g", idle_timeout_s=0))) == ["a"]
    assert _pending(client) == 1


def test_readers_without_a_group_pass_over_it(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """`replay` and `listen` have nothing to acknowledge; each says it once and goes on."""
    _add(client, *[LATER_SCHEMA] * 3, _of("a"))
    with caplog.at_level(logging.WARNING, "tasks.results"):
        assert _ids(replay()) == ["a"]
        live = listen(idle_timeout_s=10)
        for text in (*[LATER_SCHEMA] * 3, _of("b")):
            client.publish(DEFAULT_RESULTS, text)
        assert next(live).job_id == "b"
        live.close()
    assert len(caplog.records) == 2
