"""What a scrape says after a known load is what the vendor's own ledger says, kills or not."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tasks.envelope import Job, encode_batch
from tasks.prices import Prices
from tests.conditions import until
from tests.integration.stage import Stage, faulty, text
from tests.integration.ui_service import Metrics, UiService
from tests.redis_server import RedisServer
from worker.store.dead_letters import DeadLetterFilter, DeadLetters
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

KEYS = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS)
PRICE = 0.0123
CLIP = {
    "workflow": "IMAGE2VIDEO", "version": "1.0.0",
    "algoInput": {"inputText": "a walk", "inputImage": "https://img.example.com/a.jpg"},
}  # fmt: skip


def scrape(stage: Stage, folder: Path) -> Metrics:
    """What a service that has just been started tells."""
    with UiService(stage.server.url, folder) as ui:
        metrics = ui.metrics()
        assert ui.stop() == 0
    return metrics


def test_a_scrape_after_a_known_load_equals_the_ledger(stage: Stage, tmp_path: Path) -> None:
    """Two workers; jobs alone and in a batch, accepted, refused, failed and then accepted, unknown, bad."""
    load = {"": 40, "param_error": 3, "sys_error*1": 5, "reset": 2}
    payloads = [faulty(rule) for rule, times in load.items() for _ in range(times)]
    batch = [Job(str(uuid.uuid4()), text(f"of a batch {number}")) for number in range(20)]
    for _ in range(2):
        stage.worker(PRICE__TEXT2IMAGE=PRICE)
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(batch, DEFAULT_QUEUE, "a-batch"))
    for payload in payloads:
        stage.enqueue(payload)
    stage.enqueue(CLIP)
    stage.enqueue({"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {}})
    ends = len(payloads) + len(batch) + 2
    until(lambda: len(stage.results()) == ends, "all results")
    stage.drain()
    metrics, ledger = scrape(stage, tmp_path), stage.vendor.get("stats")
    assert metrics.sum("aigc_attempts_total") == ledger["posts"]
    by_status = Counter(result["status"] for result in stage.results())
    assert metrics.by("aigc_jobs_total", "status") == dict(by_status)
    assert metrics.by("aigc_attempts_total", "outcome")["accepted"] == by_status["submitted"]
    assert metrics.by("aigc_jobs_total", "workflow") == {"TEXT2IMAGE": ends - 1, "IMAGE2VIDEO": 1}
    assert metrics.sum("aigc_attempt_duration_seconds_count") == ledger["posts"]
    assert metrics.sum("aigc_attempt_duration_seconds_sum") > 0
    # Nobody knows when the bad one was queued: its producer did not say, and it was never claimed.
    assert metrics.sum("aigc_job_duration_seconds_count") == ends - 1
    bought = by_status["submitted"] - 1
    assert metrics.sum("aigc_spent_total", workflow="TEXT2IMAGE") == pytest.approx(bought * PRICE)
    assert metrics.by("aigc_spent_total", "workflow").keys() <= {"TEXT2IMAGE"}
    assert metrics.sum("aigc_workers") == 2
    assert metrics.sum("aigc_held_jobs") == by_status["unknown"]
    assert metrics.sum("aigc_queue_jobs") == metrics.sum("aigc_inflight_jobs") == 0


def test_a_kill_loses_no_count_and_doubles_none(stage: Stage, tmp_path: Path) -> None:
    """Of workers that are killed in the middle of their attempts, each attempt is counted by whoever ends the
    job: the accepted as often as they were bought, and each job once."""
    stage.vendor.set("latency", latency_ms=150)
    jobs = [stage.enqueue(text(f"number {number}")) for number in range(120)]
    victim = stage.worker(CONCURRENCY=8)
    until(lambda: stage.vendor.posts > 20 and stage.sending() > 0, "attempts under way")
    victim.kill()
    stage.worker(CONCURRENCY=8)
    until(lambda: {result["jobId"] for result in stage.results()} == set(jobs), "all results")
    stage.drain()
    metrics = scrape(stage, tmp_path)
    by_status = Counter(result["status"] for result in stage.results())
    assert metrics.by("aigc_jobs_total", "status") == dict(by_status)
    outcomes = metrics.by("aigc_attempts_total", "outcome")
    assert outcomes.get("accepted", 0) == by_status["submitted"]
    # Of an attempt that was noted, but not sent before the kill, nobody can know that it was not.
    assert 0 <= sum(outcomes.values()) - stage.vendor.posts <= by_status["unknown"]
    assert metrics.sum("aigc_job_duration_seconds_count") == len(jobs)


def test_what_an_operator_decides_counts_under_the_same_workflow(stage: Stage, tmp_path: Path) -> None:
    """Also once fifty others are counted apart: money is spent on the workflow that was bought."""
    for number in range(50):
        stage.redis.hset(KEYS.metrics, f"w|W{number}", 1)
    stage.redis.hset(KEYS.metrics, "workflows", 50)
    stage.worker(BRAKE_AFTER=0)
    held = stage.enqueue(faulty("reset_after_accept"))
    assert stage.result(held)["status"] == "unknown"
    scripts = Scripts(stage.server.url, (KEYS.queue, KEYS.results), connections=1)
    try:
        dead_letters = DeadLetters(scripts, KEYS, prices=Prices({"TEXT2IMAGE": Decimal("0.5")}))
        (found,) = dead_letters.find(DeadLetterFilter())
        assert dead_letters.accept(found, "task-1", "me")
        assert not dead_letters.accept(found, "task-1", "me")
    finally:
        scripts.close()
    metrics = scrape(stage, tmp_path)
    assert metrics.by("aigc_jobs_total", "workflow") == {"TEXT2IMAGE": 2}
    assert metrics.sum("aigc_spent_total") == metrics.sum("aigc_spent_total", workflow="TEXT2IMAGE") == 0.5
    assert metrics.sum("aigc_job_duration_seconds_count") == 1


def test_lists_that_nobody_reads_are_a_warning(redis_server: RedisServer, tmp_path: Path) -> None:
    """As in `aigc status`, which the alert and its paragraph send people to."""
    client = redis_server.client()
    client.lpush("aigc3", encode_batch([Job("a-job", text("lost"))], DEFAULT_QUEUE, "a-batch"))
    with UiService(redis_server.url, tmp_path) as ui:
        shown = ui.get("/api/status").json()["warnings"]
        assert ["aigc3" in line for line in shown].count(True) == 1
        assert ui.metrics().sum("aigc_warnings") == len(shown)


def test_killing_the_only_worker_shows(stage: Stage, tmp_path: Path) -> None:
    """The metric that the alert is about goes to none, while jobs wait and grow old."""
    worker = stage.worker()
    with UiService(stage.server.url, tmp_path) as ui:
        until(lambda: ui.metrics().sum("aigc_workers") == 1, "the worker")
        worker.kill()
        stage.enqueue(text("waits"), enqueued_ms=round(1000 * time.time()) - 1000)
        until(lambda: ui.metrics().sum("aigc_workers") == 0, "that there is none")
        metrics = until(partial(waiting, ui), "the oldest job's age")
        assert metrics is not None
        assert metrics.sum("celery_queue_length", queue_name=DEFAULT_QUEUE) == 1
        assert metrics.sum("celery_worker_up") == 0


def waiting(ui: UiService) -> Metrics | None:
    metrics = ui.metrics()
    return metrics if metrics.sum("aigc_oldest_job_age_seconds") > 0 else None
