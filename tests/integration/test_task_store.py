"""Followed tasks in Redis: leases, fencing tokens, one output, the first look, and what is odd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.redis_server import RedisServer
from worker.store.delayed import promote, prune
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.task_admin import TaskAdmin
from worker.store.task_values import Learned, OpenTask, TaskEnd
from worker.store.tasks import TaskStore

KEYS = KeyNames("aigc", "aigc:results", "aigc:outputs")
END = TaskEnd('{"output":1}', "succeeded", 5, "SUCCESS", took_ms=4000)


class Desk:
    """The stores of a worker and of an operator, on one Redis."""

    def __init__(self, server: RedisServer) -> None:
        self.redis: Any = server.client()
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.admin = TaskAdmin(self.scripts, KEYS, KEYS.outputs or "")
        self.tasks = self.store()

    def store(self, interval_s: float = 0.0001) -> TaskStore:
        return TaskStore(self.scripts, KEYS, interval_s=interval_s, deadline_s=60, keep_s=100, maxlen=100)

    def adopt(self, *task_ids: str) -> None:
        self.admin.adopt(task_ids, deadline_s=60, workflow="TEXT2IMAGE")

    def take(self, lease_s: float = 60) -> list[OpenTask]:
        return list(self.tasks.take(100, lease_s).tasks)

    def fall_due(self) -> None:
        for task_id in self.redis.zrange(KEYS.open_tasks, 0, -1):
            self.redis.zadd(KEYS.open_tasks, {task_id: 0})

    def outputs(self) -> list[bytes]:
        return [fields[b"output"] for _, fields in self.redis.xrange(KEYS.outputs)]


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.scripts.close()


def test_a_leased_task_is_not_given_to_another(desk: Desk) -> None:
    """Until its lease is over; then it is, under another token."""
    desk.adopt("a", "b")
    first = {task.task_id: task for task in desk.take()}
    assert (set(first), desk.take()) == ({"a", "b"}, [])
    desk.fall_due()
    again = {task.task_id: task for task in desk.take()}
    assert [task.token for task in again.values()] == [first["a"].token + 1] * 2


def test_a_worker_whose_lease_is_over_changes_nothing(desk: Desk) -> None:
    """Neither when it is asked about again, nor that it ended."""
    desk.adopt("a")
    (slow,) = desk.take()
    desk.fall_due()
    (other,) = desk.take()
    assert not desk.tasks.postpone(slow, 0.0, Learned(9, "LATE"))
    assert not desk.tasks.renew(slow, 60)
    assert desk.tasks.end(slow, END) == "stale"
    assert desk.outputs() == []
    assert desk.tasks.end(other, END) == "ended"
    assert desk.tasks.end(slow, replace(END, output_json='{"output":2}')) == "already"
    assert desk.outputs() == [b'{"output":1}']


def test_an_end_that_is_repeated_is_one(desk: Desk) -> None:
    """Its reply may be lost: it is told that it ended the task, and nothing happens twice."""
    desk.adopt("a")
    (task,) = desk.take()
    assert [desk.tasks.end(task, END) for _ in range(3)] == ["ended"] * 3
    assert (len(desk.outputs()), desk.redis.hget(KEYS.counters, "tasks_succeeded")) == (1, b"1")
    assert desk.redis.zcard(KEYS.open_tasks) == desk.redis.zcard(KEYS.tasks_accepted) == 0


def test_a_forgotten_task_is_not_revived(desk: Desk) -> None:
    """By whoever was asking about it."""
    desk.adopt("a")
    (task,) = desk.take()
    assert desk.admin.forget("a") == "forgotten"
    assert not desk.tasks.postpone(task, 0.0, Learned(1, "RUNNING"))
    assert desk.tasks.end(task, END) == "stale"
    assert desk.redis.keys("aigc:task:*") == []
    assert (desk.outputs(), desk.redis.zcard(KEYS.open_tasks)) == ([], 0)


def test_what_is_learned_is_there_at_the_next_look(desk: Desk) -> None:
    """And what was not learned stays."""
    desk.adopt("a")
    (task,) = desk.take()
    desk.tasks.postpone(task, 0.0, Learned(1, "RUNNING"))
    (task,) = desk.take()
    desk.tasks.postpone(task, 0.0, Learned(2, None, "http://file", 77, 3))
    (task,) = desk.take()
    assert (task.asked, task.vendor_status, task.url, task.succeeded_ms, task.keep_tries) == (
        2, "RUNNING", "http://file", 77, 3,
    )  # fmt: skip
    assert task.looked_ms is not None
    assert task.is_adopted


def test_turns_are_an_interval_apart_whoever_takes(desk: Desk) -> None:
    """Of all workers together, and none far ahead."""
    desk.adopt(*(f"task-{number}" for number in range(20)))
    store, times = desk.store(interval_s=0.1), []
    for _ in range(3):
        taken = store.take(100, 60)
        times += [taken.now_ms + 1000 * task.wait_s for task in taken.tasks]
        assert all(task.wait_s <= 0.251 for task in taken.tasks)
    assert len(times) >= 3
    assert all(later - earlier >= 99 for earlier, later in pairwise(times))


def test_it_says_when_to_look_again(desk: Desk) -> None:
    """When the next one is due; never where there is none."""
    assert desk.tasks.take(1, 60).next_s is None
    desk.adopt("a")
    (task,) = desk.take()
    desk.tasks.postpone(task, 7.0)
    next_s = desk.tasks.take(1, 60).next_s
    assert next_s is not None
    assert 6 < next_s <= 7


def test_the_first_look_comes_after_as_long_as_the_workflow_took(desk: Desk) -> None:
    """Smoothed, within bounds, and not after the deadline."""
    desk.adopt("a", "b")
    for task, took_ms in zip(desk.take(), (10_000, 20_000), strict=True):
        desk.tasks.end(task, replace(END, took_ms=took_ms))
    assert int(desk.redis.hget(KEYS.task_durations, "TEXT2IMAGE")) in (12_000, 18_000)
    bounds = [(5_000, 60_000, 5_000), (1, 60_000, 1_000), (10**9, 10**9, 600_000), (50_000, 2_000, 2_000)]
    for took_ms, deadline_ms, expected in bounds:
        desk.redis.hset(KEYS.task_durations, "TEXT2IMAGE", took_ms)
        assert _first_look_ms(desk, deadline_ms) == pytest.approx(expected, abs=50)


def _first_look_ms(desk: Desk, deadline_ms: int) -> float:
    """After how long the task of a job that is settled now is asked about."""
    from tests.integration.job_verbs import JobVerbs
    from tests.integration.test_refused_scripts import JOB, ending
    from worker.store.values import Delivery, SharedLimits
    from worker.store.workers import WorkerRegistry

    desk.redis.delete(KEYS.job(JOB.id), KEYS.task("task-1"), KEYS.open_tasks)
    registry = WorkerRegistry(desk.scripts, KEYS)
    registry.join()
    jobs = JobVerbs(desk.scripts, KEYS, registry, SharedLimits(follow_ms=deadline_ms))
    claim = jobs.claim(JOB, "TEXT2IMAGE", "00000000-0000-0000-0000-000000000001")
    jobs.settle(ending(Delivery(registry.owner, "", 1), claim))
    since = int(desk.redis.hget(KEYS.task("task-1"), "a"))
    assert desk.redis.hget(KEYS.task("task-1"), "j") == JOB.id.encode()
    return float(desk.redis.zscore(KEYS.open_tasks, "task-1")) - since


def test_a_task_without_a_record_is_open_no_more(desk: Desk) -> None:
    """Somebody deleted that, or Redis did to make room: it is told, and until then it is listed."""
    desk.adopt("a", "b")
    desk.redis.delete(KEYS.task("a"))
    assert [task.task_id for task in desk.admin.open()] == ["a", "b"]
    taken = desk.tasks.take(100, 60)
    assert [task.task_id for task in taken.tasks] == ["b"]
    assert taken.unreadable == (("a", "its record is gone, and it is followed no more"),)
    assert desk.redis.zrange(KEYS.open_tasks, 0, -1) == [b"b"]
    assert desk.redis.zrange(KEYS.tasks_accepted, 0, -1) == [b"b"]


def test_a_record_that_is_none_holds_up_no_other(desk: Desk) -> None:
    """It waits for a minute, is told, and is listed."""
    desk.adopt("a", "b")
    desk.redis.set(KEYS.task("a"), "of another type")
    assert [task.task_id for task in desk.admin.open()] == ["a", "b"]
    taken = desk.tasks.take(100, 60)
    assert [task.task_id for task in taken.tasks] == ["b"]
    assert [task_id for task_id, _ in taken.unreadable] == ["a"]
    assert desk.take() == []


def test_a_clock_that_steps_back_holds_up_no_task(desk: Desk) -> None:
    """Due times of the old clock are moved by the step."""
    desk.adopt("a")
    now_ms = 1000 * int(desk.redis.time()[0])
    desk.redis.zadd(KEYS.open_tasks, {"a": now_ms + 86_400_000 + 5_000})
    desk.redis.hset(KEYS.clock, "last", now_ms + 86_400_000)
    desk.redis.set(KEYS.query_rate, now_ms + 86_400_000)
    promote(desk.scripts)
    assert float(desk.redis.zscore(KEYS.open_tasks, "a")) < now_ms + 10_000
    assert desk.redis.get(KEYS.query_rate) is None


def test_files_that_nobody_fetched_are_pruned_in_the_end(desk: Desk) -> None:
    """Their records are gone by then."""
    desk.adopt("a", "b")
    for task in desk.take():
        desk.tasks.end(task, replace(END, is_unstored=True))
    desk.redis.zadd(KEYS.unstored_tasks, {"a": 1})
    assert [task.task_id for task in desk.admin.unstored()] == ["a", "b"]
    prune(desk.scripts, 100)
    assert [task.task_id for task in desk.admin.unstored()] == ["b"]
    assert desk.admin.forget("b") == "given-up"
    assert desk.admin.forget("b") == "ended"


def test_an_output_is_amended_once(desk: Desk) -> None:
    """What two operators fetch at once is told once."""
    from tasks.output import Output

    before = Output("job", "a", "succeeded", "SUCCESS", "u", None, None, None, None, None, None,
                    "2026-11-22T22:31:33.123Z")  # fmt: skip
    desk.adopt("a")
    (task,) = desk.take()
    desk.tasks.end(task, replace(END, output_json=before.to_json(), is_unstored=True))
    after = replace(before, file="/srv/a.png")
    assert desk.admin.amend("a", before.to_json(), after) == "amended"
    assert desk.admin.amend("a", before.to_json(), after) == "already"
    assert desk.admin.amend("a", before.to_json(), replace(after, file="/srv/b.png")) == "changed"
    assert [json.loads(text)["file"] for text in desk.outputs()] == [None, "/srv/a.png"]
    assert list(desk.admin.unstored()) == []
