"""The proxy of the chaos tests strikes what it is told to strike, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis

from tests.chaos.answers import ANSWERS, ERRORS, FOREIGN
from tests.chaos.commands import lua_texts
from tests.chaos.refusing import AFTER, BEFORE, SCRIPTS, Fault, RefusingProxy
from tests.redis_server import RedisServer


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[RefusingProxy]:
    with RefusingProxy(redis_server.port, Random(1)).running() as proxy:
        yield proxy


@pytest.fixture
def client(proxy: RefusingProxy) -> Iterator[Any]:
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    with redis.Redis(port=proxy.port, socket_timeout=5, retry=retry, protocol=2) as client:
        client.ping()
        yield client


def refused(client: Any, answer: str) -> None:
    """Increment a number, which is answered so."""
    if answer == FOREIGN:
        assert client.execute_command("INCRBY", "n", 1) != 1
        return
    with pytest.raises(redis.RedisError):
        client.incr("n")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("when", "runs"), [(BEFORE, 0), (AFTER, 1)])
def test_a_command_is_refused_once(
    proxy: RefusingProxy, client: Any, redis_server: RedisServer, answer: str, when: str, runs: int
) -> None:
    """Before it is run or after; the next one is not."""
    fault = Fault("incrby", answer, when, times=1)
    proxy.inject(fault)
    refused(client, answer)
    assert (fault.strikes, int(redis_server.client().get("n") or 0)) == (1, runs)
    client.connection_pool.disconnect()
    assert client.incr("n") == runs + 1
    assert fault.strikes == proxy.strikes == 1


def test_replies_of_a_pipeline_keep_their_order(proxy: RefusingProxy, client: Any) -> None:
    """The refusal stands in the place of its own command's reply."""
    proxy.inject(Fault("incrby", "OOM", BEFORE, times=1))
    pipeline = client.pipeline(transaction=False)
    pipeline.set("a", "1").incr("n").get("a").incr("n")
    ok, error, value, number = pipeline.execute(raise_on_error=False)
    assert (ok, value, number) == (True, b"1", 1)
    assert isinstance(error, redis.exceptions.OutOfMemoryError)


@pytest.mark.parametrize("target", ["backlog", SCRIPTS, "evalsha", "*"])
def test_a_script_is_refused_by_its_name(proxy: RefusingProxy, client: Any, target: str) -> None:
    """Others pass, and so does all when the faults are cleared."""
    backlog, foreign = client.script_load(lua_texts()["backlog"]), client.script_load("return 7")
    fault = Fault(target, "BUSY")
    proxy.inject(fault)
    with pytest.raises(redis.ResponseError, match=r"BUSY|busy"):
        client.evalsha(backlog, 1, "aigc")
    if target == "backlog":
        assert client.evalsha(foreign, 0) == 7
        assert fault.strikes == 1
    proxy.clear()
    assert client.evalsha(foreign, 0) == 7


def test_a_fault_is_over_when_its_time_is(proxy: RefusingProxy, client: Any) -> None:
    """Counted from its first strike."""
    fault = Fault("incrby", "LOADING", seconds=0.0)
    proxy.inject(fault)
    with pytest.raises(redis.exceptions.BusyLoadingError):
        client.incr("n")
    assert client.incr("n") == 1


def test_a_share_is_a_share(proxy: RefusingProxy, client: Any) -> None:
    """Some of what it concerns is struck, and some is not."""
    proxy.inject(Fault("incrby", "OOM", share=0.5))
    pipeline = client.pipeline(transaction=False)
    for _ in range(100):
        pipeline.incr("n")
    answers = pipeline.execute(raise_on_error=False)
    assert 20 < sum(isinstance(answer, Exception) for answer in answers) < 80
    assert set(ERRORS) < set(ANSWERS)
