"""Reading results from a real Redis: live, as a consumer group, through crashes and restarts."""

from __future__ import annotations

import asyncio
import logging
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import pytest
import redis

import tasks
from tasks.clients import is_away
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tasks.results import aconsume, alisten, consume, listen, replay
from tests.chaos.proxy import Proxy
from tests.conditions import until
from tests.redis_server import RedisServer

READER = "reader"
PATIENCE_S = 60.0
MOMENT_MS = 1000
"""Longer than a busy machine stands still: for so long an entry is its consumer's."""


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    tasks.configure(redis_url=f"{redis_server.url}?client_name={READER}")
    yield redis_server
    tasks.configure()


@pytest.fixture
def own_server(own_redis_server: RedisServer) -> Iterator[RedisServer]:
    tasks.configure(redis_url=own_redis_server.url)
    yield own_redis_server
    tasks.configure()


def _result(job_id: str) -> tasks.Result:
    return tasks.Result(
        job_id=job_id,
        status="submitted",
        task_id=f"task-{job_id}",
        workflow="TEXT2IMAGE",
        version="1.0.0",
        attempts=1,
        request_id="r",
        error_code=None,
        error_msg=None,
        possible_duplicate=False,
        finished_at="2026-11-22T22:31:33.123Z",
    )


def _add(client: redis.Redis, *job_ids: str) -> None:
    """Store and publish, as the worker does."""
    for job_id in job_ids:
        text = _result(job_id).to_json()
        client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: text})
        client.publish(DEFAULT_RESULTS, text)


def _ids(results: Iterator[tasks.Result]) -> list[str]:
    return [result.job_id for result in results]


def _pending(client: redis.Redis, group: str) -> int:
    return int(client.xpending(DEFAULT_RESULTS, group)["pending"])


def test_listen_gets_what_is_published_from_its_call_on(server: RedisServer) -> None:
    """A result published right after listen() returns is there, one from before is not."""
    client = server.client()
    _add(client, "before")
    results = listen(idle_timeout_s=10)
    _add(client, "a")
    assert next(results) == _result("a")
    results.close()


def test_listen_ends_when_idle(server: RedisServer) -> None:
    """With an idle timeout the iterator ends by itself."""
    assert _ids(listen(idle_timeout_s=0.05)) == []


def test_listen_passes_over_junk(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """What is no result is logged and skipped, not raised."""
    results = listen(idle_timeout_s=10)
    client = server.client()
    for junk in ("not json", "{}", b"\xff", "[" * 100_000):
        client.publish(DEFAULT_RESULTS, junk)
    _add(client, "a")
    with caplog.at_level(logging.WARNING, "tasks.results"):
        assert next(results).job_id == "a"
    assert len(caplog.records) == 4
    results.close()


def test_listen_resumes_after_a_restart_of_redis(own_server: RedisServer) -> None:
    """The subscription is made again by itself once Redis is back."""
    results = listen(idle_timeout_s=30)
    own_server.kill()
    own_server.start()
    client = own_server.client()

    def keep_publishing() -> str:
        while not client.pubsub_numsub(DEFAULT_RESULTS)[0][1]:
            time.sleep(0.01)
        _add(client, "after")
        return "after"

    async def both() -> tuple[tasks.Result, str]:
        return await asyncio.gather(asyncio.to_thread(next, results), asyncio.to_thread(keep_publishing))

    assert asyncio.run(both())[0].job_id == "after"
    # A second subscription would mean that the first was given up, with what had been published to it.
    assert client.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
    results.close()


@pytest.mark.parametrize("reader", ["replay(follow=True)", "consume('g')"])
def test_a_program_may_end_while_it_reads(server: RedisServer, reader: str) -> None:
    """Exiting with an iterator left open says nothing on standard error."""
    _add(server.client(), "a")
    # Kept where it outlives the modules, as a traceback or a thread may keep it.
    program = f"import builtins, tasks.results as r; builtins.kept = r.{reader}; next(builtins.kept)"
    environment = {**os.environ, "AIGC_REDIS_URL": server.url}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_consume_gives_each_result_once_in_order(server: RedisServer) -> None:
    """A group starts with the oldest result kept, and goes on where it was."""
    client = server.client()
    _add(client, *"abc")
    assert _ids(consume("g", idle_timeout_s=0)) == ["a", "b", "c"]
    _add(client, "d")
    assert _ids(consume("g", idle_timeout_s=0)) == ["d"]
    assert _pending(client, "g") == 0


@pytest.mark.parametrize("group", ["", None, 5])
def test_a_group_without_a_name_is_refused(group: str) -> None:
    """All programs whose variable is not set would share one, and each would miss what the others read."""
    for read in (consume, aconsume):
        with pytest.raises(ValueError, match="group must be the name of a consumer group"):
            read(group)


def test_consume_reads_more_than_a_page(server: RedisServer) -> None:
    """A long stream is read to its end, nothing twice."""
    expected = [str(number) for number in range(250)]
    _add(server.client(), *expected)
    assert _ids(consume("g", idle_timeout_s=0)) == expected


def test_consume_can_start_with_the_next_result(server: RedisServer) -> None:
    """A group made with start="$" sees only what comes later."""
    client = server.client()
    _add(client, "old")
    results = consume("g", start="$", idle_timeout_s=10)
    _add(client, "new")
    assert next(results).job_id == "new"
    results.close()


def test_a_result_is_acknowledged_when_the_next_is_asked_for(server: RedisServer) -> None:
    """While the loop's body runs its result is unacknowledged, so a crash there loses nothing."""
    client = server.client()
    _add(client, "a", "b")
    results = consume("g", "me", idle_timeout_s=0)
    assert next(results).job_id == "a"
    assert _pending(client, "g") == 2
    assert next(results).job_id == "b"
    assert _pending(client, "g") == 1
    results.close()
    assert _ids(consume("g", "me", idle_timeout_s=0)) == ["b"]


def test_more_than_a_page_left_by_a_crash_comes_back_to_its_name(server: RedisServer) -> None:
    """A consumer that comes back gets all it left, then what is new, nothing twice."""
    client = server.client()
    expected = [str(number) for number in range(150)]
    _add(client, *expected)
    client.xgroup_create(DEFAULT_RESULTS, "g", "0")
    client.xreadgroup("g", "me", {DEFAULT_RESULTS: ">"}, count=150)
    _add(client, "new")
    assert _ids(consume("g", "me", idle_timeout_s=0)) == [*expected, "new"]


def test_another_consumer_takes_over_what_a_dead_one_left(server: RedisServer) -> None:
    """What a consumer did not acknowledge goes to another one after the idle time, not before."""
    client = server.client()
    _add(client, "a")
    dead = consume("g", "dead", idle_timeout_s=0)
    next(dead)
    dead.close()
    assert _ids(consume("g", "patient", claim_idle_ms=60_000, idle_timeout_s=0)) == []
    heir = consume("g", "heir", claim_idle_ms=20, block_ms=5, idle_timeout_s=20)
    assert next(heir).job_id == "a"
    heir.close()
    assert [entry["consumer"] for entry in client.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 9)] == [
        b"heir"
    ]


def test_two_consumers_share_the_results(server: RedisServer) -> None:
    """Within a group nothing is given to two consumers that both live."""
    client = server.client()
    first, second = consume("g", idle_timeout_s=0), consume("g", idle_timeout_s=0)
    _add(client, "a")
    assert next(first).job_id == "a"
    _add(client, "b")
    assert _ids(second) == ["b"]
    assert _ids(first) == []


def test_a_second_consumer_has_something_to_do(server: RedisServer) -> None:
    """Of a few results one consumer takes only four at a time, though it handles the first for long."""
    _add(server.client(), *"abcdefgh")
    first, second = consume("g", idle_timeout_s=0), consume("g", idle_timeout_s=0)
    assert next(first).job_id == "a"
    assert _ids(second) == list("efgh")
    assert _ids(first) == list("bcd")


def test_how_many_results_are_taken_at_a_time_can_be_said(server: RedisServer) -> None:
    """One, for instance, where handling a result takes long; of those that are taken over, too."""
    client = server.client()
    _add(client, *"abc")
    first, second = (consume("g", prefetch=1, idle_timeout_s=0) for _ in "12")
    assert (next(first).job_id, next(second).job_id) == ("a", "b")
    assert _pending(client, "g") == 2
    assert next(second).job_id == "c"
    second.close()
    until(
        lambda: int(client.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 1)[0]["time_since_delivered"]) > 20
    )
    heir = consume("g", "heir", prefetch=1, idle_timeout_s=0, claim_idle_ms=20)
    assert next(heir).job_id == "a"
    held = client.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 9)
    assert [entry["consumer"] for entry in held].count(b"heir") == 1


@pytest.mark.parametrize("prefetch", [0, -1, None, 1.5])
def test_a_number_of_results_that_cannot_be_is_refused(server: RedisServer, prefetch: Any) -> None:
    """By name: Redis would take 0 for all that there are."""
    with pytest.raises(ValueError, match="prefetch must be an integer of at least 1"):
        consume("g", prefetch=prefetch)


def test_a_slow_consumer_does_not_handle_what_another_took(server: RedisServer) -> None:
    """The rest of a page that waited too long is read again, so what moved on is not done twice."""
    client = server.client()
    _add(client, "a", "b", "c")
    slow = consume("g", "slow", claim_idle_ms=MOMENT_MS, idle_timeout_s=0)
    assert next(slow).job_id == "a"

    def idle_ms() -> int:
        return int(client.xpending_range(DEFAULT_RESULTS, "g", "-", "+", 1)[0]["time_since_delivered"])

    until(lambda: idle_ms() > MOMENT_MS)
    quick = consume("g", "quick", claim_idle_ms=MOMENT_MS, idle_timeout_s=0)
    assert next(quick).job_id == "a"
    assert _ids(slow) == []
    assert _ids(quick) == ["b", "c"]


def test_junk_in_the_stream_is_acknowledged_and_passed_over(server: RedisServer) -> None:
    """An entry that is no result, or was deleted, does not stop its consumers."""
    client = server.client()
    client.xadd(DEFAULT_RESULTS, {"other": "field"})
    client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: b"\xff"})
    gone = client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: _result("gone").to_json()})
    _add(client, "a")
    client.xgroup_create(DEFAULT_RESULTS, "g", "0")
    client.xreadgroup("g", "me", {DEFAULT_RESULTS: ">"})
    client.xdel(DEFAULT_RESULTS, gone)
    assert _ids(consume("g", "me", idle_timeout_s=0)) == ["a"]
    assert _pending(client, "g") == 0


def test_consume_makes_its_group_again_when_the_stream_was_deleted(server: RedisServer) -> None:
    """After a deleted stream the group is there again and misses nothing of the new one."""
    client = server.client()
    results = consume("g", block_ms=20, idle_timeout_s=10)
    _add(client, "a")
    assert next(results).job_id == "a"
    client.delete(DEFAULT_RESULTS)
    _add(client, "b", "c")
    assert next(results).job_id == "b"
    assert next(results).job_id == "c"
    results.close()


def test_consume_outlives_a_restart_of_redis(own_server: RedisServer) -> None:
    """Across kill -9 of Redis nothing is lost, and what was handled is not given again."""
    _add(own_server.client(), "a", "b")
    results = consume("g", block_ms=20, idle_timeout_s=30)
    assert next(results).job_id == "a"
    assert next(results).job_id == "b"
    own_server.kill()
    own_server.start()
    _add(own_server.client(), "c")
    assert next(results).job_id == "c"
    results.close()


def test_replay_ends_with_the_newest_result(server: RedisServer) -> None:
    """Without follow the whole stream is read, and nothing of a group is touched."""
    expected = [str(number) for number in range(150)]
    _add(server.client(), *expected)
    assert _ids(replay()) == expected
    assert _ids(replay()) == expected


def test_replay_follows_without_a_gap(server: RedisServer) -> None:
    """With follow the stream goes on into what comes."""
    client = server.client()
    _add(client, "a")
    results = replay(follow=True, idle_timeout_s=10)
    assert next(results).job_id == "a"
    _add(client, "b")
    assert next(results).job_id == "b"
    results.close()


@pytest.mark.parametrize(
    "start",
    [
        listen,
        lambda stop: replay(follow=True, block_ms=20, stop=stop),
        lambda stop: consume("g", block_ms=20, stop=stop),
    ],
)
def test_stop_ends_the_iterator(server: RedisServer, start: Callable[..., Iterator[tasks.Result]]) -> None:
    """Once the event is set, an iterator that waits for news ends."""
    stop = threading.Event()
    results = start(stop=stop)
    threading.Timer(0.05, stop.set).start()
    assert _ids(results) == []


@pytest.mark.parametrize("start", [listen, replay, lambda: consume("g")])
def test_without_redis_reading_fails_at_once(
    own_server: RedisServer, start: Callable[[], Iterator[tasks.Result]]
) -> None:
    """A Redis that is away at the start is reported by the call, not waited for."""
    own_server.kill()
    with pytest.raises(tasks.BrokerUnavailable):
        start()


def test_asyncio_consumes_and_can_be_cancelled(server: RedisServer) -> None:
    """aconsume gives the results, and a cancelled loop leaves the group in order."""
    client = server.client()
    _add(client, "a", "b")

    async def main() -> list[str]:
        seen: list[str] = []

        async def loop() -> None:
            async for result in aconsume("g", "me", block_ms=20):
                seen.append(result.job_id)

        task = asyncio.create_task(loop())
        await asyncio.to_thread(until, lambda: len(seen) == 2 and _pending(client, "g") == 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    assert asyncio.run(main()) == ["a", "b"]


def test_asyncio_listens(server: RedisServer) -> None:
    """alisten gives what is published once it waits."""
    client = server.client()

    async def main() -> str:
        async def publish() -> None:
            await asyncio.to_thread(until, lambda: client.pubsub_numsub(DEFAULT_RESULTS)[0][1] > 0)
            await asyncio.to_thread(_add, client, "a")

        publishing = asyncio.create_task(publish())
        async for result in alisten(idle_timeout_s=10):
            await publishing
            return result.job_id
        return "nothing"

    assert asyncio.run(main()) == "a"


@contextmanager
def _idle(count: int, make: Callable[[], AsyncIterator[tasks.Result]]) -> Iterator[list[asyncio.Task[None]]]:
    """Loops that wait for results, in the running event loop."""

    async def loop() -> None:
        async for _ in make():
            pass

    waiting = [asyncio.create_task(loop()) for _ in range(count)]
    try:
        yield waiting
    finally:
        for task in waiting:
            task.cancel()


def _connections(client: redis.Redis) -> set[str]:
    """The ids of those that `tasks` holds."""
    return {each["id"] for each in client.client_list() if each["name"] == READER}


ASYNC_READERS = pytest.mark.parametrize(
    "make", [alisten, lambda: aconsume("g", block_ms=20)], ids=["alisten", "aconsume"]
)


@pytest.mark.parametrize(
    ("make", "commands"),
    [(alisten, {"subscribe"}), (lambda: aconsume("g"), {"xreadgroup"})],
    ids=["alisten", "aconsume"],
)
def test_asyncio_readers_leave_the_default_executor_to_the_program(
    server: RedisServer, make: Callable[[], AsyncIterator[tasks.Result]], commands: set[str]
) -> None:
    """Eight idle readers, an executor of two threads: a program's own call runs at once."""
    client = server.client()

    seen = set[str]()

    def have_waited() -> bool:
        seen.update(each["id"] for each in client.client_list() if each["cmd"] in commands)
        return len(seen) >= 8  # not all at one moment: between two waits each looks for what others left

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2))
        with ThreadPoolExecutor(1) as own, _idle(8, make):
            await loop.run_in_executor(own, until, have_waited)
            return await asyncio.wait_for(loop.run_in_executor(None, lambda: "ran"), PATIENCE_S)

    assert asyncio.run(main()) == "ran"


@ASYNC_READERS
def test_an_asyncio_reader_may_be_cancelled_at_any_step(
    server: RedisServer, make: Callable[[], AsyncIterator[tasks.Result]]
) -> None:
    """No cancellation is lost, while it connects or between two commands, and no connection stays."""
    client = server.client()

    async def main() -> None:
        for steps in range(0, 120, 2):
            with _idle(1, make) as waiting:
                for _ in range(steps):
                    await asyncio.sleep(0)
            ended, _ = await asyncio.wait(waiting, timeout=PATIENCE_S)
            assert [task.cancelled() for task in ended] == [True]
        await asyncio.to_thread(until, lambda: not _connections(client))

    asyncio.run(main())


@ASYNC_READERS
def test_a_cancelled_asyncio_reader_leaves_no_connection(
    server: RedisServer, make: Callable[[], AsyncIterator[tasks.Result]]
) -> None:
    """The loop's task ends as cancelled, and Redis sees the connections closed."""
    client = server.client()

    async def main() -> None:
        with _idle(3, make) as waiting:
            await asyncio.to_thread(until, lambda: len(_connections(client)) >= 3)
        assert await asyncio.gather(*waiting, return_exceptions=True)
        assert all(task.cancelled() for task in waiting)
        await asyncio.to_thread(until, lambda: not _connections(client))

    asyncio.run(main())


def test_an_asyncio_reader_that_is_closed_keeps_nothing(server: RedisServer) -> None:
    """After aclose() the connection is gone, and the result in hand is unhandled."""
    client = server.client()
    _add(client, "a", "b")

    async def main() -> list[str]:
        results = aconsume("g", "me")
        seen = [(await anext(results)).job_id]
        await results.aclose()
        await asyncio.to_thread(until, lambda: not _connections(client))
        return seen

    assert asyncio.run(main()) == ["a"]
    assert _pending(client, "g") == 2


@ASYNC_READERS
def test_without_redis_an_asyncio_reader_fails_at_its_first_wait(
    own_server: RedisServer, make: Callable[[], AsyncIterator[tasks.Result]]
) -> None:
    """Making one asks nothing; waiting for its first result tells that Redis is away."""
    own_server.kill()

    async def main() -> None:
        results = make()
        with pytest.raises(tasks.BrokerUnavailable, match="Redis is not available"):
            await anext(results)

    asyncio.run(main())


@ASYNC_READERS
def test_asyncio_readers_outlive_a_restart_of_redis(
    own_server: RedisServer, make: Callable[[], AsyncGenerator[tasks.Result, None]]
) -> None:
    """They subscribe, or read on, once Redis is back."""

    async def main() -> None:
        results = make()
        await _until_given(results, own_server.client(), "before")
        own_server.kill()
        own_server.start()
        await _until_given(results, own_server.client(), "after")
        await results.aclose()

    asyncio.run(main())


async def _until_given(results: AsyncIterator[tasks.Result], client: redis.Redis, job_id: str) -> None:
    """Add and publish a result until the reader gives it; others that come first are passed over."""
    given = ""
    while given != job_id:
        step = asyncio.ensure_future(anext(results))
        while not step.done():
            await asyncio.to_thread(_add, client, job_id)
            await asyncio.wait([step], timeout=0.01)
        given = step.result().job_id


def _next_in_thread(results: Iterator[tasks.Result]) -> Callable[[], str | BaseException | None]:
    """Ask for the next result in a thread; gives what came of it so far: a job's id, or an error."""
    outcome: list[str | BaseException] = []

    def ask() -> None:
        try:
            outcome.append(next(results).job_id)
        except Exception as error:
            outcome.append(error)

    threading.Thread(target=ask, daemon=True).start()
    return lambda: outcome[0] if outcome else None


@contextmanager
def _garbage() -> Iterator[int]:
    """A server that answers everything with the same nonsense; its port."""

    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(4096):
                self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


READERS = pytest.mark.parametrize(
    "start",
    [lambda: consume("g", block_ms=20), lambda: replay(follow=True, block_ms=20), listen],
    ids=["consume", "replay", "listen"],
)


def _no_replicas(client: redis.Redis, on: bool) -> None:
    client.config_set("min-replicas-to-write", int(on))


def _read_only(client: redis.Redis, on: bool) -> None:
    client.replicaof(*(("127.0.0.1", "1") if on else ("NO", "ONE")))


@pytest.mark.parametrize(("refuse", "word"), [(_no_replicas, "NOREPLICAS"), (_read_only, "READONLY")])
def test_consume_waits_while_redis_refuses_writes(
    server: RedisServer, caplog: pytest.LogCaptureFixture, refuse: Callable[..., None], word: str
) -> None:
    """A group's reads are writes: what refuses them is named in the log, waited for, and then it goes on."""
    client = server.client()
    _add(client, "a")
    results = consume("g", block_ms=20)
    assert next(results).job_id == "a"
    try:
        refuse(client, True)
        outcome = _next_in_thread(results)
        until(lambda: word in caplog.text)
        assert outcome() is None
    finally:
        refuse(client, False)
    _add(client, "b")
    until(lambda: outcome() is not None)
    assert outcome() == "b"


@pytest.mark.parametrize(("refuse", "word"), [(_no_replicas, "NOREPLICAS"), (_read_only, "READONLY")])
def test_asyncio_consumes_after_redis_refused_writes(
    server: RedisServer, caplog: pytest.LogCaptureFixture, refuse: Callable[..., None], word: str
) -> None:
    """The same for asyncio; and what a demoted primary answers ends the connection."""
    client = server.client()
    _add(client, "a")

    async def main() -> None:
        results = aconsume("g", block_ms=20)
        assert (await anext(results)).job_id == "a"
        before = _connections(client)
        try:
            refuse(client, True)
            step = asyncio.ensure_future(anext(results))
            await asyncio.to_thread(until, lambda: word in caplog.text)
            assert not step.done()
        finally:
            refuse(client, False)
        _add(client, "b")
        assert (await asyncio.wait_for(step, 20)).job_id == "b"
        assert (_connections(client) == before) is (word != "READONLY")
        await results.aclose()

    asyncio.run(main())


@READERS
def test_readers_wait_for_rights_that_were_taken_away(
    server: RedisServer, caplog: pytest.LogCaptureFixture, start: Callable[[], Iterator[tasks.Result]]
) -> None:
    """NOPERM is an operator's slip, or a change under way: it is named, and ends once it is put right."""
    client: Any = server.client()
    everything = ["on", ">pw", "~*", "&*", "+@all"]
    client.execute_command("ACL", "SETUSER", "reader", "reset", *everything)
    tasks.configure(redis_url=server.url.replace("://", "://reader:pw@"))
    results = start()
    try:
        refused = ["-xreadgroup", "-xread", "-subscribe", "-xack"]
        client.execute_command("ACL", "SETUSER", "reader", *refused)
        outcome = _next_in_thread(results)
        while "NOPERM" not in caplog.text:
            # What is subscribed already goes on until its connection ends.
            with suppress(redis.ResponseError):
                client.client_kill_filter(_type="pubsub")
            assert outcome() is None
            time.sleep(0.01)
        client.execute_command("ACL", "SETUSER", "reader", *everything)

        def published() -> bool:
            _add(client, "a")
            return outcome() is not None

        until(published)
        assert outcome() == "a"
    finally:
        client.execute_command("ACL", "DELUSER", "reader")


@READERS
def test_what_is_not_redis_is_a_lost_connection(
    server: RedisServer, caplog: pytest.LogCaptureFixture, start: Callable[[], Iterator[tasks.Result]]
) -> None:
    """Garbage in the place of a reply, as of a proxy without a backend, ends a connection and no reader."""
    client = server.client()
    with Proxy(server.port, Random(0)).running() as proxy:
        tasks.configure(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        results = start()
        with _garbage() as port:
            proxy.target = port
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub")
            outcome = _next_in_thread(results)
            until(lambda: "protocol error" in caplog.text.lower())
            assert outcome() is None
            proxy.target = server.port

            def published() -> bool:
                _add(client, "a")
                return outcome() is not None

            until(published)
        assert outcome() == "a"


@pytest.mark.parametrize("start", [lambda: consume("g"), replay], ids=["consume", "replay"])
def test_results_of_another_type_are_named_at_once(
    server: RedisServer, start: Callable[[], Iterator[tasks.Result]]
) -> None:
    """What no waiting can mend is told by the call, with its remedy."""
    server.client().set(DEFAULT_RESULTS, "x")
    with pytest.raises(
        tasks.BrokerUnavailable, match=r"the key aigc:results in Redis .* rename or delete it"
    ):
        start()


def test_results_that_become_another_type_end_the_reader(server: RedisServer) -> None:
    """The same later on, and never a raw error of the client's."""
    client = server.client()
    results = replay(follow=True, block_ms=20)
    client.set(DEFAULT_RESULTS, "x")
    with pytest.raises(tasks.BrokerUnavailable, match="rename or delete it"):
        next(results)
    assert not is_away(redis.ResponseError("WRONGTYPE Operation against a key"))


@pytest.mark.parametrize(
    "words",
    ["OOM command not allowed", "BUSY Redis is busy running a script", "MISCONF Redis is configured to"],
)
def test_words_without_a_class_of_their_own_pass_too(words: str) -> None:
    """redis-py has no class for each of Redis's words."""
    assert is_away(redis.ResponseError(words))
