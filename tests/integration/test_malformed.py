"""Messages that are none: put aside with a reason, the worker unharmed, the next job done."""

from __future__ import annotations

import base64
import json
import pickle
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasks.contract import BATCH_TASK_NAME, DEFAULT_QUEUE, TASK_NAME
from tests.conditions import until
from tests.integration.stage import CAT, Stage, faulty, working


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


def test_a_misspelt_task_is_told_to_its_producer(stage: Stage) -> None:
    """Its id gets one `rejected` result, with the reason and its metadata, however often it comes."""
    job_id, payload = str(uuid.uuid4()), faulty()
    text = body(json.dumps([[payload], {"metadata": {"sku": "A-1"}}, {}]))
    bad = json.dumps(message(headers={"task": "tasks.submit_workflw", "id": job_id}, body=text))
    with stage.listening() as heard:
        stage.redis.lpush(DEFAULT_QUEUE, bad, bad)
        result = stage.result(job_id)
        stage.drain()
        until(lambda: [each for each in heard() if job_id.encode() in each], "the result to be published")
        assert len([each for each in heard() if job_id.encode() in each]) == 1
    assert {**result, "finishedAt": ""} == {
        "schema": 1, "jobId": job_id, "status": "rejected", "taskId": None, "workflow": "TEXT2IMAGE",
        "version": "1.0.0", "attempts": 0, "requestId": None, "errorCode": "AIGC_MALFORMED_MESSAGE",
        "errorMsg": f"headers.task must be {TASK_NAME} or {BATCH_TASK_NAME}, got 'tasks.submit_workflw'",
        "possibleDuplicate": False, "finishedAt": "", "metadata": {"sku": "A-1"}, "queue": DEFAULT_QUEUE,
    }  # fmt: skip
    assert len(stage.results_of(job_id)) == 1
    assert [kept for _, kept in stage.malformed()[-2:]] == [bad.encode()] * 2
    assert stage.vendor.posts_of(payload) == []
    assert stage.redis.ttl(f"{DEFAULT_QUEUE}:job:{job_id}") > 0
    assert not stage.redis.zscore(f"{DEFAULT_QUEUE}:shelf:rejected", job_id), "it is in one list, not in two"


UNREADABLE: dict[str, dict[str, Any]] = {
    "3,000 levels deep": {"body": body("[" * 3000 + "]" * 3000)},
    "a number of 5,000 digits": {"body": body(f'[[{{"width": {"9" * 5000}}}], {{}}, {{}}]')},
    "a bomb": {"body": base64.b64encode(zlib.compress(bytes(2**26))).decode(), "compression": "gzip"},
    "not compressed": {"compression": "application/x-bz2"},
    "a pickle": {"content-type": "application/x-python-serialize"},
    "bad base64": {"body": "%%%"},
    "nothing in it": {"body": None},
}


@pytest.mark.parametrize("changes", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_cannot_be_read_is_told_to_its_producer(stage: Stage, changes: dict[str, Any]) -> None:
    """A producer whose id can be read waits for no result in vain."""
    job_id, before = str(uuid.uuid4()), len(stage.malformed())
    headers = {"task": TASK_NAME, "id": job_id, "compression": changes.get("compression")}
    rest = {name: value for name, value in changes.items() if name != "compression"}
    stage.redis.lpush(DEFAULT_QUEUE, json.dumps(message(headers=headers, **rest)))
    result = stage.result(job_id)
    assert (result["status"], result["errorCode"], result["attempts"]) == (
        "rejected",
        "AIGC_MALFORMED_MESSAGE",
        0,
    )
    assert result["errorMsg"] == stage.malformed()[-1][0]
    assert len(stage.malformed()) == before + 1


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_a_celery_that_compresses_is_understood(stage: Stage, compression: str) -> None:
    """With `task_compression` a job is done as without."""
    app = Celery(broker=stage.server.url)
    job_id, payload = str(uuid.uuid4()), faulty()
    app.send_task(TASK_NAME, args=[payload], task_id=job_id, queue=DEFAULT_QUEUE, compression=compression)
    assert stage.result(job_id)["status"] == "submitted"
    assert len(stage.vendor.posts_of(payload)) == 1


def test_a_celery_of_protocol_1_is_understood(stage: Stage) -> None:
    """With `task_protocol = 1` a job is done as without."""
    app = Celery(broker=stage.server.url)
    app.conf.task_protocol = 1
    job_id, payload = str(uuid.uuid4()), faulty()
    kwargs = {"metadata": {"sku": "A-1"}}
    app.send_task(TASK_NAME, args=[payload], kwargs=kwargs, task_id=job_id, queue=DEFAULT_QUEUE)
    result = stage.result(job_id)
    assert (result["status"], result["metadata"]) == ("submitted", {"sku": "A-1"})
    assert len(stage.vendor.posts_of(payload)) == 1


def _bad_twin(job_id: str) -> str:
    return json.dumps(message(headers={"task": "tasks.submit_workflw", "id": job_id}))


def _put_aside(stage: Stage, job_id: str) -> None:
    before = len(stage.malformed())
    stage.redis.lpush(DEFAULT_QUEUE, _bad_twin(job_id))
    until(lambda: len(stage.malformed()) == before + 1, "the message to be put aside")


def test_a_job_that_was_bought_is_not_rejected(stage: Stage) -> None:
    """What comes under its id afterwards is put aside, and its result stays the only one."""
    job = stage.enqueue(faulty())
    assert stage.result(job)["status"] == "submitted"
    _put_aside(stage, job)
    assert [result["status"] for result in stage.results_of(job)] == ["submitted"]


@pytest.mark.parametrize(
    ("rule", "end"), [("slow(1500)", "submitted"), ("sys_error*3", "submitted"), ("hang(30)", "unknown")]
)
def test_a_job_in_work_is_not_rejected(stage: Stage, rule: str, end: str) -> None:
    """While it is sent, or waits for its next attempt: it has one result, its own, and is bought once."""
    payload = faulty(rule)
    job = stage.enqueue(payload)
    until(
        lambda: stage.redis.hget(f"{DEFAULT_QUEUE}:job:{job}", "s") in (b"sending", b"waiting"), "an attempt"
    )
    _put_aside(stage, job)
    assert stage.result(job)["status"] == end
    stage.drain()
    assert [result["status"] for result in stage.results_of(job)] == [end]


def test_a_job_that_waits_for_its_time_is_not_rejected(stage: Stage) -> None:
    """One with an ETA has no record yet, and is known all the same."""
    payload = faulty()
    app = Celery(broker=stage.server.url)
    job = str(app.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE, countdown=2).id)
    until(lambda: stage.waiting() == 1, "the job to wait")
    _put_aside(stage, job)
    assert stage.result(job)["status"] == "submitted"
    assert len(stage.results_of(job)) == len(stage.vendor.posts_of(payload)) == 1


def test_after_its_rejection_a_good_message_is_not_bought(stage: Stage) -> None:
    """Its producer was told that nothing was; a key of another type under the record's name tells nobody."""
    job, payload = str(uuid.uuid4()), faulty()
    _put_aside(stage, job)
    assert stage.result(job)["status"] == "rejected"
    stage.enqueue(payload, job)
    stage.drain()
    assert (len(stage.results_of(job)), stage.vendor.posts_of(payload)) == (1, [])
    stage.redis.lpush(f"{DEFAULT_QUEUE}:job:strange", "x")
    _put_aside(stage, "strange")
    assert stage.results_of("strange") == []
    stage.redis.delete(f"{DEFAULT_QUEUE}:job:strange")
