"""One job's result by its id, and waiting for it: in threads, in event loops, through restarts of Redis."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

import tasks
from tasks import batches, results
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tasks.reading import dispatcher, waiting_async
from tasks.reading import waiting as of_threads
from tasks.results.feed import RESULTS
from tests.conditions import until
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image

NAME = "handler"
DONE = tasks.Result(
    job_id="", status="submitted", task_id="t", workflow="TEXT2IMAGE", version="1.0.0", attempts=1,
    request_id="r", error_code=None, error_msg=None, possible_duplicate=False,
    finished_at="2026-11-22T22:31:33.123Z",
)  # fmt: skip


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis that `tasks` is told to use, by connections of a name."""
    tasks.configure(redis_url=f"{redis_server.url}?client_name={NAME}")
    yield redis_server.client()
    tasks.configure()


@pytest.fixture
def own_server(own_redis_server: RedisServer) -> Iterator[RedisServer]:
    tasks.configure(redis_url=own_redis_server.url)
    yield own_redis_server
    tasks.configure()


def end(client: redis.Redis, job_id: str, *, is_told: bool = True, text: str = "", **changes: object) -> str:
    """As the settle scripts do it: stream, record, channel."""
    text = text or replace(DONE, job_id=job_id, **changes).to_json()  # type: ignore[arg-type]
    entry: bytes = client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: text})  # type: ignore[assignment]
    client.hset(f"aigc:job:{job_id}", mapping={"s": "accepted", "i": entry})
    if is_told:
        client.publish(DEFAULT_RESULTS, text)
    return entry.decode()


def connections(client: redis.Redis) -> list[str]:
    """What each connection of this process is: a subscription or not."""
    return ["sub" if int(each["sub"]) else "short" for each in client.client_list() if each["name"] == NAME]


def subscribed(client: redis.Redis) -> int:
    ((_, count),) = client.pubsub_numsub(DEFAULT_RESULTS)
    return int(count)


def test_get_finds_the_last_result_of_a_job(server: redis.Redis) -> None:
    """None before its end; an unknown one that was decided has the later result."""
    assert results.get("a") is None
    end(server, "a", status="unknown", task_id=None)
    assert (found := results.get("a"))
    assert (found.job_id, found.status) == ("a", "unknown")
    end(server, "a")
    assert (found := results.get("a"))
    assert found.status == "submitted"


def test_get_has_nothing_where_the_stream_was_trimmed_or_the_key_is_no_record(server: redis.Redis) -> None:
    """The record outlives the result; a key of another type is nobody's."""
    end(server, "a")
    server.xtrim(DEFAULT_RESULTS, 0)
    assert results.get("a") is None
    server.set("aigc:job:b", "x")
    assert results.get("b") is None


def test_get_names_what_it_cannot_read(server: redis.Redis) -> None:
    """A later version's result, an id that none can be, a key of another type."""
    end(server, "a", text=replace(DONE, job_id="a", schema=2).to_json())
    with pytest.raises(ValueError, match="schema 2"):
        results.get("a")
    with pytest.raises(tasks.InvalidPayload, match="id: "):
        results.get("")
    server.delete(DEFAULT_RESULTS)
    server.set(DEFAULT_RESULTS, "x")
    with pytest.raises(tasks.BrokerUnavailable, match="aigc:results in Redis holds something of another"):
        results.get("a")


@pytest.mark.parametrize("timeout_s", [-1, float("nan"), True, "5"])
def test_a_time_that_is_none_is_refused(timeout_s: float) -> None:
    """Before anything is asked for."""
    with pytest.raises(ValueError, match="timeout_s must be"):
        results.wait("a", timeout_s=timeout_s)
    with pytest.raises(ValueError, match="timeout_s must be"):
        batches.wait("a", timeout_s=timeout_s)


@pytest.mark.parametrize("timeout_s", [float("inf"), 1e300, 10**400])
def test_a_time_longer_than_any_lock_waits_is_for_ever(server: redis.Redis, timeout_s: float) -> None:
    """And no error of the platform's clock, where the job has not ended yet."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(results.wait, "late", timeout_s=timeout_s)
        until(lambda: subscribed(server))
        end(server, "late")
        assert waiting.result(20).job_id == "late"


def test_what_ended_before_is_found_and_what_does_not_end_times_out(server: redis.Redis) -> None:
    """Also in no time at all; afterwards no connection is left that waits."""
    end(server, "a", is_told=False)
    for timeout_s in (0, 1e-9, 20, None):
        assert results.wait("a", timeout_s=timeout_s).job_id == "a"
        assert asyncio.run(results.wait_async("a", timeout_s=timeout_s)).job_id == "a"
    for timeout_s in (0, 0.05):
        with pytest.raises(TimeoutError, match="job b has not ended"):
            results.wait("b", timeout_s=timeout_s)
        with pytest.raises(TimeoutError, match="job b has not ended"):
            asyncio.run(results.wait_async("b", timeout_s=timeout_s))
    until(lambda: subscribed(server) == 0)


def test_a_thousand_coroutines_wait_over_one_connection(server: redis.Redis) -> None:
    """Beside that of `submit_async`: some jobs end before, some while all begin to wait, the rest after."""

    async def handlers() -> list[tasks.Result]:
        jobs = [str(n) for n in range(1000)]
        await tasks.submit_async(text_to_image())
        assert connections(server) == ["short"]
        for job_id in jobs[:100]:
            end(server, job_id, is_told=False)
        waiting = [asyncio.create_task(results.wait_async(job_id, timeout_s=60)) for job_id in jobs]
        while not subscribed(server):
            await asyncio.sleep(0)
        for job_id in jobs[100:200]:
            end(server, job_id)
        while sum(map(asyncio.Task.done, waiting)) < 200:
            await asyncio.sleep(0.001)
        assert sorted(connections(server)) == ["short", "sub"]
        for job_id in jobs[200:]:
            end(server, job_id)
        return await asyncio.gather(*waiting)

    assert [result.job_id for result in asyncio.run(handlers())] == [str(n) for n in range(1000)]
    until(lambda: connections(server) == [])


def test_hundreds_of_threads_wait_over_one_connection(server: redis.Redis) -> None:
    """Beside that of `submit`; the one thread that serves them ends when nobody waits."""
    tasks.submit(text_to_image())
    jobs = [str(n) for n in range(300)]
    with ThreadPoolExecutor(len(jobs)) as threads:
        before = threading.active_count()
        waiting = [threads.submit(results.wait, job_id, timeout_s=60) for job_id in jobs]
        until(lambda: len(dispatchers_waiting()) == 300 and sorted(connections(server)) == ["short", "sub"])
        assert threading.active_count() == before + 300 + 1
        for job_id in jobs:
            end(server, job_id)
        assert [each.result().job_id for each in waiting] == jobs
    until(lambda: connections(server) == ["short"])


def in_threads() -> dispatcher.Dispatcher[tasks.Result]:
    until(lambda: RESULTS in of_threads._shared.dispatchers)
    return of_threads._shared.dispatchers[RESULTS]


def dispatchers_waiting() -> dict[str, list[dispatcher.Waiter]]:
    return in_threads()._waiting


def test_many_wait_for_one_job_and_a_waiter_that_gives_up_is_forgotten(server: redis.Redis) -> None:
    """What comes for others, of other queues or is no result at all ends nobody's waiting."""

    async def handlers() -> None:
        waiting = [asyncio.create_task(results.wait_async("a", timeout_s=60)) for _ in range(3)]
        while not subscribed(server):
            await asyncio.sleep(0.001)
        waiting.pop().cancel()
        server.publish(DEFAULT_RESULTS, "[]")
        server.publish(DEFAULT_RESULTS, replace(DONE, job_id="a", queue="other").to_json())
        end(server, "b")
        end(server, "a", queue="aigc")
        assert {(await each).queue for each in waiting} == {"aigc"}

    asyncio.run(handlers())
    until(lambda: connections(server) == [])


def test_a_result_of_a_later_version_ends_the_waiting_with_an_error(server: redis.Redis) -> None:
    """And that of its own job only."""

    async def handlers() -> None:
        newer, other = (asyncio.create_task(results.wait_async(job_id, timeout_s=60)) for job_id in "ab")
        while not subscribed(server):
            await asyncio.sleep(0.001)
        end(server, "a", text=replace(DONE, job_id="a", schema=2).to_json())
        with pytest.raises(ValueError, match="schema 2"):
            await newer
        end(server, "b")
        await other

    asyncio.run(handlers())


def test_loops_one_after_another_and_threads_of_them_each_wait(server: redis.Redis) -> None:
    """As in tests that make a loop for each; one that is closed without being shut down is no matter."""

    async def handler(job_id: str) -> tasks.Result:
        waiting = asyncio.create_task(results.wait_async(job_id, timeout_s=60))
        while not subscribed(server):
            await asyncio.sleep(0.001)
        end(server, job_id)
        return await waiting

    for job_id in "ab":
        assert asyncio.run(handler(job_id)).job_id == job_id
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(handler("c")).job_id == "c"
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(asyncio.run, handler(job_id)) for job_id in "de"]
        assert [each.result().job_id for each in both] == ["d", "e"]


def test_nothing_is_missed_while_redis_restarts(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that ends before the subscription is there again is looked for; threads and coroutines alike."""
    looked = threading.Event()
    serve = dispatcher.Dispatcher._serve

    async def ended_first(self: dispatcher.Dispatcher[tasks.Result]) -> None:
        if looked.is_set():
            end(own_server.client(), "a", is_told=False)
        await serve(self)

    monkeypatch.setattr(dispatcher.Dispatcher, "_serve", ended_first)

    async def handler() -> tasks.Result:
        waiting = asyncio.create_task(results.wait_async("a", timeout_s=60))
        known = waiting_async._of_loops
        await asyncio.to_thread(
            until, lambda: [each for each in known.values() if each.dispatcher._has_served]
        )
        looked.set()
        own_server.kill()
        own_server.start()
        return await waiting

    with ThreadPoolExecutor(1) as threads:
        in_thread: Future[tasks.Result] = threads.submit(results.wait, "a", timeout_s=60)
        until(lambda: dispatchers_waiting() and in_threads()._has_served)
        assert asyncio.run(handler()).job_id == "a"
        assert in_thread.result().job_id == "a"


def test_who_begins_to_wait_while_redis_is_away_is_told(own_server: RedisServer) -> None:
    """At once, as by every other function."""
    own_server.kill()
    with pytest.raises(tasks.BrokerUnavailable):
        results.wait("a", timeout_s=30)
    with pytest.raises(tasks.BrokerUnavailable):
        asyncio.run(results.wait_async("a", timeout_s=30))
    with pytest.raises(tasks.BrokerUnavailable):
        asyncio.run(tasks.submit_async(text_to_image()))


def test_a_forked_child_waits_by_itself(server: redis.Redis) -> None:
    """As gunicorn's workers do after a preload, and Celery's children: the parent's thread is not theirs."""
    with ThreadPoolExecutor(1) as threads:
        parent = threads.submit(results.wait, "a", timeout_s=60)
        until(lambda: subscribed(server) == 1)
        if not (child := os.fork()):
            code = 1
            try:
                code = 0 if results.wait("b", timeout_s=30).job_id == "b" else 2
            finally:
                os._exit(code)
        until(lambda: subscribed(server) == 2)
        end(server, "b")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        end(server, "a")
        assert parent.result().job_id == "a"


def test_another_redis_is_waited_for_once_it_is_configured(
    server: redis.Redis, own_redis_server: RedisServer
) -> None:
    """Who waits already goes on waiting where it began."""

    async def handlers() -> None:
        first = asyncio.create_task(results.wait_async("a", timeout_s=60))
        while not subscribed(server):
            await asyncio.sleep(0.001)
        tasks.configure(redis_url=own_redis_server.url)
        await tasks.submit_async(text_to_image(), job_id="b")
        other = own_redis_server.client()
        second = asyncio.create_task(results.wait_async("b", timeout_s=60))
        while not subscribed(other):
            await asyncio.sleep(0.001)
        end(other, "b")
        end(server, "a")
        assert ((await first).job_id, (await second).job_id) == ("a", "b")
        assert other.llen("aigc") == 1

    asyncio.run(handlers())


def test_submit_async_queues_what_submit_does(server: redis.Redis) -> None:
    """One, or many at once over one connection; keys, priorities and batches as there."""

    async def handlers() -> list[str]:
        first = await tasks.submit_async(text_to_image(), dedupe_key="k", job_id="first", priority="high")
        again = [tasks.submit_async(text_to_image(), dedupe_key="k", priority="low") for _ in range(100)]
        assert set(await asyncio.gather(*again)) == {first}
        assert connections(server) == ["short"]
        with pytest.raises(tasks.InvalidPayload, match=r"\[1\]"):
            await tasks.submit_many_async([text_to_image(), {}])
        many = [tasks.Submission(text_to_image(), "second", dedupe_key="k"), text_to_image()]
        return await tasks.submit_many_async(many, batch="nightly")  # type: ignore[arg-type]

    ids = asyncio.run(handlers())
    assert ids[0] == "first"
    assert (server.llen("aigc.high"), server.llen("aigc"), server.llen("aigc.low")) == (1, 1, 0)
    until(lambda: connections(server) == [])


def test_submit_async_takes_no_option_of_celerys() -> None:
    """It would have to block; what is no option at all is told apart."""
    for options, words in (({"countdown": 5}, "no options of Celery's"), ({"dedupe": 1}, "dedupe_key")):
        with pytest.raises(TypeError, match=words):
            asyncio.run(tasks.submit_async(text_to_image(), **options))  # type: ignore[arg-type]


def test_a_cancelled_submit_leaves_the_connection_usable(server: redis.Redis) -> None:
    """The next call's answer is its own."""

    async def handlers() -> None:
        for n in range(50):
            call = asyncio.create_task(tasks.submit_async(text_to_image(), job_id=f"cancelled-{n}"))
            for _ in range(n % 10):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            key = f"k-{n}"
            assert await tasks.submit_async(text_to_image(), job_id=key, dedupe_key=key) == key

    asyncio.run(handlers())


def test_a_redis_that_says_nothing_any_more_is_left(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that vanished closes no connection: it is asked for a sign, and then another one is made."""
    monkeypatch.setattr(dispatcher, "_QUIET_S", 0.0)
    monkeypatch.setattr(dispatcher, "_LOOK_UP_S", 0.01)

    async def handler() -> tasks.Result:
        waiting = asyncio.create_task(results.wait_async("a", timeout_s=60))
        while not subscribed(server):
            await asyncio.sleep(0.001)
        (first,) = (each["id"] for each in server.client_list() if int(each["sub"]))
        monkeypatch.setattr(dispatcher, "SOCKET_TIMEOUT_S", 0.05)
        while first in [each["id"] for each in server.client_list()]:
            server.client_pause(200)
            await asyncio.sleep(0.25)
        monkeypatch.setattr(dispatcher, "_QUIET_S", 60.0)
        monkeypatch.setattr(dispatcher, "SOCKET_TIMEOUT_S", 6.0)
        end(server, "a")
        return await waiting

    assert asyncio.run(handler()).job_id == "a"
