"""From the task id to the output, by real workers: each task once, whatever the vendor answers meanwhile."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE
from tests.integration.followed import (
    assert_one_output_each,
    counted,
    enqueue,
    follows,
    keeps,
    living,
    open_tasks,
    outputs,
    task_record,
    wait_for_outputs,
)
from tests.integration.stage import Stage, logged, staged, text, until
from tests.redis_server import RedisServer
from worker.domain.query import FAILURE_STATUSES

ODD = [
    "query_sys_error*3", "query_html_502*3", "query_garbage*3", "query_cut*3", "query_reset*3",
    "query_other_task*3", "query_odd_status*3", "query_no_url*3", "query_no_model*3", "query_wrong_types*3",
    "query_param_error*3", "query_throttle*1", "query_throttle(1)*1", "query_busy*1", "query_slow(300)",
]  # fmt: skip


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    with staged(redis_server) as stage:
        yield stage


def test_each_task_has_one_output_with_its_file(stage: Stage) -> None:
    """The same JSON on channel and stream, and in the task's record; the file's bytes are the vendor's."""
    with stage.listening(DEFAULT_OUTPUTS) as heard:
        worker = keeps(stage)
        jobs = enqueue(stage, 12)
        found = wait_for_outputs(stage, 12)
        assert_one_output_each(stage, jobs)
        until(lambda: len(heard()) == 12, "the channel")
        assert sorted(heard()) == sorted(
            fields[b"output"] for _, fields in stage.redis.xrange(DEFAULT_OUTPUTS)
        )
    for output in found:
        kept = Path(output["file"]).read_bytes()
        assert (hashlib.sha256(kept).hexdigest(), len(kept)) == (output["sha256"], output["bytes"])
        assert output["file"].endswith(f"{output['finishedAt'][:10]}/{output['jobId']}.png")
        record = task_record(stage, output["taskId"])
        assert json.loads(record[b"o"]) == output
        assert not record.keys() & {b"p", b"q", b"u", b"g"}
        assert stage.redis.ttl(f"{DEFAULT_QUEUE}:task:{output['taskId']}") > 0
    assert counted(stage, "tasks_succeeded") == 12
    logged(worker, "output succeeded", jobs[0])
    assert worker.output().count("output succeeded") == 12
    assert stage.redis.keys(f"{DEFAULT_QUEUE}:tasks:accepted") == []


def test_metadata_comes_back_as_it_went(stage: Stage) -> None:
    """Numbers and empty objects, which Lua would write in another way."""
    metadata = {"empty": {}, "list": [], "big": 2**53 - 1, "float": 1.5, "text": "ä\U0001f40d/"}
    follows(stage)
    stage.enqueue(text(living()), metadata=metadata)
    (output,) = wait_for_outputs(stage, 1)
    assert output["metadata"] == metadata


def test_each_failure_carries_its_own_word(stage: Stage) -> None:
    """All seven of the vendor's page."""
    follows(stage)
    for status in FAILURE_STATUSES:
        enqueue(stage, 1, f"task_{status.lower()}")
    found = wait_for_outputs(stage, len(FAILURE_STATUSES))
    assert {output["vendorStatus"] for output in found} == FAILURE_STATUSES
    assert {(output["status"], output["url"], output["file"]) for output in found} == {("failed", None, None)}


@pytest.mark.parametrize("rule", ODD)
def test_an_answer_that_is_none_is_asked_again(stage: Stage, rule: str) -> None:
    """Whatever it is, the task ends once it is answered."""
    follows(stage)
    jobs = enqueue(stage, 2, rule)
    wait_for_outputs(stage, 2)
    assert_one_output_each(stage, jobs)


def test_a_vendor_that_hangs_is_asked_again(stage: Stage) -> None:
    """After the read timeout, by threads of which there are a few."""
    follows(stage, READ_TIMEOUT_S="0.5")
    jobs = enqueue(stage, 3, "query_hang(30)*2")
    wait_for_outputs(stage, 3)
    assert_one_output_each(stage, jobs)


def test_a_status_that_nobody_knows_is_told_once(stage: Stage) -> None:
    """And taken for not ended."""
    worker = follows(stage)
    jobs = enqueue(stage, 3, "query_odd_status*2")
    wait_for_outputs(stage, 3)
    assert_one_output_each(stage, jobs)
    assert worker.output().count("which nobody knows here") == 1


def test_refused_queries_pause_following_only_and_heal(stage: Stage) -> None:
    """It is said once, jobs go on, one query at a time probes, no task is harmed."""
    stage.vendor.set("rules", rules=["query_auth_error"])
    worker = follows(stage, FOLLOW_DEADLINE_S="3")
    jobs = enqueue(stage, 10)
    for job in jobs:
        assert stage.result(job)["status"] == "submitted"
    logged(worker, "the vendor refuses queries")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 4, "the tasks' deadline to pass")
    asked = stage.vendor.get("queries")["queries"]
    assert len(open_tasks(stage)) == 10
    assert asked <= 16 + 6  # those that were under way at the first refusal, and probes
    stage.vendor.set("rules", rules=[])
    wait_for_outputs(stage, 10)
    assert_one_output_each(stage, jobs)
    assert worker.output().count("the vendor refuses queries") == 1
    logged(worker, "the vendor takes queries again")


def test_a_task_that_does_not_end_is_lost_at_its_deadline(stage: Stage) -> None:
    """Once, with the vendor's last word; it is counted, and said as an error."""
    worker = follows(stage, FOLLOW_DEADLINE_S="2")
    enqueue(stage, 2, running=600)
    found = wait_for_outputs(stage, 2)
    assert {(output["status"], output["vendorStatus"]) for output in found} == {("lost", "RUNNING")}
    assert (counted(stage, "tasks_lost"), open_tasks(stage)) == (2, [])
    logged(worker, "output lost")


def test_a_vendor_that_answers_nothing_loses_tasks_at_their_deadline(stage: Stage) -> None:
    """They are told as lost, and not dropped in silence."""
    stage.vendor.set("rules", rules=["query_garbage"])
    follows(stage, FOLLOW_DEADLINE_S="2")
    enqueue(stage, 2)
    found = wait_for_outputs(stage, 2)
    assert {(output["status"], output["vendorStatus"]) for output in found} == {("lost", None)}


def test_without_following_nothing_of_it_is_there(stage: Stage) -> None:
    """No key, no output, no query."""
    worker = stage.worker(STORE_URL=f"file://{stage.directory}/pictures")
    for job in enqueue(stage, 3):
        stage.result(job)
    logged(worker, "AIGC_FOLLOW is off: no task is followed, and no file kept")
    stage.drain()
    assert stage.redis.keys(f"{DEFAULT_QUEUE}:task*") == []
    assert outputs(stage) == []
    assert stage.vendor.get("queries")["queries"] == 0


def test_following_without_tasks_costs_next_to_nothing(stage: Stage) -> None:
    """About a script a second, and no query."""
    follows(stage)
    until(stage.living, "the worker")

    def takes() -> int:
        return int(stage.redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])

    before, began = takes(), time.monotonic()
    until(lambda: time.monotonic() - began > 4, "some seconds to pass")
    passed_s = time.monotonic() - began
    assert takes() - before <= 8 * passed_s + 10  # beside what is seldom, as a sample of the history
    assert stage.vendor.get("queries")["queries"] == 0


def test_a_worker_that_stops_leaves_its_tasks_to_others(stage: Stage) -> None:
    """Within seconds, though the vendor hangs; and the next worker ends them."""
    stage.vendor.set("rules", rules=["query_hang(60)"])
    worker = follows(stage, READ_TIMEOUT_S="30")
    jobs = enqueue(stage, 3)
    until(lambda: stage.vendor.get("queries")["queries"] >= 3, "queries under way")
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < 25  # it does not wait for the 30 s of a read timeout
    stage.vendor.set("rules", rules=[])
    follows(stage)
    wait_for_outputs(stage, 3)
    assert_one_output_each(stage, jobs)


def test_prefork_parents_follow_for_their_children(stage: Stage) -> None:
    """One process of a worker asks, and its children settle."""
    stage.worker("--pool", "prefork", "--concurrency", "2", FOLLOW="on", QUERY_RATE_PER_S="200")
    jobs = enqueue(stage, 4)
    wait_for_outputs(stage, 4)
    assert_one_output_each(stage, jobs)
