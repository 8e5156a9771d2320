"""Open tasks, newest outputs and batches at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

import tasks
from tasks import batches
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, DEFAULT_RESULTS, OUTPUT_FIELD
from tasks.output import Output
from tasks.prices import Prices
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.task_admin import TaskAdmin
from worker.store.task_overview import batch_overview, task_overview

KEYS = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS, DEFAULT_OUTPUTS)
OUTPUT = Output(
    "a-job", "task", "succeeded", "SUCCESS", "https://oss.example.com/a.png", "/kept/a.png", "0" * 64, 5,
    "image/png", "TEXT2IMAGE", "1.0.0", "2026-11-22T22:31:33.123Z",
)  # fmt: skip


@pytest.fixture
def scripts(redis_server: RedisServer) -> Iterator[Scripts]:
    made = Scripts(redis_server.url, (KEYS.queue, KEYS.results), connections=2)
    tasks.configure(redis_url=redis_server.url)
    yield made
    made.close()


def published(client: Any, output: Output) -> None:
    client.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: output.to_json()})


def test_open_tasks_are_counted_and_the_oldest_are_shown(scripts: Scripts) -> None:
    """As many as are asked for; also one of which no more than its id is known."""
    admin = TaskAdmin(scripts, KEYS, DEFAULT_OUTPUTS)
    admin.adopt([f"task-{number}" for number in range(5)], deadline_s=60, workflow="TEXT2IMAGE")
    for number in range(5):
        scripts.client.zadd(KEYS.tasks_accepted, {f"task-{number}": 1000 + number})
    scripts.client.delete(KEYS.task("task-1"))
    found = task_overview(scripts, KEYS, DEFAULT_OUTPUTS, most_open=3)
    assert found.open == 5
    assert [(task.task_id, task.workflow) for task in found.oldest] == [
        ("task-0", "TEXT2IMAGE"), ("task-1", None), ("task-2", "TEXT2IMAGE"),
    ]  # fmt: skip
    assert found.outputs == ()
    assert found.now_s > 1_700_000_000


def test_the_newest_outputs_come_first(scripts: Scripts) -> None:
    """As many as are asked for; those of a later version are passed over."""
    for number in range(4):
        published(scripts.client, replace(OUTPUT, task_id=f"task-{number}"))
    scripts.client.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: '{"schema": 99}'})
    scripts.client.xadd(DEFAULT_OUTPUTS, {"another": "field"})
    found = task_overview(scripts, KEYS, DEFAULT_OUTPUTS, most_outputs=5)
    assert [output.task_id for output in found.outputs] == ["task-3", "task-2", "task-1"]
    assert found.outputs[0] == replace(OUTPUT, task_id="task-3")


def test_batches_are_shown_with_their_progress(scripts: Scripts) -> None:
    """Each as `tasks.batches` has it; one that Redis has forgotten is not there."""
    for name in ("one", "two", "gone"):
        list(tasks.submit_many([text_to_image()] * 3, batch=name))
    batches.close("one")
    scripts.client.delete(KEYS.batch("gone"))
    prices = Prices({"TEXT2IMAGE": Decimal("0.5")}, "EUR")
    found = {batch.batch: batch for batch in batch_overview(scripts, KEYS, prices)}
    assert {name: (batch.total, batch.waiting, batch.closed) for name, batch in found.items()} == {
        "one": (3, 3, True), "two": (3, 3, False),
    }  # fmt: skip
    assert found["two"].cost_waiting == Decimal("1.5")
    assert len(batch_overview(scripts, KEYS, prices, most=1)) <= 1


def test_an_empty_redis_has_nothing_to_show(scripts: Scripts) -> None:
    """And that is no error."""
    assert batch_overview(scripts, KEYS, Prices()) == ()
    found = task_overview(scripts, KEYS, DEFAULT_OUTPUTS)
    assert (found.open, found.oldest, found.unstored, found.outputs) == (0, (), 0, ())
