"""`aigc task follow|list|forget|fetch`, and what `aigc status` tells of followed tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.desk import Desk, Done
from tests.integration.followed import enqueue, follows, keeps, open_tasks, outputs, wait_for_outputs
from tests.integration.stage import Stage
from worker.keeping.folder_store import INCOMING


class Operator(Desk):
    """One who also has the keys, and the vendor's address."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.server)
        self._stage = stage

    def task(self, *args: str, **changes: Any) -> Done:
        """`aigc task`, with the environment of the stage's workers."""
        given = {"STORE_URL": f"file://{self._stage.directory}/pictures", "FETCH_ALLOW": "127.0.0.0/8"}
        env = self._stage.env(**(given | changes))
        return self.aigc("task", *args, **{name: env[name] for name in env if name.startswith("AIGC_")})

    def following(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.aigc("status", "--json").out)["following"]
        return found


@pytest.fixture
def operator(stage: Stage) -> Iterator[Operator]:
    made = Operator(stage)
    yield made
    made.close()


def bought(stage: Stage, count: int, *rules: str) -> list[str]:
    """Tasks that were bought by a worker that does not follow; their ids."""
    worker = stage.worker()
    jobs = enqueue(stage, count, *rules)
    task_ids = [stage.result(job)["taskId"] for job in jobs]
    stage.drain()
    worker.kill()
    return task_ids


def test_tasks_that_were_bought_before_are_followed(stage: Stage, operator: Operator) -> None:
    """With the workflow and the metadata that the operator names, and without a job."""
    task_ids = bought(stage, 2)
    done = operator.task("follow", *task_ids, "--workflow", "TEXT2IMAGE", "--metadata", '{"sku":{}}')
    assert (done.code, done.out) == (0, "followed from now on: 2 tasks\n")
    assert "start one with AIGC_FOLLOW=on" in done.err
    assert "nobody follows the 2 open task(s)" in operator.aigc("status").out
    follows(stage)
    found = wait_for_outputs(stage, 2)
    assert {output["taskId"] for output in found} == set(task_ids)
    for output in found:
        assert (output["jobId"], output["workflow"], output["metadata"]) == (None, "TEXT2IMAGE", {"sku": {}})


def test_to_follow_again_changes_nothing(stage: Stage, operator: Operator) -> None:
    """What is open is open, what has ended is said, and has no second output."""
    (task_id,) = bought(stage, 1)
    operator.task("follow", task_id)
    assert "followed already: 1 task\n" in operator.task("follow", task_id).out
    follows(stage)
    wait_for_outputs(stage, 1)
    until(lambda: not open_tasks(stage), "its end")
    assert f"ended before: 1 task: {task_id}\n" in operator.task("follow", task_id).out
    assert (len(outputs(stage)), open_tasks(stage)) == (1, [])


@pytest.mark.parametrize(
    "args",
    [
        (), ("",), ("x\x07",), ("x", "--metadata", "[1]"), ("x", "--metadata="),
        ("x", "--workflow", "a\nb"), ("x", "--workflow", ""), ("x", "--workflow", "w" * 101),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_bad_usage(operator: Operator, args: tuple[str, ...]) -> None:
    """Nothing is written."""
    assert operator.task("follow", *args).code == 2
    assert operator.redis.keys(f"{DEFAULT_QUEUE}:task*") == []


def test_open_tasks_are_listed_the_oldest_first(stage: Stage, operator: Operator) -> None:
    """For people and for programs; and counted in the status."""
    follows(stage)
    jobs = [*enqueue(stage, 1, running=600)]
    stage.result(jobs[0])
    jobs += enqueue(stage, 1, running=600)
    until(lambda: len(open_tasks(stage)) == 2, "open tasks")
    found = operator.task("list", "--json").documents
    assert [task["jobId"] for task in found] == jobs
    assert operator.task("list").out.count("TEXT2IMAGE") == 2
    told = operator.task(found[0]["taskId"]).out
    assert "status     RUNNING" in told
    assert "followed   open since" in told
    until(lambda: operator.following()["workers_follow"], "a look of the worker")
    following = operator.following()
    assert (following["open"], following["paused"]) == (2, None)
    assert following["oldest_s"] >= 0
    assert "tasks      2 open, the oldest for" in operator.aigc("status").out


def test_a_job_is_noted_that_bought_what_is_followed_already(stage: Stage, operator: Operator) -> None:
    """An operator has the task followed, and then says which job it belongs to: its output says so, too."""
    follows(stage)
    stage.vendor.set("rules", rules=["query_odd_status"])  # so that it does not end before that
    (job_id,) = enqueue(stage, 1, "reset_after_accept")
    assert stage.result(job_id)["status"] == "unknown"
    until(lambda: operator.following()["workers_follow"], "a look of the worker")
    (task,) = stage.vendor.get("tasks")
    operator.task("follow", task["taskId"])
    assert operator.aigc("failed", "accept", task["taskId"], "--job", job_id).code == 0
    stage.vendor.set("rules", rules=[])
    (output,) = wait_for_outputs(stage, 1)
    assert (output["jobId"], output["taskId"], output["workflow"]) == (job_id, task["taskId"], "TEXT2IMAGE")


def test_a_forgotten_task_gets_no_output(stage: Stage, operator: Operator) -> None:
    """It is recorded who decided it; an unknown one is said."""
    (task_id,) = bought(stage, 1)
    operator.task("follow", task_id)
    assert operator.task("forget", task_id).out == f"{task_id}  is asked about no more\n"
    assert operator.task("forget", task_id).code == 1
    assert stage.redis.keys(f"{DEFAULT_QUEUE}:task:*") == []
    (told,) = operator.decisions()
    assert (told["what"], told["tasks"]) == ("forget", [task_id])
    assert operator.task("list").out == "none\n"


def test_a_file_that_could_not_be_kept_is_fetched_later(stage: Stage, operator: Operator) -> None:
    """Its output says succeeded and no file; then once more, with the file; and then never again."""
    keeps(stage)
    stage.vendor.set("rules", rules=["file_status(403)"])
    enqueue(stage, 1)
    (first,) = wait_for_outputs(stage, 1)
    stage.vendor.set("rules", rules=[])
    assert (first["status"], first["file"]) == ("succeeded", None)
    assert first["url"]
    until(lambda: operator.following()["unstored"] == 1, "the dead letter")
    assert operator.task("list", "--unstored", "--json").documents[0]["taskId"] == first["taskId"]
    assert "could not be kept" in operator.aigc("status", "--check").err
    done = operator.task("fetch", "--all")
    assert done.code == 0, done
    (_, second) = outputs(stage)
    assert Path(second["file"]).stat().st_size == second["bytes"]
    assert {name: second[name] for name in ("jobId", "taskId", "status", "finishedAt")} == {
        name: first[name] for name in ("jobId", "taskId", "status", "finishedAt")
    }
    assert operator.following()["unstored"] == 0
    (document,) = operator.task(first["taskId"], "--json").documents
    assert (document["followed"]["state"], document["followed"]["file"]) == ("succeeded", second["file"])
    assert "kept before" in operator.task("fetch", first["taskId"]).out
    assert "no file is missing" in operator.task("fetch", "--all").out
    assert len(outputs(stage)) == 2


def test_a_task_that_is_not_known_here_is_fetched_too(stage: Stage, operator: Operator) -> None:
    """Its file is kept, and nobody is told."""
    (task_id,) = bought(stage, 1)
    done = operator.task("fetch", task_id)
    assert (done.code, "not known here" in done.out) == (0, True)
    assert outputs(stage) == []


def test_a_lost_task_is_found_again(stage: Stage, operator: Operator) -> None:
    """It has ended meanwhile: its output says so now."""
    follows(stage, FOLLOW_DEADLINE_S="1")
    enqueue(stage, 1, running=2.5)
    (lost,) = wait_for_outputs(stage, 1)
    assert lost["status"] == "lost"
    until(lambda: operator.task("fetch", lost["taskId"]).code == 0, "its end")
    assert [output["status"] for output in outputs(stage)] == ["lost", "succeeded"]


def test_what_cannot_be_fetched_is_said(stage: Stage, operator: Operator) -> None:
    """The vendor knows no such task; no store is named; it is followed still."""
    done = operator.task("fetch", "no-such-task")
    assert (done.code, "not kept: " in done.out) == (1, True)
    assert "AIGC_STORE_URL must be set" in operator.task("fetch", "x", STORE_URL="").err
    operator.task("follow", "no-such-task")
    assert "followed still" in operator.task("fetch", "no-such-task").out


def test_a_store_that_is_away_is_tried_again(stage: Stage, operator: Operator) -> None:
    """The task stays open meanwhile, and then it has its file."""
    pictures = Path(stage.directory, "pictures")
    worker = keeps(stage)
    until(Path(pictures, INCOMING).exists, "the worker")
    pictures.rename(pictures.with_name("elsewhere"))
    pictures.write_text("in its way")
    enqueue(stage, 2)
    until(lambda: "is not kept yet" in worker.output(), "a try")
    assert outputs(stage) == []
    pictures.unlink()
    os.rename(pictures.with_name("elsewhere"), pictures)
    for output in wait_for_outputs(stage, 2):
        assert output["file"]


def test_refused_queries_are_a_warning_of_the_status(stage: Stage, operator: Operator) -> None:
    """Until they are taken again."""
    stage.vendor.set("rules", rules=["query_auth_error"])
    follows(stage)
    enqueue(stage, 1)
    until(lambda: operator.following()["paused"], "the pause")
    assert "AUTH_CHECK_ERROR" in operator.following()["paused"]
    told = operator.aigc("status").out
    assert "following  PAUSED: the vendor refuses queries" in told
    assert "does not follow tasks" in operator.aigc("status", "--check").err
    stage.vendor.set("rules", rules=[])
    until(lambda: operator.following()["paused"] is None, "the end of the pause")


def test_a_task_that_an_operator_accepts_is_followed(stage: Stage, operator: Operator) -> None:
    """Where the workers follow, whatever the operator's environment says."""
    (task_id,) = bought(stage, 1)
    follows(stage)
    until(lambda: stage.redis.exists(f"{DEFAULT_QUEUE}:tasks:deadline"), "a worker that follows")
    operator.add_dead_letter("a-job", "unknown")
    assert operator.aigc("failed", "accept", task_id, "--job", "a-job").code == 0
    (output,) = wait_for_outputs(stage, 1)
    assert (output["jobId"], output["taskId"], output["metadata"]) == ("a-job", task_id, {"sku": "a-job"})


def test_a_task_that_an_operator_accepts_is_not_followed_where_no_worker_does(operator: Operator) -> None:
    """Nobody would ask."""
    operator.add_dead_letter("a-job", "unknown")
    assert operator.aigc("failed", "accept", "a-task", "--job", "a-job").code == 0
    assert operator.redis.keys(f"{DEFAULT_QUEUE}:task*") == []
