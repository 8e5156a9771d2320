"""The main job, from a producer's message to the result, through the public contract alone."""

from __future__ import annotations

import json
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, chain

import tasks
from tasks.contract import BATCH_TASK_NAME, DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD, TASK_NAME
from tasks.envelope import Job, encode_batch
from tests.conditions import until
from tests.integration.stage import CAT, Stage, faulty, sent, text, working

RESULT_KEYS = [
    "schema", "jobId", "status", "taskId", "workflow", "version", "attempts", "requestId", "errorCode",
    "errorMsg", "possibleDuplicate", "finishedAt", "metadata", "queue",
]  # fmt: skip
CLIP = {
    "workflow": "IMAGE2VIDEO",
    "version": "1.0.0",
    "algoInput": {"inputText": "a walk on the beach", "inputImage": "https://img.example.com/a.jpg"},
}
TRY_ON = {
    "workflow": "CATVTON",
    "version": "1.0.0",
    "algoInput": {
        "modelImage": "https://img.example.com/m.png",
        "garmentImage": "https://img.example.com/g.png",
        "category": "upper",
        "seed": 2147483647,
    },
}
HOSTILE_PROMPTS = {
    "every plane of Unicode": "猫 in the снег, émigré \U0001d518 🐈‍⬛ \u202e\ufeff\u2028",
    "quotes and escapes": "\"'\\/\\u0041 <script>&amp;%00%s{0}$HOME`id`\r\n\t",
    "control characters": "\x00\x01\x1f\x7f",
    "half a surrogate pair": "\ud800 alone \udfff",
    "the longest, of astral characters": "🐈" * 500,
    "blanks only": " ",
    "what JSON libraries take for types": '{"__type__": "uuid", "__value__": "x"}',
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as stage:
        yield stage


@pytest.fixture
def shop(stage: Stage) -> Iterator[Celery]:
    """A producer that has Celery, and nothing of ours."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as app:
        yield app


@pytest.mark.parametrize("payload", [CAT, CLIP, TRY_ON], ids=lambda payload: payload["workflow"])
def test_the_pages_workflows_are_submitted(stage: Stage, payload: dict[str, Any]) -> None:
    """Each of the page's workflows ends with the task id that the vendor gave to the one signed POST."""
    job_id = stage.enqueue(payload)
    result = stage.result(job_id)
    (post,) = stage.vendor.posts_of(payload)
    finished_at = result.pop("finishedAt")
    assert list(stage.result(job_id)) == RESULT_KEYS
    assert result == {
        "schema": 1, "jobId": job_id, "status": "submitted", "taskId": post["taskId"],
        "workflow": payload["workflow"], "version": "1.0.0", "attempts": 1, "requestId": post["requestId"],
        "errorCode": None, "errorMsg": None, "possibleDuplicate": False, "metadata": {},
        "queue": DEFAULT_QUEUE,
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", finished_at)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(finished_at)) < timedelta(minutes=1)
    assert uuid.UUID(post["requestId"]).version == 4


@pytest.mark.parametrize("prompt", HOSTILE_PROMPTS.values(), ids=HOSTILE_PROMPTS)
def test_a_prompt_arrives_as_it_came(stage: Stage, prompt: str) -> None:
    """The vendor accepts the signature over any text, and no character of it is changed on the way."""
    payload = text(prompt)
    result = stage.result(stage.enqueue(payload))
    assert result["status"] == "submitted"
    assert [post["taskId"] for post in stage.vendor.posts_of(payload)] == [result["taskId"]]


def test_metadata_comes_back_and_stays_here(stage: Stage) -> None:
    """Metadata is echoed to the letter, however odd, and is no part of what is posted."""
    metadata = {
        "sku": "A-1", "": None, "猫": "\ud83d", "nul": "\x00", "n": [1, -0.0, 1e300, True],
        "typed": {"__type__": "datetime", "__value__": "no time"}, "u": {"__type__": "uuid", "__value__": 7},
    }  # fmt: skip
    payload = faulty()
    result = stage.result(stage.enqueue(payload, metadata=metadata))
    assert json.dumps(result["metadata"]) == json.dumps(metadata)
    assert len(stage.vendor.posts_of(payload)) == 1


def test_channel_and_stream_carry_the_same_bytes(stage: Stage) -> None:
    """Every result, good or bad, is published once and added once, byte for byte the same."""
    before = len(stage.redis.xrange(DEFAULT_RESULTS))
    with stage.listening() as heard:
        jobs = [stage.enqueue(faulty(rule)) for rule in ("", "param_error", "sys_error*1", "garbage", "")]
        jobs.append(stage.enqueue({"workflow": "NOPE"}))
        for job in jobs:
            stage.result(job)
        entries = [fields for _, fields in stage.redis.xrange(DEFAULT_RESULTS)][before:]
        assert all(set(fields) == {RESULT_FIELD.encode()} for fields in entries)
        streamed = [fields[RESULT_FIELD.encode()] for fields in entries]
        assert sorted(json.loads(result)["jobId"] for result in streamed) == sorted(jobs)
        assert until(lambda: len(heard()) >= len(jobs) and heard(), "the channel") == streamed


def test_celerys_own_producer(stage: Stage, shop: Celery) -> None:
    """`send_task` as the contract prints it, from an app that knows nothing of ours."""
    job_id = str(uuid.uuid4())
    payload = faulty()
    kwargs = {"metadata": {"sku": "A-1"}}
    shop.send_task("tasks.submit_workflow", args=[payload], kwargs=kwargs, task_id=job_id, queue="aigc")
    result = stage.result(job_id)
    assert (result["status"], result["metadata"]) == ("submitted", {"sku": "A-1"})


def test_an_unlisted_workflow_is_sent_on_purpose_only(stage: Stage, shop: Celery) -> None:
    """An unknown name is refused without a POST, and sent with its input unchecked where it is marked."""
    payload = {"workflow": "NEW_ONE", "version": "2", "algoInput": {"any": [1, None, str(uuid.uuid4())]}}
    refused = shop.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE).id
    assert stage.result(refused)["status"] == "rejected"
    assert stage.vendor.posts_of(payload) == []
    sent_on = shop.send_task(TASK_NAME, args=[payload], kwargs={"unlisted": True}, queue=DEFAULT_QUEUE).id
    result = stage.result(sent_on)
    assert (result["status"], result["workflow"], result["version"]) == ("submitted", "NEW_ONE", "2")


PRIORITIES = (0, 3, 4, 6, 9)
STEPS = tuple(range(10))
BESIDE_OURS = ("aigc.high", "aigc.low")


@pytest.fixture(scope="module")
def prioritised(stage: Stage) -> dict[object, str]:
    """Jobs of each priority and of each queue, in lists of their own, all sent before any is waited for."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as shop:
        return {
            priority: shop.send_task(TASK_NAME, args=[faulty()], queue=DEFAULT_QUEUE, priority=priority).id
            for priority in PRIORITIES
        } | {
            queue: shop.send_task(TASK_NAME, args=[faulty()], queue=queue, priority=6).id
            for queue in BESIDE_OURS
        }


@pytest.fixture(scope="module")
def of_ten_steps(stage: Stage) -> dict[int, str]:
    """A job in each of ten lists, all sent before any is waited for."""
    with Celery("steps", broker=stage.server.url, set_as_current=False) as shop:
        shop.conf.broker_transport_options = {"priority_steps": STEPS}
        return {
            step: shop.send_task(
                TASK_NAME, args=[faulty("sys_error*1")], queue=DEFAULT_QUEUE, priority=step
            ).id
            for step in STEPS[1:]
        }


@pytest.mark.parametrize("priority", PRIORITIES)
def test_celerys_priorities_are_read(stage: Stage, prioritised: dict[object, str], priority: int) -> None:
    """Kombu puts each priority into a list of its own: a worker reads them all."""
    assert stage.result(prioritised[priority])["status"] == "submitted"


@pytest.mark.parametrize("priority", STEPS[1:])
def test_all_ten_steps_of_a_producer_are_read(
    stage: Stage, of_ten_steps: dict[int, str], priority: int
) -> None:
    """One whose priority_steps are not kombu's own has a list for each number; nothing stays in any."""
    assert stage.result(of_ten_steps[priority])["status"] == "submitted"


@pytest.mark.parametrize("queue", BESIDE_OURS)
def test_a_numbered_priority_beside_ours_is_read(
    stage: Stage, prioritised: dict[object, str], queue: str
) -> None:
    """Of a producer that sends to the urgent queue, or the other one, with Celery's own priority as well."""
    assert stage.result(prioritised[queue])["status"] == "submitted"


def test_a_countdown_is_kept_in_redis(stage: Stage, shop: Celery) -> None:
    """A job for later waits in Redis, held by no worker, and is posted once, not before its time."""
    payload = faulty()
    due = time.monotonic() + 4
    job = shop.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE, countdown=4).id
    until(lambda: stage.waiting() == 1 and stage.held() == 0, "the job to wait in Redis")
    assert stage.result(job)["status"] == "submitted"
    (post,) = stage.vendor.posts_of(payload)
    assert post["arrived"] >= due
    stage.drain()


def test_an_eta_of_the_past_is_now(stage: Stage, shop: Celery) -> None:
    """A job that is overdue is not held back."""
    eta = datetime.now(UTC) - timedelta(days=400)
    job = shop.send_task(TASK_NAME, args=[faulty()], queue=DEFAULT_QUEUE, eta=eta).id
    assert stage.result(job)["status"] == "submitted"


@pytest.fixture
def here(stage: Stage) -> Iterator[None]:
    """`tasks` of this process, set to the stage's Redis."""
    tasks.configure(redis_url=stage.server.url)
    yield
    tasks.configure()


@pytest.mark.usefixtures("here")
def test_a_chain_goes_on_after_the_job(stage: Stage) -> None:
    """In a canvas, the second job starts once the first has ended, also where that took a retry."""
    first, second = faulty("sys_error*1"), faulty()
    chain(tasks.signature(first), tasks.signature(second)).apply_async()
    until(lambda: stage.vendor.posts_of(second), "the second job")
    early, late = stage.vendor.posts_of(first)[-1], stage.vendor.posts_of(second)[0]
    assert early["outcome"] == "accepted"
    assert early["arrived"] < late["arrived"]


@pytest.mark.usefixtures("here")
def test_submit_and_submit_many_reach_the_vendor(stage: Stage) -> None:
    """Our own producer's jobs end like any other's, one by one and in bulk."""
    one = tasks.submit(tasks.TextToImage(input_text="one", width=64, height=64), metadata={"n": 1})
    many = list(tasks.submit_many([faulty() for _ in range(7)], jobs_per_message=3))
    assert {stage.result(job)["status"] for job in [one, *many]} == {"submitted"}
    assert stage.result(one)["metadata"] == {"n": 1}


def test_jobs_of_a_batch_end_each_for_itself(stage: Stage) -> None:
    """In one message of many jobs, each good, bad, failing or malformed one has an ending of its own."""
    good, flaky, lost = faulty(), faulty("sys_error*2"), faulty("reset")
    jobs = [
        Job("b-good", good, {"n": 1}), Job("b-flaky", flaky), Job("b-lost", lost),
        Job("b-bad", {"workflow": "NOPE"}), Job("b-new", {**good, "workflow": "NEW"}, unlisted=True),
    ]  # fmt: skip
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, "batch-1"))
    endings = {job.id: (stage.result(job.id)["status"], stage.result(job.id)["attempts"]) for job in jobs}
    assert endings == {
        "b-good": ("submitted", 1), "b-flaky": ("submitted", 3), "b-lost": ("unknown", 1),
        "b-bad": ("rejected", 0), "b-new": ("submitted", 1),
    }  # fmt: skip
    stage.drain()
    assert [len(stage.results_of(job.id)) for job in jobs] == [1] * 5


def test_an_empty_batch_does_no_harm() -> None:
    """A batch without jobs vanishes, or is put aside; it does not kill one worker after the other."""
    with working() as stage:
        message = encode_batch([Job("none", CAT)], DEFAULT_QUEUE, "a-batch")
        body = b64encode(b"[[[]], {}, {}]").decode()
        stage.redis.lpush(DEFAULT_QUEUE, json.dumps({**json.loads(message), "body": body}))
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
        stage.drain()


def test_a_senseless_batch_does_no_harm(stage: Stage, shop: Celery) -> None:
    """Entries that are none are rejected, the good one among them is sent."""
    good = {"id": "among-bad", "payload": faulty()}
    strange: list[Any] = [
        None,
        7,
        [],
        {},
        {"id": 1, "payload": CAT},
        {"id": "no-payload"},
        good,
        {**good, "id": "x\n"},
    ]
    batch = shop.send_task(BATCH_TASK_NAME, args=[strange], queue=DEFAULT_QUEUE).id
    assert stage.result("among-bad")["status"] == "submitted"
    assert stage.result("no-payload")["status"] == "rejected"
    for index in (0, 1, 2, 3, 4, 7):
        assert stage.result(f"{batch}:{index}")["status"] == "rejected"
    stage.drain()


def test_what_is_sent_has_the_producers_key_order(stage: Stage) -> None:
    """The body is the payload's own JSON: nothing sorted, trimmed or added."""
    payload = {
        "version": "1.0.0",
        "algoInput": dict(reversed(faulty()["algoInput"].items())),
        "workflow": "TEXT2IMAGE",
    }
    assert sent(payload).startswith(b'{"version":"1.0.0","algoInput":{"height":1024,')
    assert stage.result(stage.enqueue(payload))["status"] == "submitted"
    assert len(stage.vendor.posts_of(payload)) == 1
