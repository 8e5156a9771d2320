"""During an upgrade: what a later version wrote of a followed task is understood, or left to its workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

import tasks
from tasks.output import NewerOutput
from tasks.outputs import consume, get
from tests.conditions import until
from tests.integration.followed import enqueue, follows, keeps, outputs, wait_for_outputs
from tests.integration.stage import Stage, logged
from tests.integration.test_task_commands import Operator
from tests.integration.test_task_store import KEYS, Desk
from tests.redis_server import RedisServer
from worker.store.task_values import TaskEnd

END = TaskEnd('{"output":1}', "succeeded", 5, "SUCCESS")
TASK = KEYS.task("a")
NEWER = {"of_later": {"a": 1}}


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.scripts.close()


@pytest.fixture
def operator(stage: Stage) -> Iterator[Operator]:
    made = Operator(stage)
    yield made
    made.close()


def _leave_steps(desk: Desk, steps: str) -> None:
    """A task that a later version ended, of which these steps are left, and that is due."""
    desk.adopt("a")
    told = {"outputs": KEYS.outputs, "maxlen": 9, "status": "retouched", "keep_s": 60, "of_later": {"a": 1}}
    later = {"o": '{"output":1}', "f": 5, "p": steps, "q": json.dumps(told), "z9": "of a later version"}
    desk.redis.hset(TASK, mapping=later)
    desk.fall_due()


def test_steps_that_a_later_version_left_are_left_to_it(desk: Desk) -> None:
    """What is known of them is done, once; the task stays open for the rest, and its record is kept."""
    _leave_steps(desk, "invoice stream publish counters archive")
    for _ in range(3):
        desk.fall_due()
        (task,) = desk.take()
        assert desk.tasks.finish(task) == "left"
        assert desk.outputs() == [b'{"output":1}']
        assert desk.redis.hget(KEYS.counters, "tasks_retouched") == b"1"
        assert desk.redis.hget(TASK, "p") == b"invoice archive"
        assert json.loads(desk.redis.hget(TASK, "q"))["of_later"] == {"a": 1}
        assert desk.redis.hget(TASK, "z9") == b"of a later version"
        assert (desk.redis.zcard(KEYS.open_tasks), desk.redis.ttl(TASK)) == (1, -1)


def test_steps_that_are_refused_beside_those_of_a_later_version_are_done_later(desk: Desk) -> None:
    """Redis refuses one that is known: it is tried again, and what was done is not done twice."""
    _leave_steps(desk, "invoice stream counters")
    desk.redis.set(KEYS.counters, "of another type")
    (task,) = desk.take()
    arguments = ("end_task", "a", task.token, "", "", "", "")
    with pytest.raises(ResponseError, match="counters"):
        desk.scripts.run(*arguments)
    assert desk.redis.hget(TASK, "p") == b"invoice counters"
    desk.redis.delete(KEYS.counters)
    assert desk.tasks.finish(task) == "left"
    assert (desk.redis.hget(TASK, "p"), len(desk.outputs())) == (b"invoice", 1)


def test_an_amendment_of_a_later_version_is_left_to_it(desk: Desk) -> None:
    """Of which Redis refused a step that is not known here: the command changes nothing."""
    desk.adopt("a")
    (task,) = desk.take()
    assert desk.tasks.end(task, END) == "ended"
    desk.redis.hset(TASK, "p", "invoice stream")
    desk.redis.zadd(KEYS.unstored_tasks, {"a": 1})
    before = desk.redis.hgetall(TASK)
    for after in ('{"output":1}', '{"output":2}'):
        assert desk.scripts.run("amend_output", "a", END.output_json, after, KEYS.outputs)[0] == b"changed"
    assert desk.redis.hgetall(TASK) == before
    assert (len(desk.outputs()), desk.redis.zcard(KEYS.unstored_tasks)) == (1, 1)


def test_a_worker_follows_other_tasks_beside_what_it_leaves(stage: Stage) -> None:
    """Though more tasks than it has threads have steps of a later version; it says so once."""
    worker = follows(stage)
    enqueue(stage, 1)
    wait_for_outputs(stage, 1)
    told = {"outputs": KEYS.outputs, "maxlen": 9, "status": "succeeded", "keep_s": 60}
    for number in range(40):
        record: dict[str, Any] = {"a": 1, "d": 2, "o": "{}", "p": "invoice", "q": json.dumps(told)}
        stage.redis.hset(KEYS.task(f"later-{number}"), mapping=record)
        stage.redis.zadd(KEYS.open_tasks, {f"later-{number}": 1})
    until(lambda: stage.redis.zcount(KEYS.open_tasks, "-inf", 9) == 0, "all to be looked at")
    enqueue(stage, 5)
    wait_for_outputs(stage, 6)
    assert stage.redis.zcard(KEYS.open_tasks) == 40
    assert {stage.redis.hget(KEYS.task(f"later-{each}"), "p") for each in range(40)} == {b"invoice"}
    assert logged(worker, "does not know").count("stays open for a newer worker") == 1
    assert worker.terminate() == 0


def test_fields_that_a_later_version_wrote_stay(stage: Stage) -> None:
    """In the record of an open task, through queries and its end; and what the vendor says is taken."""
    follows(stage)
    enqueue(stage, 1, "query_odd_status*2", running=2)
    (task_id,) = until(lambda: stage.redis.zrange(KEYS.open_tasks, 0, -1), "an open task")
    stage.redis.hset(KEYS.task(task_id.decode()), "z9", "of a later version")
    (output,) = wait_for_outputs(stage, 1)
    assert output["status"] == "succeeded"
    until(lambda: not stage.redis.zcard(KEYS.open_tasks), "its end")
    assert stage.redis.hget(KEYS.task(task_id.decode()), "z9") == b"of a later version"


@pytest.mark.parametrize("change", [{"schema": 2}, {"status": "retouched"}], ids=["schema", "status"])
def test_an_output_of_a_later_version_is_left_by_operators(
    stage: Stage, operator: Operator, change: dict[str, Any]
) -> None:
    """No file is kept for it under another name, nothing is published, and it stays among the unstored."""
    task_id = _unstored(stage, change)
    record = stage.redis.hgetall(KEYS.task(task_id))
    done = operator.task("fetch", "--all")
    assert (done.code, "only a later version" in done.out) == (1, True)
    assert not [path for path in Path(stage.directory).rglob("*.png") if path.is_file()]
    assert stage.redis.hgetall(KEYS.task(task_id)) == record
    assert (len(outputs(stage)), stage.redis.zcard(KEYS.unstored_tasks)) == (1, 1)
    assert operator.task(task_id, "--json").documents[0]["followed"]["state"] == "ended"
    assert "only a later version" in operator.task(task_id).out
    assert operator.task("follow", task_id).code == 0
    assert stage.redis.hgetall(KEYS.task(task_id)) == record


def test_what_a_later_version_wrote_into_an_output_stays_in_it(stage: Stage, operator: Operator) -> None:
    """An operator has its file kept: the output that is published then has that, too."""
    _unstored(stage, NEWER)
    assert operator.task("fetch", "--all").code == 0
    assert outputs(stage)[-1]["of_later"] == {"a": 1}
    assert outputs(stage)[-1]["sha256"]


@pytest.mark.parametrize("change", [{"schema": 2}, {"status": "retouched"}], ids=["schema", "status"])
def test_a_consumer_leaves_an_output_of_a_later_version(
    desk: Desk, redis_server: RedisServer, change: dict[str, Any]
) -> None:
    """Unacknowledged, while it takes those around it; asked for by its task, it is said to be newer."""
    known = {
        "schema": 1, "jobId": "a-job", "taskId": "a", "status": "succeeded", "vendorStatus": "SUCCESS",
        "url": None, "file": None, "sha256": None, "bytes": None, "contentType": None, "workflow": None,
        "version": None, "finishedAt": "2026-11-22T22:31:33.123Z", "metadata": {}, "of_later": 1,
    }  # fmt: skip
    for task_id in "abc":
        written = {**known, "taskId": task_id, **(change if task_id == "b" else {})}
        desk.redis.xadd(KEYS.outputs, {"output": json.dumps(written)})
        desk.redis.hset(KEYS.task(task_id), "o", json.dumps(written))
    tasks.configure(redis_url=redis_server.url)
    found = [each.task_id for each in consume("shop", "reader", idle_timeout_s=0)]
    assert found == ["a", "c"]
    assert desk.redis.xpending(KEYS.outputs, "shop")["pending"] == 1
    with pytest.raises(NewerOutput):
        get("b")
    tasks.configure()


def _unstored(stage: Stage, change: dict[str, Any]) -> str:
    """A task whose file could not be kept, and whose output a later version wrote so; its id."""
    keeps(stage)
    stage.vendor.set("rules", rules=["file_status(403)"])
    enqueue(stage, 1)
    (output,) = wait_for_outputs(stage, 1)
    stage.vendor.set("rules", rules=[])
    task_id: str = output["taskId"]
    until(lambda: not stage.redis.zcard(KEYS.open_tasks), "its end")
    stage.redis.hset(KEYS.task(task_id), "o", json.dumps({**output, **change}))
    return task_id
