"""`aigc purge`: a queue's keys all go, and no others; nothing goes unasked or while a worker lives."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_RESULTS
from tests.conditions import until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import faulty, staged
from tests.integration.terminal import shown_by
from tests.integration.test_cli_submit import environ
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.purge import plan


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    """A queue with jobs, results and dead letters, whose worker has gone; and what is not that queue's."""
    made = Desk(redis_server)
    made.add_dead_letter("held")
    made.add_dead_letter("tired", "exhausted")
    made.redis.lpush("aigc.high", json.dumps({"headers": {"id": "fresh"}}))
    made.redis.set("aigc:dedupe:x", 1)
    made.redis.delete(KEYS.workers)
    for other in ("aigc:staging", "aigc:staging:job:held", "aigcs:job:held", "shop"):
        made.redis.set(other, 1)
    yield made
    made.close()


OTHERS = {b"aigc:staging", b"aigc:staging:job:held", b"aigcs:job:held", b"shop"}


def test_all_keys_of_the_queue_go_and_no_others(desk: Desk) -> None:
    """It counts what goes, jobs that may have been bought by themselves."""
    done = desk.aigc("purge", "--yes")
    assert (done.code, set(desk.redis.keys())) == (0, OTHERS)
    assert "1 unknown, which may have been bought" in done.err
    assert "about 1 job queued" in done.err
    assert "2 records of jobs, 2 results" in done.err
    assert desk.aigc("purge").out == "purge: the queue aigc has nothing in Redis\n"


def test_the_results_may_be_kept(desk: Desk) -> None:
    """For consumers that are behind."""
    desk.redis.xadd(DEFAULT_OUTPUTS, {"output": "{}"})
    assert desk.aigc("purge", "--keep-results", "--yes").code == 0
    assert set(desk.redis.keys()) == OTHERS | {DEFAULT_RESULTS.encode(), DEFAULT_OUTPUTS.encode()}
    assert desk.aigc("purge", "--yes").code == 0
    assert set(desk.redis.keys()) == OTHERS


def test_open_tasks_go_too(desk: Desk) -> None:
    """They are counted before: nobody asks about them any more."""
    desk.aigc("task", "follow", "task-1", "task-2")
    assert "2 open tasks, which will have no output" in desk.aigc("purge", "--yes").err
    assert set(desk.redis.keys()) == OTHERS


def test_another_queue_is_purged_by_its_name(desk: Desk) -> None:
    """A name with a pattern's characters is that name."""
    desk.redis.lpush("a*c", "message")
    before = set(desk.redis.keys())
    assert desk.aigc("purge", "--yes", AIGC_QUEUE="a*c", AIGC_RESULTS="a*c:results").code == 0
    assert before - set(desk.redis.keys()) == {b"a*c"}


def test_records_go_last(desk: Desk) -> None:
    """A message without its record would be bought again, should the purge be interrupted between the two."""
    names = [name.decode() for name in plan(desk.redis, KEYS, results=True).found]
    records = [KEYS.is_record(name) for name in names]
    assert (sorted(records), names[0]) == (records, "aigc.high")


def test_without_a_terminal_nothing_goes_unless_told_so(desk: Desk) -> None:
    """Exit 2, with the count."""
    before = set(desk.redis.keys())
    done = desk.aigc("purge")
    assert (done.code, "--yes" in done.err, set(desk.redis.keys())) == (2, True, before)


@pytest.mark.parametrize(("answer", "gone"), [("n", False), ("y", True)])
def test_on_a_terminal_it_asks(answer: str, gone: bool, desk: Desk, redis_server: RedisServer) -> None:
    """Once, and the answer is obeyed."""
    shown = shown_by([quick_aigc(), "purge"], environ(redis_server), typed=f"{answer}\n")
    assert shown.count("Go on?") == 1
    assert (set(desk.redis.keys()) == OTHERS) == gone


def test_nothing_goes_while_a_worker_is_alive(redis_server: RedisServer) -> None:
    """What it holds would come back without its record; once it has stopped, all goes."""
    desk = Desk(redis_server)
    desk.redis.delete(KEYS.workers)
    with staged(redis_server) as stage:
        worker = stage.worker()
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
        until(stage.living, "the worker")
        done = desk.aigc("purge", "--yes")
        assert (done.code, "1 worker is alive" in done.err) == (1, True)
        assert stage.results()
        assert worker.terminate() == 0
        assert desk.aigc("purge", "--yes").code == 0
        assert desk.redis.keys() == []
    desk.close()
