"""What tests of following ask of a stage: outputs, open tasks, what the vendor knows of a task."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from typing import Any

import redis

from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, OUTPUT_FIELD
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, Worker, text

FOLLOWING = {"FOLLOW": "on", "QUERY_RATE_PER_S": "200", "FETCH_ALLOW": "127.0.0.0/8"}
"""Settings of a worker that follows, as fast as tests want it."""


def had_quick_tasks(stage: Stage) -> None:
    """As if tasks had been quick lately: the first look at one comes after a second, and not after three."""
    stage.redis.hset(f"{DEFAULT_QUEUE}:tasks:durations", "TEXT2IMAGE", 0)


def follows(stage: Stage, **changes: Any) -> Worker:
    """A worker that follows tasks that are quick, without a store unless the changes name one."""
    had_quick_tasks(stage)
    return stage.worker(**(FOLLOWING | changes))


def keeps(stage: Stage, **changes: Any) -> Worker:
    """One that keeps files below the stage's directory, too."""
    return follows(stage, STORE_URL=f"file://{stage.directory}/pictures", **changes)


def living(*rules: str, waiting: float = 0, running: float = 0) -> str:
    """What to put into a prompt so that its task lives for so long, and as these rules say."""
    return " ".join(
        f"[[{rule}]]" for rule in (f"task_waiting({waiting})", f"task_running({running})", *rules)
    )


def enqueue(stage: Stage, count: int, *rules: str, running: float = 0) -> list[str]:
    """So many jobs whose tasks run for so many seconds, and live as these rules say; their ids."""
    prompt = living(*rules, running=running)
    return [stage.enqueue(text(f"{prompt} {uuid.uuid4()}")) for _ in range(count)]


def outputs(stage: Stage) -> list[dict[str, Any]]:
    """All on the stream, the oldest first; none while Redis is away."""
    try:
        entries = stage.redis.xrange(DEFAULT_OUTPUTS)
    except redis.ConnectionError:
        return []
    return [json.loads(fields[OUTPUT_FIELD.encode()]) for _, fields in entries]


def wait_for_outputs(stage: Stage, count: int, seconds: float = PATIENCE_S) -> list[dict[str, Any]]:
    """At least so many outputs, and then all that there are."""
    try:
        until(lambda: len(outputs(stage)) >= count, f"{count} outputs", seconds)
    except AssertionError as error:
        found = Counter(output["status"] for output in outputs(stage))
        raise AssertionError(
            f"{error}; there are {found}, open {open_tasks(stage)}\n{stage.logs()}"
        ) from None
    return outputs(stage)


def open_tasks(stage: Stage) -> list[str]:
    return [each.decode() for each in stage.redis.zrange(f"{DEFAULT_QUEUE}:tasks:open", 0, -1)]


def task_record(stage: Stage, task_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = stage.redis.hgetall(f"{DEFAULT_QUEUE}:task:{task_id}")
    return found


def counted(stage: Stage, name: str) -> int:
    return int(stage.redis.hget(f"{DEFAULT_QUEUE}:counters", name) or 0)


def ended(stage: Stage, jobs: list[str], seconds: float = PATIENCE_S) -> None:
    """Wait until each of these jobs' tasks has an output."""

    def without() -> set[str]:
        return set(jobs) - {str(output["jobId"]) for output in outputs(stage)}

    try:
        until(lambda: not without(), "an output of each job's task", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; without one: {without()}\n{stage.logs()}") from None


def assert_one_output_each(stage: Stage, jobs: list[str]) -> None:
    """Each job's task has one output, and there is no other; nothing is open any more."""
    assert_one_each(stage, jobs, outputs(stage))
    until(lambda: not open_tasks(stage), "no task to be open")


def assert_one_each(stage: Stage, jobs: list[str], found: list[dict[str, Any]]) -> None:
    """These outputs are one of each job's task, each with its file as the vendor made it."""
    assert Counter(output["jobId"] for output in found) == Counter(jobs)
    assert len({output["taskId"] for output in found}) == len(jobs)
    made = {task["taskId"]: task for task in stage.vendor.get("tasks")}
    for output in found:
        assert output["status"] == "succeeded"
        assert output["sha256"] in (None, made[output["taskId"]]["sha256"])
