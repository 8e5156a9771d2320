"""Messages that are none: put aside with a reason, the worker unharmed, the next job done."""

from __future__ import annotations

import base64
import json
import pickle
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.contract import BATCH_TASK_NAME, DEFAULT_QUEUE, TASK_NAME
from tests.integration.stage import CAT, Stage, faulty, until, working


def message(**changes: Any) -> dict[str, Any]:
    """The minimal good message with some of its parts replaced; None leaves the part out."""
    whole = {
        "body": base64.b64encode(json.dumps([[CAT], {}, {}]).encode()).decode(),
        "content-type": "application/json", "content-encoding": "utf-8",
        "headers": {"task": TASK_NAME, "id": "a-bad-message"},
        "properties": {
            "delivery_tag": "t", "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": DEFAULT_QUEUE},
        },
        **changes,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not None}


def body(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HEADERS: dict[str, Any] = {"task": TASK_NAME, "id": "a-bad-message"}
PROPERTIES: dict[str, Any] = {"body_encoding": "base64", "delivery_tag": "t"}

MALFORMED: dict[str, Any] = {
    "not JSON": b"this is no JSON",
    "not UTF-8": b"\xff\xfe\x00",
    "empty": b"",
    "a pickle": pickle.dumps({"task": TASK_NAME}),
    "too deep": b"[" * 100_000,
    "a number of thousands of digits": b"9" * 5000,
    "a string": b'"aigc"',
    "a list": b"[]",
    "null": b"null",
    "an empty object": {},
    "no headers": message(headers=None),
    "headers a list": message(headers=[]),
    "headers a string": message(headers="task"),
    "no properties": message(properties=None),
    "properties a list": message(properties=[1]),
    "no id": message(headers={"task": TASK_NAME}),
    "id null": message(headers={**HEADERS, "id": None}),
    "id empty": message(headers={**HEADERS, "id": ""}),
    "id a number": message(headers={**HEADERS, "id": 7}),
    "id an object": message(headers={**HEADERS, "id": {}}),
    "id too long": message(headers={**HEADERS, "id": "x" * 201}),
    "id with a line break": message(headers={**HEADERS, "id": "a\nb"}),
    "id half a surrogate pair": message(headers={**HEADERS, "id": "\ud800"}),
    "no task": message(headers={"id": "a-bad-message"}),
    "an unknown task": message(headers={**HEADERS, "task": "celery.backend_cleanup"}),
    "task a list": message(headers={**HEADERS, "task": [TASK_NAME]}),
    "no content-type": message(**{"content-type": None}),
    "content-type pickle": message(
        **{"content-type": "application/x-python-serialize"}, body=base64.b64encode(pickle.dumps([])).decode()
    ),
    "content-type a list": message(**{"content-type": ["application/json"]}),
    "no body": message(body=None),
    "body a number": message(body=7),
    "bad base64": message(body="%%%"),
    "body not ASCII": message(body="猫"),
    "body not JSON": message(body=body("no")),
    "body no triple": message(body=body("[[], {}]")),
    "body an object of three": message(body=body('{"a": 1, "b": 2, "c": 3}')),
    "args an object": message(body=body("[{}, {}, {}]")),
    "kwargs a list": message(body=body("[[], [], {}]")),
    "embed a list": message(body=body("[[], {}, [1]]")),
    "embed.callbacks a number": message(body=body('[[], {}, {"callbacks": 5}]')),
    "embed.chain an object": message(body=body('[[], {}, {"chain": {}}]')),
    "embed.chord a list": message(body=body('[[], {}, {"chord": []}]')),
    "a callback that is a number": message(body=body('[[], {}, {"callbacks": [5]}]')),
    "a callback of nothing": message(body=body('[[], {}, {"callbacks": [{}]}]')),
    "a callback of an unknown type": message(
        body=body('[[], {}, {"callbacks": [{"task": "x", "subtask_type": "nonsense"}]}]')
    ),
    "an errback that is a number": message(body=body('[[], {}, {"errbacks": [5]}]')),
    "an errback in a list": message(body=body('[[], {}, {"errbacks": [[{"task": "x"}]]}]')),
    "a step of a chain that is a number": message(body=body('[[], {}, {"chain": [5]}]')),
    "a step of a chain that is nothing": message(body=body('[[], {}, {"chain": [{}]}]')),
    "a chord of nonsense": message(body=body('[[], {}, {"chord": {"task": 7}}]')),
    "an encoding that is not the body's": message(properties={**PROPERTIES, "body_encoding": "rot13"}),
}

HARMLESS: dict[str, Any] = {
    "every header hostile": {
        name: {"x": [None]}
        for name in (
            "eta", "expires", "timelimit", "retries", "root_id", "parent_id", "group", "group_index", "lang",
            "argsrepr", "kwargsrepr", "origin", "replaced_task_nesting", "stamped_headers", "stamps",
            "ignore_result", "shadow", "compression", "aigc-enqueued-ms", "sentry-trace", "traceparent",
        )
    },
    "an eta that is none": {"eta": "tomorrow"},
    "an eta of the year 1": {"eta": "0001-01-01T00:00:00+14:00"},
    "a time limit": {"timelimit": [0.001, 0.001]},
    "a compression that does not exist": {"compression": "application/x-nothing"},
    "a reply to": {"reply_to": 7},
    "enqueued at a huge time": {"aigc-enqueued-ms": 10**400},
    "enqueued at a fraction": {"aigc-enqueued-ms": 1e308},
    "enqueued at nonsense": {"aigc-enqueued-ms": "yesterday"},
    "Sentry's trace of nobody": {"sentry-trace": "x" * 5000, "baggage": 7, "headers": {"sentry-trace": 1}},
}  # fmt: skip


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as stage:
        yield stage


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_put_aside(stage: Stage, bad: Any) -> None:
    """It stands in the list `aigc:malformed` byte for byte, with the reason, and the next job is done."""
    raw = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    before = len(stage.malformed())
    stage.redis.lpush(DEFAULT_QUEUE, raw)
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    until(lambda: len(stage.malformed()) == before + 1, "the message to be put aside")
    reason, kept = stage.malformed()[-1]
    assert kept == raw
    assert reason
    stage.drain()
    assert len(stage.living()) == 1


def test_a_heap_of_malformed_messages_does_not_stop_the_rest(stage: Stage) -> None:
    """Good jobs between many bad messages are all done, by the same worker."""
    before = len(stage.malformed())
    jobs = []
    for bad in MALFORMED.values():
        stage.redis.lpush(DEFAULT_QUEUE, bad if isinstance(bad, bytes) else json.dumps(bad))
        jobs.append(stage.enqueue(faulty()))
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    stage.drain()
    assert len(stage.malformed()) == before + len(MALFORMED)
    assert stage.workers[0].process.poll() is None


@pytest.mark.parametrize("headers", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("task", [TASK_NAME, BATCH_TASK_NAME])
def test_hostile_headers_do_no_harm(stage: Stage, headers: dict[str, Any], task: str) -> None:
    """Headers that are not the job's own are not believed: the job is done as if they were not there."""
    job_id = str(uuid.uuid4())
    args = [faulty()] if task == TASK_NAME else [[{"id": job_id, "payload": faulty()}]]
    hostile = message(headers={"task": task, "id": job_id, **headers}, body=body(json.dumps([args, {}, {}])))
    stage.redis.lpush(DEFAULT_QUEUE, json.dumps(hostile))
    assert stage.result(job_id)["status"] == "submitted"
    stage.drain()


HOSTILE_EMBEDS: dict[str, Any] = {
    "a callback without options": {"callbacks": [{"task": "x"}]},
    "a callback to a queue that is none": {"callbacks": [{"task": "x", "options": {"queue": [7]}}]},
    "an errback of no tasks": {"errbacks": [{"task": "x", "subtask_type": "xmap"}]},
    "a chain of no tasks": {"chain": [{"task": "x", "subtask_type": "chain"}]},
    "a chord of nothing": {"chord": {}},
    "a self-made field": {"x": 1},
}


@pytest.mark.parametrize("embed", HOSTILE_EMBEDS.values(), ids=HOSTILE_EMBEDS)
def test_hostile_canvases_do_no_harm(stage: Stage, embed: dict[str, Any]) -> None:
    """What is linked to a job may be nonsense: the job is paid once and told once, the worker goes on."""
    payload = faulty()
    job = stage.put_body(json.dumps([[payload], {}, embed]))
    assert stage.result(job)["status"] == "submitted"
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    stage.drain()
    assert len(stage.results_of(job)) == len(stage.vendor.posts_of(payload)) == 1
    assert stage.workers[0].process.poll() is None
