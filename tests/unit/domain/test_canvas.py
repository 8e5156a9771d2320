"""What follows a job's end of what hangs on it, and what is no signature at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery, chain, chord, chunks, group

from tasks.contract import RESULT_HEADER, Status
from tasks.result import Result
from worker.domain.canvas import follow_ups, is_signature, with_headers

SHOP = Celery("shop", set_as_current=False)


def result(status: Status) -> Result:
    task = "t-1" if status == "submitted" else None
    return Result("a-job", status, task, "TEXT2IMAGE", "1.0.0", 1, None, None, None, False, "now", {})


def sig(name: str, **options: Any) -> Any:
    return SHOP.signature(name, args=(1,), **options)


SIGNATURES = {
    "a task": sig("a"),
    "one with all options": sig("a", queue="q", headers={"x": 1}, task_id="id", countdown=3),
    "one with callbacks of its own": sig("a", link=sig("b"), link_error=[sig("c")]),
    "a chain": chain(sig("a"), sig("b"), app=SHOP),
    "a group": group(sig("a"), sig("b"), app=SHOP),
    "a chord": chord([sig("a"), sig("b")], sig("c"), app=SHOP),
    "chunks": chunks(sig("a"), [(1,), (2,)], 1),
    "a chain with a group in it": chain(sig("a"), group(sig("b"), sig("c"), app=SHOP), app=SHOP),
    "as little as there can be": {"task": "a"},
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_what_celery_writes_is_a_signature(signature: Any) -> None:
    """Of every kind, as it comes out of JSON."""
    assert is_signature(json.loads(json.dumps(signature)))


DEEP: dict[str, Any] = {"task": "a"}
for _ in range(100):
    DEEP = {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [DEEP]}}

NONE = {
    "a number": 5,
    "a list": [{"task": "a"}],
    "nothing": {},
    "a task of no name": {"task": ""},
    "a task that is a number": {"task": 7},
    "arguments that are none": {"task": "a", "args": {}},
    "named arguments that are none": {"task": "a", "kwargs": [1]},
    "options that are none": {"task": "a", "options": 7},
    "headers that are none": {"task": "a", "options": {"headers": 7}},
    "an id that is none": {"task": "a", "options": {"task_id": 7}},
    "an unknown kind": {"task": "a", "subtask_type": "nonsense"},
    "a kind that is no name": {"task": "a", "subtask_type": ["chain"]},
    "a chain of a number": {"task": "a", "subtask_type": "chain", "kwargs": {"tasks": [5]}},
    "a chord to nothing": {"task": "a", "subtask_type": "chord", "kwargs": {"header": [], "body": {}}},
    "a callback of a number": {"task": "a", "options": {"link": [5]}},
    "one without end": DEEP,
}


@pytest.mark.parametrize("value", NONE.values(), ids=NONE)
def test_what_celery_cannot_read_is_none(value: Any) -> None:
    """Wherever it is nested."""
    assert not is_signature(value)


EMBEDDED = {
    "callbacks": [{"task": "done"}, {"task": "told", "options": {"task_id": "own"}}],
    "errbacks": [{"task": "failed", "options": {"headers": {"x": 1}}}],
    "chain": [{"task": "third"}, {"task": "second", "options": {"task_id": "frozen"}}],
}


def test_callbacks_and_the_rest_of_the_chain_follow_a_success() -> None:
    """Each with the result's fields; the next step of a chain takes those after it along."""
    found = follow_ups(EMBEDDED, result("submitted"))
    assert [each.signature["task"] for each in found] == ["done", "told", "second"]
    assert [each.argument["taskId"] for each in found] == ["t-1"] * 3
    assert [[step["task"] for step in each.chain] for each in found] == [[], [], ["third"]]
    assert [each.task_id for each in found][1:] == ["own", "frozen"]


@pytest.mark.parametrize("status", ["rejected", "exhausted", "unknown"])
def test_errbacks_follow_any_other_end(status: Status) -> None:
    """With the job's id, and the result beside the headers that they have of their own."""
    (only,) = follow_ups(EMBEDDED, result(status))
    assert (only.signature["task"], only.argument) == ("failed", "a-job")
    assert only.headers is not None
    assert (only.headers["x"], only.headers[RESULT_HEADER]["status"]) == (1, status)


def test_what_follows_has_the_same_ids_each_time() -> None:
    """A task that is sent twice is one task; but no two of one job are."""
    twice = [follow_ups(EMBEDDED, result(status)) for status in ("submitted", "submitted", "rejected")]
    first, second, failed = ([each.task_id for each in found] for found in twice)
    assert first == second
    assert len({*first, *failed}) == len(first) + len(failed) == 4


def test_several_tasks_in_one_have_no_id_in_common() -> None:
    """Celery gives each of them its own."""
    (only,) = follow_ups(
        {"callbacks": [{"task": "celery.group", "subtask_type": "group"}]}, result("submitted")
    )
    assert only.task_id is None


def test_nothing_follows_where_nothing_hangs_on_it() -> None:
    """Celery writes null for it."""
    nothing = {"callbacks": None, "errbacks": None, "chain": None}
    assert follow_ups(nothing, result("submitted")) == follow_ups(nothing, result("rejected")) == []


def test_headers_are_put_beside_those_of_each_task_that_is_sent_at_once() -> None:
    """Of a chord its header and its body, of a chain the first; what is told goes before what a task has."""
    own = {"task": "a", "options": {"headers": {"x": "own"}}}
    bare = {"task": "b"}
    chain = {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [own, bare]}}
    chord = {
        "task": "celery.chord",
        "subtask_type": "chord",
        "kwargs": {"header": [chain, bare], "body": own, "kwargs": {}},
    }
    found = with_headers(chord, {"x": "given", "y": "given"}, {})["kwargs"]
    kept = {"task": "a", "options": {"headers": {"x": "own", "y": "given"}}}
    filled = {"task": "b", "options": {"headers": {"x": "given", "y": "given"}}}
    assert found == {
        "header": [{**chain, "kwargs": {"tasks": [kept, bare]}}, filled],
        "body": kept,
        "kwargs": {},
    }
    assert with_headers(own, {}, {"x": "told"})["options"] == {"headers": {"x": "told"}}
    assert with_headers(bare, {}, {}) == bare
