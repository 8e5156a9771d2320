"""A primary is demoted and keeps its connections: who uses Redis goes on with the new one."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from threading import Thread
from typing import Any

import pytest
import redis

import tasks
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD
from tasks.results import consume
from tests.chaos.proxy import Proxy
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import faulty, staged
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image
from worker.store.scripts import Scripts


class Pair:
    """A primary and its replica behind one address, as a service name or a proxy has them."""

    def __init__(self, first: RedisServer, second: RedisServer, proxy: Proxy) -> None:
        self.first = first
        self._second = second
        self._proxy = proxy
        self.url = f"redis://127.0.0.1:{proxy.port}/0"
        self.old: Any = first.client()
        self.new: Any = second.client()
        self.old.config_set("repl-diskless-sync-delay", 0)
        for client in (self.old, self.new):
            client.config_set("shutdown-timeout", 0)  # at its end it need not wait for a replica
        self.new.replicaof("127.0.0.1", first.port)
        until(lambda: self.new.info("replication")["master_link_status"] == "up", "the replica")

    def fail_over(self) -> None:
        """The replica is the primary now, for new connections; the old ones stay where they are."""
        self.new.replicaof("NO", "ONE")
        self._proxy.target = self._second.port
        self.old.replicaof("127.0.0.1", self._second.port)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with RedisServer() as first, RedisServer() as second, Proxy(first.port, Random(0)).running() as proxy:
        made = Pair(first, second, proxy)
        tasks.configure(redis_url=made.url)
        yield made
        tasks.configure()


@pytest.mark.parametrize("options", [{}, {"headers": {"a": "b"}}, {"dedupe_key": "a"}])
def test_a_producer_goes_on_with_the_new_primary(pair: Pair, options: dict[str, Any]) -> None:
    """At the latest with its second attempt: the refusal of the demoted one drops the connection."""
    tasks.submit(text_to_image())
    pair.fail_over()
    pair.new.delete("aigc")

    def submitted() -> bool:
        try:
            tasks.submit(text_to_image(), **options)
        except tasks.BrokerUnavailable:
            return False
        return True

    until(submitted, "a job that is taken")
    assert pair.new.llen("aigc") == 1


def test_a_consumer_goes_on_with_the_new_primary(pair: Pair) -> None:
    """What was read before is not read again, and what comes on the new primary is."""

    def add(client: redis.Redis, job_id: str) -> None:
        client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: _result(job_id)})

    seen: list[str] = []

    def read() -> None:
        for result in consume("g", idle_timeout_s=2 * PATIENCE_S):
            seen.append(result.job_id)
            if result.job_id == "last":
                return

    add(pair.old, "first")
    thread = Thread(target=read, daemon=True)
    thread.start()
    until(lambda: seen == ["first"] and _acknowledged(pair.new), "the first result, acknowledged on both")
    pair.fail_over()
    add(pair.new, "last")
    until(lambda: seen == ["first", "last"], "the new primary's result")
    thread.join(5)


def _acknowledged(client: redis.Redis) -> bool:
    groups: Any = client.xinfo_groups(DEFAULT_RESULTS)
    return [(group["entries-read"], group["pending"]) for group in groups] == [(1, 0)]


def _result(job_id: str) -> str:
    return tasks.Result(
        job_id, "submitted", "t", "TEXT2IMAGE", "1.0.0", 1, "r", None, None, False, "2026-11-22T22:31:33.123Z"
    ).to_json()


def test_scripts_are_loaded_where_they_are_run(pair: Pair) -> None:
    """The new primary knows none; one of the pool's connections may lead to the old one, which takes them."""
    scripts = Scripts(pair.url, ("aigc", DEFAULT_RESULTS))
    scripts.run("promote", 200)
    scripts.client.ping()
    pair.fail_over()
    pair.new.script_flush()
    with pytest.raises(redis.ReadOnlyError):
        scripts.run("promote", 200)
    scripts.run("promote", 200)
    scripts.close()


def test_a_worker_settles_and_goes_on_with_the_new_primary(pair: Pair) -> None:
    """What was in flight while the primary was demoted is settled on the new one, and bought once."""
    with staged(pair.first) as stage:
        worker = stage.worker(REDIS_URL=pair.url, CONCURRENCY=8)
        payloads = [faulty("slow(3000)") for _ in range(8)]
        first = stage.enqueue(faulty())
        until(lambda: stage.results_of(first), "the first job, which goes alone")
        jobs = [stage.enqueue(payload) for payload in payloads]
        until(lambda: stage.vendor.get("stats")["in_flight"] == 8, "all to be in flight")
        assert pair.old.wait(1, 5000) == 1  # what Redis has not replicated a failover may lose
        pair.fail_over()
        stage.redis = pair.new
        until(lambda: set(jobs) <= {result["jobId"] for result in stage.results()}, "all results")
        assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
        assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 8
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
        assert worker.process.poll() is None
