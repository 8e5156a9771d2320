"""Outputs from a real Redis: read in every way, found by task id, waited for through restarts."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis

import tasks
from tasks import outputs, results
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_RESULTS, OUTPUT_FIELD
from tasks.output import NewerOutput
from tasks.outputs import aconsume, alisten, consume, listen, replay
from tasks.outputs.feed import OUTPUTS
from tasks.outputs.lookup import RECORD_FIELD
from tasks.reading import waiting as of_threads
from tasks.results.feed import RESULTS
from tests.conditions import until
from tests.redis_server import RedisServer

DONE = tasks.Output(
    job_id="j", task_id="", status="succeeded", vendor_status="SUCCESS", url="http://files.example/1.png",
    file=None, sha256=None, bytes=None, content_type=None, workflow="TEXT2IMAGE", version="1.0.0",
    finished_at="2026-11-22T22:31:33.123Z", metadata={"sku": "A-1"},
)  # fmt: skip
NAME = "gallery"


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[Any]:
    """A client of the Redis that `tasks` is told to use, by connections of a name."""
    tasks.configure(redis_url=f"{redis_server.url}?client_name={NAME}")
    yield redis_server.client()
    tasks.configure()


@pytest.fixture
def own_server(own_redis_server: RedisServer) -> Iterator[RedisServer]:
    tasks.configure(redis_url=own_redis_server.url)
    yield own_redis_server
    tasks.configure()


def end(client: Any, *task_ids: str, is_told: bool = True, text: str = "") -> None:
    """As the worker does it: record, stream, channel."""
    for task_id in task_ids:
        told = text or replace(DONE, task_id=task_id).to_json()
        client.hset(f"aigc:task:{task_id}", mapping={"n": "3", RECORD_FIELD: told})
        client.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: told})
        if is_told:
            client.publish(DEFAULT_OUTPUTS, told)


def subscribed(client: Any, channel: str = DEFAULT_OUTPUTS) -> int:
    ((_, count),) = client.pubsub_numsub(channel)
    return int(count)


def ids(read: Iterator[tasks.Output]) -> list[str]:
    return [output.task_id for output in read]


def test_listen_gets_what_is_published_from_its_call_on(server: Any) -> None:
    """The whole value; what was there before is for those who read the stream."""
    end(server, "before")
    read = listen(idle_timeout_s=20)
    end(server, "a")
    assert next(read) == replace(DONE, task_id="a")
    read.close()


def test_a_group_gets_each_output_once_and_again_what_it_did_not_handle(server: Any) -> None:
    """At least once: what a consumer had in hand when it died another one gets."""
    end(server, "a", "b", "c")
    first = consume("g", "me", idle_timeout_s=0)
    assert next(first).task_id == "a"
    assert next(first).task_id == "b"
    first.close()
    assert ids(consume("g", "me", idle_timeout_s=0)) == ["b", "c"]
    assert ids(consume("g", idle_timeout_s=0)) == []
    assert ids(consume("another", idle_timeout_s=0)) == ["a", "b", "c"]


def test_replay_reads_the_stream_and_goes_on_without_a_gap(server: Any) -> None:
    """As often as one likes, acknowledging nothing."""
    end(server, "a", "b")
    assert ids(replay()) == ids(replay()) == ["a", "b"]
    read = replay(follow=True, idle_timeout_s=20)
    assert [next(read).task_id, next(read).task_id] == ["a", "b"]
    end(server, "c")
    assert next(read).task_id == "c"
    read.close()


def test_asyncio_listens_and_consumes(server: Any) -> None:
    """The same without a thread."""

    async def main() -> None:
        heard = asyncio.ensure_future(anext(listening := alisten(idle_timeout_s=20)))
        await asyncio.to_thread(until, lambda: subscribed(server))
        end(server, "a", "b")
        assert (await heard).task_id == "a"
        await listening.aclose()
        assert [each.task_id async for each in aconsume("g", idle_timeout_s=0)] == ["a", "b"]

    asyncio.run(main())


def test_what_is_no_output_is_passed_over_and_one_of_a_later_version_left(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A log of its own says so: a result that lies there by mistake among it."""
    later = replace(DONE, task_id="later", schema=2).to_json()
    server.xadd(DEFAULT_OUTPUTS, {"result": "{}"})
    server.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: '{"schema": 1, "jobId": "j", "status": "submitted"}'})
    server.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: later})
    end(server, "a")
    with caplog.at_level(logging.WARNING, "tasks.outputs"):
        assert ids(consume("g", "me", idle_timeout_s=0)) == ["a"]
    passed_over, also, left = [record.getMessage() for record in caplog.records]
    assert "among the outputs was passed over: not an output" in passed_over
    assert "taskId is missing" in also
    assert "upgrade this consumer" in left
    assert server.xpending(DEFAULT_OUTPUTS, "g")["pending"] == 1


def test_get_finds_an_output_for_as_long_as_the_tasks_record_lives(server: Any) -> None:
    """None before its end; the stream may be trimmed meanwhile; a key of another type is nobody's."""
    server.hset("aigc:task:a", "n", "3")
    assert outputs.get("a") is None
    end(server, "a")
    server.delete(DEFAULT_OUTPUTS)
    assert outputs.get("a") == replace(DONE, task_id="a")
    server.delete("aigc:task:a")
    assert outputs.get("a") is None
    server.set("aigc:task:b", "x")
    assert outputs.get("b") is None


def test_get_names_what_it_cannot_read(server: Any) -> None:
    """A later version's output, an id that the vendor cannot have given."""
    end(server, "a", text=replace(DONE, task_id="a", schema=2).to_json())
    with pytest.raises(NewerOutput, match="an output of schema 2"):
        outputs.get("a")
    for task_id in ("", "  ", "a\nb", "x" * 257, None):
        with pytest.raises(tasks.InvalidPayload, match="task_id: must be a string of 1 to 256 printable"):
            outputs.get(task_id)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout_s", [-1, float("nan"), True, "5"])
def test_a_time_that_is_none_is_refused(timeout_s: float) -> None:
    """Before anything is asked for."""
    with pytest.raises(ValueError, match="timeout_s must be"):
        outputs.wait("a", timeout_s=timeout_s)


def test_what_ended_before_is_found_and_what_does_not_end_times_out(server: Any) -> None:
    """Also in no time at all, and in words that say that it is a task."""
    end(server, "a", is_told=False)
    for timeout_s in (0, 1e-9, 20, None):
        assert outputs.wait("a", timeout_s=timeout_s).task_id == "a"
        assert asyncio.run(outputs.wait_async("a", timeout_s=timeout_s)).task_id == "a"
    for timeout_s in (0, 0.05):
        with pytest.raises(TimeoutError, match="task b has not ended"):
            outputs.wait("b", timeout_s=timeout_s)
        with pytest.raises(TimeoutError, match="task b has not ended"):
            asyncio.run(outputs.wait_async("b", timeout_s=timeout_s))


def test_who_waits_for_tasks_and_jobs_is_told_of_its_own(server: Any) -> None:
    """One subscription for each of the two, though an id be the same; many threads share it."""
    with ThreadPoolExecutor(40) as threads:
        waiting = [threads.submit(outputs.wait, str(number), timeout_s=60) for number in range(38)]
        of_job = threads.submit(results.wait, "1", timeout_s=60)
        until(lambda: len(waiting_for(OUTPUTS)) == 38 and len(waiting_for(RESULTS)) == 1)
        until(lambda: subscribed(server) and subscribed(server, DEFAULT_RESULTS))
        assert (subscribed(server), subscribed(server, DEFAULT_RESULTS)) == (1, 1)
        end(server, *map(str, range(38)))
        assert [each.result().task_id for each in waiting] == list(map(str, range(38)))
        assert not of_job.done()
        told = tasks.Result(
            "1", "submitted", "t", "W", "1", 1, "r", None, None, False, "2026-11-22T22:31:33.123Z"
        )
        server.publish(DEFAULT_RESULTS, told.to_json())
        assert of_job.result().task_id == "t"
    until(lambda: not subscribed(server))


def waiting_for(feed: Any) -> dict[str, Any]:
    known = of_threads._shared.dispatchers.get(feed)
    return known._waiting if known else {}


def test_coroutines_share_a_subscription_and_give_it_up(server: Any) -> None:
    """An output of a later version ends the waiting of its own task only, with an error."""

    async def handlers() -> None:
        newer, *others = (asyncio.create_task(outputs.wait_async(each, timeout_s=60)) for each in "abc")
        await asyncio.to_thread(until, lambda: subscribed(server))
        assert subscribed(server) == 1
        end(server, "a", text=replace(DONE, task_id="a", schema=2).to_json())
        with pytest.raises(NewerOutput):
            await newer
        end(server, "b", "c")
        assert [(await each).task_id for each in others] == ["b", "c"]

    asyncio.run(handlers())
    until(lambda: not subscribed(server))


def test_nothing_is_missed_while_redis_restarts(own_server: RedisServer) -> None:
    """What ends before the subscription is there again is found in its record; consumers go on."""
    read = consume("g", block_ms=20, idle_timeout_s=60)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(outputs.wait, "a", timeout_s=60)
        # Before it has looked once, a Redis that goes away ends the waiting.
        until(lambda: waiting_for(OUTPUTS) and of_threads._shared.dispatchers[OUTPUTS]._has_served)
        own_server.kill()
        own_server.start()
        end(own_server.client(), "a", is_told=False)
        assert waiting.result().task_id == "a"
    assert next(read).task_id == "a"
    read.close()


@pytest.mark.parametrize("start", [listen, replay, lambda: consume("g"), lambda: outputs.get("a")])
def test_without_redis_reading_fails_at_once(own_server: RedisServer, start: Callable[[], object]) -> None:
    """A Redis that is away at the start is reported by the call, not waited for."""
    own_server.kill()
    with pytest.raises(tasks.BrokerUnavailable):
        start()


def test_outputs_of_another_type_are_named(server: Any) -> None:
    """What no waiting can mend is told by the call, with its remedy."""
    server.set(DEFAULT_OUTPUTS, "x")
    with pytest.raises(
        tasks.BrokerUnavailable, match=r"the key aigc:outputs in Redis .* rename or delete it"
    ):
        replay()


def test_a_name_of_their_own_is_used(redis_server: RedisServer) -> None:
    """`configure(outputs=…)`, and the queue whose records are asked."""
    client = redis_server.client()
    tasks.configure(redis_url=redis_server.url, queue="shop", outputs="pictures")
    try:
        text = replace(DONE, task_id="a").to_json()
        client.xadd("pictures", {OUTPUT_FIELD: text})
        client.hset("shop:task:a", RECORD_FIELD, text)
        assert ids(replay()) == ["a"]
        assert outputs.wait("a", timeout_s=0).task_id == "a"
    finally:
        tasks.configure()


def test_stop_ends_an_iterator(server: redis.Redis) -> None:
    """Once the event is set, one that waits for news ends."""
    stop = threading.Event()
    read = replay(follow=True, block_ms=20, stop=stop)
    threading.Timer(0.05, stop.set).start()
    assert ids(read) == []
