"""From the task id to the output, by real workers: each task once, whatever the vendor answers meanwhile."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.followed import (
    assert_one_each,
    assert_one_output_each,
    counted,
    ended,
    enqueue,
    follows,
    had_quick_tasks,
    keeps,
    living,
    open_tasks,
    outputs,
    task_record,
    wait_for_outputs,
)
from tests.integration.stage import Stage, logged, staged, text
from tests.redis_server import RedisServer
from worker.domain.query import FAILURE_STATUSES

ODD = [
    "query_sys_error*2", "query_html_502*2", "query_garbage*2", "query_cut*2", "query_reset*2",
    "query_other_task*2", "query_odd_status*2", "query_no_url*2", "query_no_model*2", "query_wrong_types*2",
    "query_param_error*2", "query_throttle*1", "query_throttle(1)*1", "query_busy*1", "query_slow(300)",
]  # fmt: skip
HANGS = "query_hang(30)*1"
OF_NO_STATUS = "query_odd_status*2"
METADATA = {"empty": {}, "list": [], "big": 2**53 - 1, "float": 1.5, "text": "ä\U0001f40d/"}


class Asked:
    """One worker that follows, and tasks of all kinds that it asks about at the same time.

    After each of them comes one that is answered each time and does not end: else the trouble of the others
    would be that of the vendor, and slow all of them down.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.worker = follows(stage, READ_TIMEOUT_S="3", QUERY_RATE_PER_S="10000")
        self.jobs: dict[str, list[str]] = {}
        for rule in [*ODD, *[HANGS, OF_NO_STATUS] * 3, *map(_rule_of, FAILURE_STATUSES)]:
            self.jobs.setdefault(rule, []).extend(enqueue(stage, 1, rule))
            enqueue(stage, 1, running=600)
        self.jobs["metadata"] = [stage.enqueue(text(living()), metadata=METADATA)]
        with suppress(AssertionError):  # each test looks whether it was its own that did not come
            ended(stage, self._all())

    def outputs_of(self, rule: str) -> list[dict[str, Any]]:
        """Those of the rule's jobs, once each of them has one; there is none of no job."""
        ended(self.stage, self.jobs[rule])
        found = outputs(self.stage)
        assert {each["jobId"] for each in found} <= {*self._all()}
        return [each for each in found if each["jobId"] in self.jobs[rule]]

    def assert_one_output_each(self, rule: str) -> None:
        """And none of the rule's tasks is open any more."""
        found = self.outputs_of(rule)
        assert_one_each(self.stage, self.jobs[rule], found)
        tasks = {each["taskId"] for each in found}
        until(lambda: not tasks & {*open_tasks(self.stage)}, "none of them to be open")

    def _all(self) -> list[str]:
        return [job for jobs in self.jobs.values() for job in jobs]


def _rule_of(status: str) -> str:
    """By which a task ends so."""
    return f"task_{status.lower()}"


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with RedisServer() as server, staged(server) as stage:
        yield Asked(stage)


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
    until(lambda: worker.output().count("output succeeded") == 12, "the lines")
    assert stage.redis.keys(f"{DEFAULT_QUEUE}:tasks:accepted") == []


def test_metadata_comes_back_as_it_went(asked: Asked) -> None:
    """Numbers and empty objects, which Lua would write in another way."""
    (output,) = asked.outputs_of("metadata")
    assert output["metadata"] == METADATA


@pytest.mark.parametrize("status", sorted(FAILURE_STATUSES))
def test_each_failure_carries_its_own_word(asked: Asked, status: str) -> None:
    """All seven of the vendor's page."""
    (output,) = asked.outputs_of(_rule_of(status))
    assert (output["status"], output["vendorStatus"]) == ("failed", status)
    assert (output["url"], output["file"]) == (None, None)


@pytest.mark.parametrize("rule", ODD)
def test_an_answer_that_is_none_is_asked_again(asked: Asked, rule: str) -> None:
    """Whatever it is, the task ends once it is answered."""
    asked.assert_one_output_each(rule)


def test_a_vendor_that_hangs_is_asked_again(asked: Asked) -> None:
    """After the read timeout, by threads of which there are a few."""
    asked.assert_one_output_each(HANGS)


def test_a_status_that_nobody_knows_is_told_once(asked: Asked) -> None:
    """And taken for not ended."""
    asked.assert_one_output_each(OF_NO_STATUS)
    assert asked.worker.output().count("which nobody knows here") == 1


def test_refused_queries_pause_following_only_and_heal(stage: Stage) -> None:
    """It is said once, jobs go on, one query at a time probes, no task is harmed."""
    stage.vendor.set("rules", rules=["query_auth_error"])
    worker = follows(stage, FOLLOW_DEADLINE_S="1")
    jobs = enqueue(stage, 40)
    for job in jobs:
        assert stage.result(job)["status"] == "submitted"
    logged(worker, "the vendor refuses queries")
    deadline_s = max(float(task_record(stage, each)[b"d"]) / 1000 for each in open_tasks(stage))
    until(lambda: stage.redis.time()[0] > deadline_s, "the tasks' deadline to pass")
    asked = stage.vendor.get("queries")["queries"]
    until(lambda: stage.vendor.get("queries")["queries"] > asked, "a probe after the deadline")
    asked = stage.vendor.get("queries")["queries"]
    assert len(open_tasks(stage)) == 40
    assert asked <= 16 + 6  # those that were under way at the first refusal, and probes
    stage.vendor.set("rules", rules=[])
    wait_for_outputs(stage, 40)
    assert_one_output_each(stage, jobs)
    assert worker.output().count("the vendor refuses queries") == 1
    logged(worker, "the vendor takes queries again")


def test_tasks_that_do_not_end_and_those_without_an_answer_are_lost_at_their_deadline(stage: Stage) -> None:
    """Once, with the vendor's last word where there is one; they are counted, and said as an error."""
    worker = follows(stage, FOLLOW_DEADLINE_S="1")
    jobs = {"RUNNING": enqueue(stage, 2, running=600), None: enqueue(stage, 2, "query_garbage")}
    found = wait_for_outputs(stage, 4)
    for word, of_word in jobs.items():
        told = [
            (each["status"], each["vendorStatus"], each["jobId"])
            for each in found
            if each["jobId"] in of_word
        ]
        assert sorted(told) == sorted(("lost", word, job) for job in of_word)
    assert (counted(stage, "tasks_lost"), open_tasks(stage)) == (4, [])
    logged(worker, "output lost")


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
    until(lambda: time.monotonic() - began > 2, "some seconds to pass")
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
    had_quick_tasks(stage)
    stage.worker("--pool", "prefork", "--concurrency", "2", FOLLOW="on", QUERY_RATE_PER_S="200")
    jobs = enqueue(stage, 4)
    wait_for_outputs(stage, 4)
    assert_one_output_each(stage, jobs)
