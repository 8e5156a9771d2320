"""Every row of the outcome table through a real worker: status, attempts, POSTs and what the result says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode_batch
from tests.conditions import until
from tests.integration.stage import Stage, faulty, logged, staged, working
from tests.redis_server import RedisServer

MAX_ATTEMPTS = 4
SYS_ERROR = "INTCNN_COMMON_SYS_ERROR"
PARAM_ERROR = "INTCNN_COMMON_PARAM_VALID_ERROR"

# rule: status, attempts, POSTs, errorCode
HELD = {
    "": ("submitted", 1, 1, None),
    "sys_error*2": ("submitted", 3, 3, None),
    "sys_error_500*2": ("submitted", 3, 3, None),
    "sys_error": ("exhausted", MAX_ATTEMPTS, MAX_ATTEMPTS, SYS_ERROR),
    "sys_error_500": ("exhausted", MAX_ATTEMPTS, MAX_ATTEMPTS, SYS_ERROR),
    "throttle*3": ("submitted", 1, 4, None),
    "throttle(1)*1": ("submitted", 1, 2, None),
    "busy*2": ("submitted", 1, 3, None),
    "param_error": ("rejected", 1, 1, PARAM_ERROR),
    "colon": ("rejected", 1, 1, PARAM_ERROR),
    "lower_case": ("rejected", 1, 1, PARAM_ERROR.lower()),
    "unknown_code": ("rejected", 1, 1, "INTCNN_AIGC_QUOTA_EXCEEDED"),
    "unknown_code(502)": ("unknown", 1, 1, "INTCNN_AIGC_QUOTA_EXCEEDED"),
    "unknown_code(504)": ("unknown", 1, 1, "INTCNN_AIGC_QUOTA_EXCEEDED"),
    "hang": ("unknown", 1, 1, "AIGC_READ_TIMEOUT"),
    "hang_before": ("unknown", 1, 1, "AIGC_READ_TIMEOUT"),
    "drip(0.2)": ("unknown", 1, 1, None),
    "reset": ("unknown", 1, 1, "AIGC_CONNECTION_LOST"),
    "reset_after_accept": ("unknown", 1, 1, "AIGC_CONNECTION_LOST"),
    "html_502": ("unknown", 1, 1, "AIGC_HTTP_502"),
    "html_504": ("unknown", 1, 1, "AIGC_HTTP_504"),
    "garbage": ("unknown", 1, 1, "AIGC_NOT_JSON"),
    "no_task_id": ("unknown", 1, 1, "AIGC_NO_TASK_ID"),
    "number_task_id": ("unknown", 1, 1, "AIGC_NO_TASK_ID"),
    "nested_task_id(500)": ("unknown", 1, 1, "AIGC_NO_TASK_ID"),
    "long_task_id": ("unknown", 1, 1, "AIGC_NO_TASK_ID"),
    "trailing": ("unknown", 1, 1, "AIGC_NOT_JSON"),
    "trailing(429)": ("unknown", 1, 1, "AIGC_HTTP_429"),
    "text_success": ("unknown", 1, 1, "AIGC_NOT_JSON"),
    "text_success(400)": ("unknown", 1, 1, "AIGC_HTTP_400"),
    "cut": ("unknown", 1, 1, "AIGC_TRUNCATED"),
    "cut(503)": ("unknown", 1, 1, "AIGC_HTTP_503"),
    "contradiction": ("unknown", 1, 1, "AIGC_NOT_JSON"),
    "sys_error_with_task_id": ("unknown", 1, 1, "AIGC_TASK_ID_WITHOUT_SUCCESS"),
    "param_error_with_task_id": ("unknown", 1, 1, "AIGC_TASK_ID_WITHOUT_SUCCESS"),
    "auth_error_with_task_id": ("unknown", 1, 1, "AIGC_TASK_ID_WITHOUT_SUCCESS"),
    "status(406)": ("unknown", 1, 1, "AIGC_HTTP_406"),
    "status(413)": ("rejected", 1, 1, "AIGC_HTTP_413"),
    "accepted_status": ("submitted", 1, 1, None),
    "accepted_status(302)": ("submitted", 1, 1, None),
    "bom": ("submitted", 1, 1, None),
    "huge": ("unknown", 1, 1, "AIGC_TRUNCATED"),
    "slow(500)": ("submitted", 1, 1, None),
}
# rule: status, attempts, POSTs, possibleDuplicate
RESUBMITTED = {
    "hang*1": ("submitted", 2, 2, True),
    "reset_after_accept*2": ("submitted", 3, 3, True),
    "html_502*1": ("submitted", 2, 2, True),
    "garbage": ("unknown", MAX_ATTEMPTS, MAX_ATTEMPTS, True),
    "sys_error*1": ("submitted", 2, 2, False),
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working(MAX_ATTEMPTS=MAX_ATTEMPTS, READ_TIMEOUT_S=2) as stage:
        yield stage


@pytest.fixture(scope="module")
def resubmitting() -> Iterator[Stage]:
    with working(MAX_ATTEMPTS=MAX_ATTEMPTS, READ_TIMEOUT_S=2, ON_UNKNOWN="resubmit") as stage:
        yield stage


@pytest.mark.parametrize("rule", HELD)
def test_each_outcome_ends_as_the_table_says(stage: Stage, rule: str) -> None:
    """The vendor's behaviour decides status, attempts, POSTs and error code, and whose request id is told."""
    status, attempts, posts, code = HELD[rule]
    stage.result(stage.enqueue(faulty()))  # the vendor works: no outage
    payload = faulty(rule)
    job = stage.enqueue(payload)
    result = stage.result(job)
    posted = stage.vendor.posts_of(payload)
    assert (result["status"], result["attempts"], len(posted)) == (status, attempts, posts), result
    assert result["requestId"] == posted[-1]["requestId"]
    assert len({post["requestId"] for post in posted}) == posts
    assert result["possibleDuplicate"] is False
    if code or status == "submitted":
        assert result["errorCode"] == code
    assert result["taskId"] == (posted[-1]["taskId"] if status == "submitted" else None)
    assert sum(post["taskId"] is not None for post in posted) <= 1
    stage.drain()
    assert len(stage.results_of(job)) == 1


@pytest.mark.parametrize("rule", RESUBMITTED)
def test_resubmit_buys_again_and_says_so(resubmitting: Stage, rule: str) -> None:
    """With AIGC_ON_UNKNOWN=resubmit an unknown attempt is retried, and the result owns up to it."""
    status, attempts, posts, duplicate = RESUBMITTED[rule]
    resubmitting.result(resubmitting.enqueue(faulty()))
    payload = faulty(rule)
    result = resubmitting.result(resubmitting.enqueue(payload))
    assert (result["status"], result["attempts"]) == (status, attempts)
    assert len(resubmitting.vendor.posts_of(payload)) == posts
    assert result["possibleDuplicate"] is duplicate


def test_unknown_then_exhausted_stays_unknown(resubmitting: Stage) -> None:
    """Where one attempt may have been accepted, a job whose retries run out is unknown, never exhausted."""
    payload = faulty("hang*1")
    payload["algoInput"]["inputText"] += "[[sys_error]]"
    result = resubmitting.result(resubmitting.enqueue(payload))
    assert (result["status"], result["possibleDuplicate"]) == ("unknown", True)
    assert len(resubmitting.vendor.posts_of(payload)) == MAX_ATTEMPTS


def test_retry_after_is_obeyed_up_to_the_cap(stage: Stage) -> None:
    """The next POST of a throttled job keeps the distance that the vendor asked for, at most the cap."""
    payload = faulty("throttle(3600)*1")
    stage.result(stage.enqueue(payload))
    first, second = stage.vendor.posts_of(payload)
    assert second["arrived"] - first["arrived"] >= 0.4


def test_a_waiting_job_holds_nothing_of_the_worker(redis_server: RedisServer) -> None:
    """Far more jobs than threads wait for their next attempt while a fresh one goes through at once."""
    with staged(redis_server) as stage:
        stage.worker(CONCURRENCY=2, RETRY_BASE_S=3600, RETRY_CAP_S=3600)
        for _ in range(8):
            stage.result(stage.enqueue(faulty()))  # amid successes a fault is the job's own, and no outage
            stage.enqueue(faulty("sys_error"))
        until(lambda: stage.waiting() == 8, "the jobs to wait")
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
        until(
            lambda: (stage.waiting(), stage.held(), stage.sending()) == (8, 0, 0), "nothing else to be left"
        )


def test_backoff_grows(redis_server: RedisServer) -> None:
    """The ceilings of full jitter double, so the later gaps of many jobs are longer than their first ones."""
    with staged(redis_server) as stage:
        stage.worker(RETRY_BASE_S=0.05, RETRY_CAP_S=60, MAX_ATTEMPTS=8)
        payloads = [faulty("sys_error*6") for _ in range(4)]
        for good in [stage.enqueue(faulty()) for _ in range(100)]:
            stage.result(good)
        jobs = {stage.enqueue(payload) for payload in payloads}

        def ended_amid_successes() -> bool:
            stage.enqueue(faulty())  # a vendor that fails every job is an outage, and its jobs wait uncounted
            return jobs <= {result["jobId"] for result in stage.results()}

        until(ended_amid_successes, "the results")
        assert {stage.result(job)["attempts"] for job in jobs} == {7}
        gaps = [
            [late["arrived"] - early["arrived"] for early, late in pairwise(stage.vendor.posts_of(payload))]
            for payload in payloads
        ]
        first, *_, last = (sum(nth) for nth in zip(*gaps, strict=True))
        assert last > first


@pytest.mark.parametrize("status", [500, 400, 200])
def test_the_vendors_code_outranks_the_http_status(redis_server: RedisServer, status: int) -> None:
    """A fault in the vendor's own words is retried, a bad parameter is not, whatever the HTTP status."""
    with staged(redis_server, error_status=status) as stage:
        stage.worker(MAX_ATTEMPTS=2)
        fault, bad = stage.enqueue(faulty("sys_error")), stage.enqueue(faulty("param_error"))
        assert (stage.result(fault)["status"], stage.result(fault)["attempts"]) == ("exhausted", 2)
        assert (stage.result(bad)["status"], stage.result(bad)["attempts"]) == ("rejected", 1)


@pytest.mark.parametrize("rule", ["throttle", "auth_error", "sys_error"])
def test_the_deadline_ends_a_job(redis_server: RedisServer, rule: str) -> None:
    """A job whose deadline passes before anything was accepted is exhausted, counted attempts or none."""
    with staged(redis_server) as stage:
        stage.worker(JOB_DEADLINE_S=1, MAX_ATTEMPTS=1000, RETRY_CAP_S="0.2")
        result = stage.result(stage.enqueue(faulty(rule)))
        assert result["status"] == "exhausted"
        assert (result["attempts"] > 0) is (rule == "sys_error")
        assert result["requestId"]


def test_an_unreachable_vendor_is_waited_for(redis_server: RedisServer) -> None:
    """Nothing was sent, so nothing is counted: the job goes through once the vendor listens."""
    with staged(redis_server) as stage:
        worker = stage.worker(ENDPOINT="http://127.0.0.1:9")
        job = stage.enqueue(faulty())
        until(lambda: stage.waiting() == 1, "the job to wait")
        assert worker.terminate() == 0
        stage.worker()
        result = stage.result(job)
        assert (result["status"], result["attempts"]) == ("submitted", 1)


def test_redirects_are_never_followed(redis_server: RedisServer) -> None:
    """A redirect is somebody else's address: it stops intake, harms no job, and is not visited."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        stage.vendor.set("rules", rules=["redirect"])
        jobs = [stage.enqueue(faulty()) for _ in range(20)]
        logged(worker, "intake pauses")
        stage.vendor.set("rules", rules=[])
        assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
        assert stage.vendor.get("stats")["redirects_followed"] == 0


@pytest.mark.parametrize("status", [405, 415])
def test_a_refusal_before_the_application_harms_no_job(redis_server: RedisServer, status: int) -> None:
    """Jobs that a gateway turns away for what they all have in common wait until it lets them through."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        stage.vendor.set("rules", rules=[f"status({status})"])
        jobs = [stage.enqueue(faulty()) for _ in range(5)]
        logged(worker, "intake pauses")
        stage.vendor.set("rules", rules=[])
        ended = [stage.result(job) for job in jobs]
        assert {(result["status"], result["attempts"]) for result in ended} == {("submitted", 1)}
        assert stage.vendor.get("stats")["duplicates"] == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_by_an_unknown_code_harms_no_job(
    redis_server: RedisServer, status: int
) -> None:
    """All wait, few are tried, and all are submitted once it is enabled again."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        stage.result(stage.enqueue(faulty()))
        stage.vendor.set("rules", rules=[f"unknown_code({status})"])
        jobs = enqueue_many(stage, 100, batched=True)
        logged(worker, "intake pauses", "AIGC_SECRET_KEY")
        posts = stage.vendor.posts
        assert (len(stage.results()), posts < 80) == (1, True)
        stage.vendor.set("rules", rules=[])
        ended = [stage.result(job) for job in jobs]
        assert {(result["status"], result["attempts"]) for result in ended} == {("submitted", 1)}


def test_a_job_that_is_refused_alone_ends(redis_server: RedisServer) -> None:
    """Three times while others are accepted: it is the job, and no worker's configuration."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        stage.result(stage.enqueue(faulty()))
        payload = faulty("unknown_code(403)")
        odd = stage.enqueue(payload)

        def ended_amid_successes() -> bool:
            stage.result(stage.enqueue(faulty()))
            return bool(stage.results_of(odd))

        until(ended_amid_successes, "the job's end")
        result = stage.result(odd)
        assert (result["status"], result["attempts"]) == ("rejected", 1)
        assert result["errorCode"] == "INTCNN_AIGC_QUOTA_EXCEEDED"
        assert len(stage.vendor.posts_of(payload)) == 3
        assert "intake pauses" not in worker.output()


def test_jobs_that_fail_by_themselves_leave_probes_to_others(redis_server: RedisServer) -> None:
    """Some that the vendor always fails open the breaker; it closes once one behind them has had its turn."""
    with staged(redis_server) as stage:
        worker = stage.worker(BRAKE_AFTER="4", PROBE_MAX_S="0.2", MAX_ATTEMPTS="20")
        for _ in range(6):
            stage.enqueue(faulty("sys_error"))
        logged(worker, "the vendor is down")
        jobs = [stage.enqueue(faulty()) for _ in range(3)]
        assert {stage.result(job)["status"] for job in jobs} == {"submitted"}


@pytest.mark.parametrize("batched", [False, True])
def test_a_wrong_secret_harms_no_job(redis_server: RedisServer, batched: bool) -> None:
    """Few POSTs tell that the key is wrong; every job is submitted once a worker has the right one."""
    with staged(redis_server) as stage:
        jobs = enqueue_many(stage, 100, batched)
        worker = stage.worker(SECRET_KEY="wrong-secret-of-tests")
        logged(worker, "intake pauses", "AIGC_SECRET_KEY")
        assert worker.terminate() == 0
        assert stage.vendor.posts < 10
        assert stage.results() == []
        stage.worker()
        assert [stage.result(job)["attempts"] for job in jobs] == [1] * len(jobs)
        assert {result["status"] for result in stage.results()} == {"submitted"}
        assert stage.vendor.get("stats")["duplicates"] == 0


def enqueue_many(stage: Stage, count: int, batched: bool) -> list[str]:
    if not batched:
        return [stage.enqueue(faulty()) for _ in range(count)]
    jobs = [Job(str(uuid.uuid4()), faulty()) for _ in range(count)]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, str(uuid.uuid4())))
    return [job.id for job in jobs]
