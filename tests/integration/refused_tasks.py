"""The scripts of followed tasks, for the tests that refuse each of their commands and keys in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.integration.job_verbs import JobVerbs
from worker.store.keys import KeyNames
from worker.store.task_values import OpenTask, TaskEnd
from worker.store.tasks import TaskStore

if TYPE_CHECKING:
    from tests.integration.test_refused_scripts import Stage

KEYS: Final = KeyNames("aigc", "aigc:results", "aigc:outputs")
TASK: Final = "task-1"
FOLLOW_MS: Final = 60_000
WITH: Final = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "metadata": '{"a":{}}'}
ABOUT: Final = {**WITH, "deadline_ms": FOLLOW_MS}
END: Final = TaskEnd('{"output":1}', "succeeded", 5, "SUCCESS", took_ms=4000, is_unstored=True)

Prepared = Callable[[], object]


def tasks_of(stage: Stage) -> TaskStore:
    """Of the worker whose rights are taken."""
    return TaskStore(stage.scripts, KEYS, interval_s=0.001, deadline_s=60, keep_s=100, maxlen=100)


def followed(stage: Stage) -> JobVerbs:
    """The jobs of the same worker, where tasks are followed."""
    from tests.integration.test_refused_scripts import LIMITS

    return JobVerbs(stage.scripts, KEYS, stage.registry, replace(LIMITS, follow_ms=FOLLOW_MS))


def adopt(stage: Stage) -> None:
    stage.scripts.run("adopt_task", TASK, json.dumps(ABOUT))


def leased(stage: Stage) -> OpenTask:
    adopt(stage)
    (task,) = tasks_of(stage).take(5, 3600).tasks
    return task


def settling_what_is_followed(stage: Stage) -> Prepared:
    from tests.integration.test_refused_scripts import ending

    end = ending(stage.hold(), stage.claim())
    return lambda: followed(stage).settle(end)


def settling_what_is_paid_twice(stage: Stage) -> Prepared:
    from tests.integration.test_refused_scripts import ending

    end = ending(stage.hold(), stage.claim())
    followed(stage).settle(end)
    again = replace(end, result=replace(end.result, task_id="task-2"), delivery=stage.hold(tag="1.8"))
    return lambda: followed(stage).settle(again)


def resolving_what_is_followed(stage: Stage) -> Prepared:
    from tests.integration.test_refused_scripts import JOB, dead_lettered

    dead_lettered(stage, "unknown")
    stage.admin.set(KEYS.task_deadline, FOLLOW_MS)
    final = ("resolve", JOB.id, "unknown", "{}", '{"final":1}', "submitted", "accepted", TASK, 60)
    return lambda: stage.scripts.run(*final, json.dumps(WITH))


def taking_tasks(stage: Stage) -> Prepared:
    adopt(stage)
    return lambda: tasks_of(stage).take(5, 3600)


def postponing(stage: Stage) -> Prepared:
    task = leased(stage)
    call = ("postpone_task", TASK, task.token, 60_000, 1, "RUNNING", "http://file", 99, 2)
    return lambda: stage.scripts.run(*call)


def ending_a_task(stage: Stage) -> Prepared:
    task = leased(stage)
    told = json.dumps(
        {
            "outputs": KEYS.outputs, "maxlen": 100, "status": "succeeded", "keep_s": 100, "unstored": True,
            "workflow": "TEXT2IMAGE", "took_ms": 4000,
        }
    )  # fmt: skip
    call = ("end_task", TASK, task.token, END.output_json, told, 5, "SUCCESS")
    return lambda: stage.scripts.run(*call)


def adopting(stage: Stage) -> Prepared:
    return lambda: adopt(stage)


def forgetting(stage: Stage) -> Prepared:
    adopt(stage)
    return lambda: stage.scripts.run("forget_task", TASK)


def giving_up_a_file(stage: Stage) -> Prepared:
    tasks_of(stage).end(leased(stage), END)
    return lambda: stage.scripts.run("forget_task", TASK)


def amending(stage: Stage) -> Prepared:
    tasks_of(stage).end(leased(stage), END)
    call = ("amend_output", TASK, END.output_json, '{"output":2}', KEYS.outputs)
    return lambda: stage.scripts.run(*call)


TASK_SCRIPTS: Final[dict[str, tuple[str, Callable[[Stage], Prepared]]]] = {
    "settle what is followed": ("settle", settling_what_is_followed),
    "settle what is paid twice": ("settle", settling_what_is_paid_twice),
    "resolve what is followed": ("resolve", resolving_what_is_followed),
    "take tasks": ("take_tasks", taking_tasks),
    "postpone a task": ("postpone_task", postponing),
    "end a task": ("end_task", ending_a_task),
    "adopt a task": ("adopt_task", adopting),
    "forget a task": ("forget_task", forgetting),
    "give up a file": ("forget_task", giving_up_a_file),
    "amend an output": ("amend_output", amending),
}
TASK_GIVEN_UP: Final = {("take tasks", KEYS.task(TASK))}
"""A record that is none waits for a minute, and does not hold up the others."""
TASK_TIMES: Final = {"t", "l", "e", "d"}
