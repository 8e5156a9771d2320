"""A shop tests its own code without Redis: what it submitted is captured, and results are played."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, group

import tasks
from tasks import Submission, batches, broker, dedupe, outputs, results
from tasks.contract import BATCH_TASK_NAME, TASK_NAME
from tasks.testing import CapturedJobs, capture
from tests.unit.tasks.samples import text_to_image

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def jobs() -> Iterator[CapturedJobs]:
    """What is submitted; there is no Redis that anything could reach."""
    tasks.configure(redis_url=NOWHERE)
    with capture() as captured:
        yield captured
    tasks.configure()


@pytest.fixture
def shop() -> Iterator[Celery]:
    """A program's own app, as its tests configure it."""
    with Celery("shop", broker="memory://", set_as_current=False) as app:
        yield app
        app.conf.task_always_eager = False  # others find the app until it is collected


def test_every_way_to_submit_is_captured(jobs: CapturedJobs, shop: Celery) -> None:
    """With all that is known of the job, in order."""
    first = tasks.submit(text_to_image(), metadata={"sku": "A-1"}, priority="high", batch="nightly")
    many = list(tasks.submit_many([text_to_image(), Submission(text_to_image(), "mine", dedupe_key="k")]))
    later = tasks.submit(text_to_image(), countdown=60, priority=3)
    drawn = tasks.signature(text_to_image(), metadata={"a": 1}).apply_async().id
    group(tasks.signature(text_to_image()) for _ in range(2)).apply_async()
    in_loop = asyncio.run(tasks.submit_async(text_to_image(), priority="low"))
    raw = shop.send_task(TASK_NAME, args=[text_to_image()], kwargs={"metadata": {"b": 2}}, queue="aigc").id
    entries = [{"id": "entry", "payload": text_to_image()}]
    shop.send_task(BATCH_TASK_NAME, args=[entries], queue="aigc.high")
    assert [job.id for job in jobs if job not in jobs[5:7]] == [
        *(first, *many, later, drawn, in_loop, raw, "entry"),
    ]
    assert len(jobs) == 10
    assert {job.workflow for job in jobs} == {"TEXT2IMAGE"}
    assert (jobs[0].payload, jobs[0].metadata, jobs[0].priority, jobs[0].batch) == (
        *(text_to_image(), {"sku": "A-1"}, "high", "nightly"),
    )
    assert (jobs[2].id, jobs[2].dedupe_key) == ("mine", "k")
    assert (jobs[3].options["countdown"], jobs[3].priority) == (60, 3)
    assert jobs.of(drawn).metadata == {"a": 1}
    assert (jobs.of(in_loop).priority, jobs.of(raw).metadata) == ("low", {"b": 2})
    assert jobs.of("entry").priority == "high"


def test_input_that_is_wrong_raises_as_it_does_elsewhere(jobs: CapturedJobs) -> None:
    """And is not captured."""
    with pytest.raises(tasks.InvalidPayload, match="algoInput"):
        tasks.submit({"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {}})
    with pytest.raises(TypeError, match="countdown and eta"):
        tasks.signature(text_to_image(), countdown=1, eta=2)
    with pytest.raises(ValueError, match="priority"):
        tasks.submit(text_to_image(), priority="urgent")  # type: ignore[arg-type]
    with pytest.raises(tasks.InvalidPayload, match=r"\[1\]"):
        list(tasks.submit_many([text_to_image(), {}]))
    assert len(jobs) == 1


def test_a_job_that_a_worker_would_refuse_is_refused(jobs: CapturedJobs, shop: Celery) -> None:
    """One that an app sent by its name, unchecked."""
    job_id = shop.send_task(TASK_NAME, args=[{"workflow": "TEXT2IMAGE"}], queue="aigc").id
    assert (result := results.get(job_id))
    assert (result.status, result.attempts, result.error_code) == ("rejected", 0, "AIGC_INVALID_PAYLOAD")


def test_dedupe_keys_hold_as_they_do(jobs: CapturedJobs) -> None:
    """The first job's id for all, until it ends without a purchase."""
    first = tasks.submit(text_to_image(), dedupe_key="k")
    assert asyncio.run(tasks.submit_async(text_to_image(), dedupe_key="k")) == first
    assert list(tasks.submit_many([Submission(text_to_image(), dedupe_key="k")])) == [first]
    assert dedupe.holders(["k", "other"]) == [first, None]
    jobs.finish(first, "rejected")
    second = tasks.submit(text_to_image(), dedupe_key="k")
    assert second != first
    jobs.finish(second)
    assert tasks.submit(text_to_image(), dedupe_key="k") == second
    assert tasks.submit(text_to_image(), dedupe_key="brief", dedupe_ttl_s=1e-9) != tasks.submit(
        text_to_image(), dedupe_key="brief"
    )


def test_results_that_are_played_are_read_in_every_way(jobs: CapturedJobs) -> None:
    """By whoever waits already, and by who comes later; in threads and in loops."""
    job_id = tasks.submit(text_to_image(), metadata={"sku": "A-1"})
    assert results.get(job_id) is None
    with pytest.raises(TimeoutError):
        results.wait(job_id, timeout_s=0.01)

    async def handler() -> tasks.Result:
        waiting = asyncio.create_task(results.wait_async(job_id, timeout_s=20))
        live = asyncio.create_task(anext(results.alisten()))
        await asyncio.sleep(0)
        threading.Thread(target=lambda: jobs.finish(job_id, task_id="t-1")).start()
        assert (await live).job_id == job_id
        return await waiting

    result = asyncio.run(handler())
    assert (result.status, result.task_id, result.metadata) == ("submitted", "t-1", {"sku": "A-1"})
    assert results.get(job_id) == results.wait(job_id) == result == jobs.of(job_id).result
    assert list(results.replay()) == jobs.told == [result]
    seen: list[tasks.Result] = []
    jobs.when_ended(job_id, seen.append)
    assert seen == [result]
    assert list(results.listen(idle_timeout_s=0)) == []
    assert [each.job_id for each in results.consume("shop", idle_timeout_s=0)] == [job_id]
    assert list(results.consume("shop", idle_timeout_s=0)) == []


def test_a_result_that_a_consumer_did_not_handle_comes_again(jobs: CapturedJobs) -> None:
    """As it does elsewhere: handled is what the next one was asked for after."""
    jobs.answer_with("exhausted", error_code="INTCNN_COMMON_SYS_ERROR")
    job_id = tasks.submit(text_to_image())
    for result in (consumer := results.consume("shop", idle_timeout_s=0)):
        assert result.error_code == "INTCNN_COMMON_SYS_ERROR"
        break
    consumer.close()
    assert [each.job_id for each in results.consume("shop", idle_timeout_s=0)] == [job_id]


def test_a_handler_that_submits_and_waits_is_answered_at_once(jobs: CapturedJobs) -> None:
    """Each job ends as the test says, or as its function says for the job."""
    jobs.answer_with("submitted", task_id="t-9")
    assert results.wait(tasks.submit(text_to_image()), timeout_s=1).task_id == "t-9"
    jobs.when_submitted(lambda job: jobs.finish(job.id, "rejected", error_code=str(job.metadata["n"])))
    assert results.wait(tasks.submit(text_to_image(), metadata={"n": 1}), timeout_s=1).error_code == "1"


def test_outputs_that_are_played_are_read_in_every_way(jobs: CapturedJobs) -> None:
    """With what the task's job says; results are another stream, and a group of one is none of the other."""
    job_id = tasks.submit(text_to_image(), metadata={"sku": "A-1"})
    jobs.finish(job_id, task_id="t-1")
    assert outputs.get("t-1") is None

    async def handler() -> tasks.Output:
        waiting = asyncio.create_task(outputs.wait_async("t-1", timeout_s=20))
        live = asyncio.create_task(anext(outputs.alisten()))
        await asyncio.sleep(0)
        threading.Thread(target=lambda: jobs.finish_task("t-1", file="memory://a.png", bytes=67)).start()
        assert (await live).task_id == "t-1"
        return await waiting

    output = asyncio.run(handler())
    assert (output.status, output.vendor_status, output.url) == (
        *("succeeded", "SUCCESS", "https://files.example/t-1.png"),
    )
    assert (output.job_id, output.workflow, output.version) == (job_id, "TEXT2IMAGE", "1.0.0")
    assert (output.file, output.bytes, output.metadata) == ("memory://a.png", 67, {"sku": "A-1"})
    assert outputs.get("t-1") == outputs.wait("t-1") == output
    assert list(outputs.replay()) == [output]
    assert [each.job_id for each in results.consume("shop", idle_timeout_s=0)] == [job_id]
    assert list(outputs.consume("shop", idle_timeout_s=0)) == [output]


def test_a_task_may_fail_be_lost_or_be_bought_elsewhere(jobs: CapturedJobs) -> None:
    """Of the latter no job is known; one task has one output."""
    failed = jobs.finish_task("t-1", "failed", vendor_status="TIMEOUT")
    assert (failed.vendor_status, failed.url, failed.job_id, failed.metadata) == ("TIMEOUT", None, None, {})
    assert jobs.finish_task("t-2", "failed").vendor_status == "AIGC_ERROR"
    assert (lost := jobs.finish_task("t-3", "lost")).vendor_status == "RUNNING"
    assert outputs.wait("t-3", timeout_s=0) == lost
    with pytest.raises(ValueError, match="task t-1 has ended already"):
        jobs.finish_task("t-1")
    with pytest.raises(ValueError, match="status must be one of succeeded, failed, lost"):
        jobs.finish_task("t-4", "done")  # type: ignore[arg-type]
    with pytest.raises(tasks.InvalidPayload, match="task_id: must be"):
        jobs.finish_task("")
    with pytest.raises(TimeoutError, match="task t-4 has not ended within"):
        outputs.wait("t-4", timeout_s=0.01)


def test_batches_are_counted_by_what_was_captured(jobs: CapturedJobs) -> None:
    """Progress, closing, cancelling and waiting are those of `tasks.batches`."""
    with pytest.raises(batches.NoSuchBatch):
        batches.progress("nightly")
    first, second = tasks.submit_many([text_to_image(), text_to_image()], batch="nightly")
    third = tasks.submit(text_to_image(), batch="nightly", countdown=5)
    jobs.finish(first)
    found = batches.close("nightly")
    assert found.total == 3
    assert (found.waiting, found.statuses["submitted"], found.closed, found.finished) == (2, 1, True, False)
    cancelled = batches.cancel("nightly")
    assert (cancelled.cancelled, cancelled.bought) == (2, 1)
    assert batches.wait("nightly", timeout_s=1).finished
    assert [jobs.of(job_id).result is None for job_id in (second, third)] == [False, False]
    assert batches.names() == ["nightly"]
    tasks.submit(text_to_image(), batch="nightly")
    assert not batches.progress("nightly").closed


def test_cancelled_jobs_end_so(jobs: CapturedJobs) -> None:
    """Also one that comes after its cancellation; what was bought stays."""
    queued, bought = tasks.submit(text_to_image()), tasks.submit(text_to_image())
    jobs.finish(bought)
    assert [tasks.cancel(queued), tasks.cancel(bought), tasks.cancel("later"), tasks.cancel(queued)] == [
        *(True, False, True, True),
    ]
    tasks.submit(text_to_image(), job_id="later")
    ended = [results.wait(job_id, timeout_s=1).status for job_id in (queued, bought, "later")]
    assert ended == ["cancelled", "submitted", "cancelled"]


def test_a_job_submitted_again_is_one_purchase(jobs: CapturedJobs) -> None:
    """It is told again where it was bought, and runs again where it was not."""
    for _ in range(2):
        tasks.submit(text_to_image(), job_id="a")
    jobs.finish("a", "unknown")
    jobs.finish("a", "exhausted", possible_duplicate=True)
    tasks.submit(text_to_image(), job_id="a")
    assert results.get("a") is None
    jobs.finish("a")
    tasks.submit(text_to_image(), job_id="a")
    assert (len(jobs), jobs[0].submissions) == (1, 4)
    assert [result.status for result in results.replay()] == [
        "unknown",
        "exhausted",
        "submitted",
        "submitted",
    ]


def test_a_test_that_plays_nonsense_is_told(jobs: CapturedJobs) -> None:
    """By words that help to mend it."""
    job_id = tasks.submit(text_to_image())
    with pytest.raises(LookupError, match=f"no job 'x' was submitted; these were: \\['{job_id}'\\]"):
        jobs.finish("x")
    with pytest.raises(ValueError, match="status must be one of submitted, "):
        jobs.finish(job_id, "done")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only a submitted job"):
        jobs.finish(job_id, "rejected", task_id="t")
    jobs.finish(job_id)
    with pytest.raises(ValueError, match="has ended already: submitted"):
        jobs.finish(job_id)


def test_eager_apps_run_a_canvas_at_once(jobs: CapturedJobs, shop: Celery) -> None:
    """The job is captured, and the next task gets the fields of its result."""
    seen: list[Any] = []
    shop.conf.task_always_eager = True

    @shop.task(shared=False)  # type: ignore[untyped-decorator]
    def publish(result: dict[str, Any]) -> None:
        seen.append((result["jobId"], result["status"]))

    chain(tasks.signature(text_to_image()), publish.s()).apply()
    assert seen == [(jobs[0].id, "submitted")]
    jobs.answer_with("rejected")
    with pytest.raises(tasks.JobFailed, match="is rejected"):
        chain(tasks.signature(text_to_image()), publish.s()).apply()
    assert len(seen) == 1


def test_outside_all_is_as_before_and_inside_nothing_reaches_redis(shop: Celery) -> None:
    """One switch, also nested."""
    tasks.configure(redis_url=NOWHERE)
    shop.conf.task_always_eager = True
    try:
        with capture() as outer:
            with capture() as inner:
                tasks.submit(text_to_image())
                with pytest.raises(tasks.BrokerUnavailable, match=r"within tasks\.testing\.capture"):
                    broker.redis_client()
            tasks.submit(text_to_image())
            assert (len(outer), len(inner)) == (1, 1)
        with pytest.raises(tasks.SettingsError, match=r"tasks\.testing\.capture\(\)"):
            tasks.submit(text_to_image())
        shop.conf.task_always_eager = False
        with pytest.raises(tasks.BrokerUnavailable, match="Connection refused"):
            tasks.submit(text_to_image())
    finally:
        tasks.configure()
