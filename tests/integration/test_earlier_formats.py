"""What an earlier version left in Redis and on disk, this version's workers finish: each job, once.

tests/data/formats/ holds it as that version wrote it; `tests.upgrade.record` says how.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks import batches
from tasks.contract import DEFAULT_QUEUE
from tasks.redis_url import place_of
from tasks.results import consume
from tests.integration.stage import Stage, staged, until
from tests.redis_server import RedisServer
from tests.upgrade import snapshot
from worker.local.inflight_folder import LogFolder
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

FORMATS = Path(__file__).parents[1] / "data" / "formats"
BOUGHT_BEFORE = {"ended-bought", "ended-bought-too", "left-steps", "answered"}
NEVER_BOUGHT = {"cancelled", "ended-rejected"}
IN_DOUBT = {"ended-unknown", "ended-unknown-too", "sent"}
KEYS = KeyNames("aigc", "aigc:results")


@dataclass
class Left:
    """What was left, with a worker of this version that has finished it."""

    stage: Stage
    about: dict[str, Any]

    def posts(self, job_id: str) -> int:
        return len(self.stage.vendor.posts_of(self.about["payloads"][job_id]))

    def results(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for result in self.stage.results():
            found.setdefault(result["jobId"], []).append(result)
        return found


@pytest.fixture(scope="module", params=sorted(FORMATS.iterdir()), ids=lambda folder: folder.name)
def left(request: pytest.FixtureRequest) -> Iterator[Left]:
    with RedisServer() as server, staged(server) as stage:
        logs = LogFolder.of_queue(Path(stage.directory), place_of(server.url), DEFAULT_QUEUE)
        about = snapshot.restore(stage.redis, request.param, logs)
        stage.redis.delete(f"{DEFAULT_QUEUE}:paused")
        for job_id in stage.redis.zrange(f"{DEFAULT_QUEUE}:waiting", 0, -1):
            stage.redis.zadd(f"{DEFAULT_QUEUE}:waiting", {job_id: 1})  # due long ago
        stage.worker(JOB_DEADLINE_S=10**9, CALLBACK_QUEUE="shop")
        until(lambda: _have_ended(stage, about), "all jobs to have ended")
        stage.drain()
        yield Left(stage, about)


def _have_ended(stage: Stage, about: dict[str, Any]) -> bool:
    ended: set[str] = {result["jobId"] for result in stage.results()}
    return ended.issuperset(about["payloads"])


def test_each_job_ends_once_as_it_had_to(left: Left) -> None:
    """Messages, batches, what waits, a backlog and an orphan; and what was bought before keeps its task."""
    statuses = {job_id: [each["status"] for each in told] for job_id, told in left.results().items()}
    expected = dict.fromkeys(left.about["payloads"], "submitted")
    expected |= {"ended-rejected": "rejected", "cancelled": "cancelled", **dict.fromkeys(IN_DOUBT, "unknown")}
    assert statuses == {job_id: [status] for job_id, status in expected.items()}
    bought = {told[0]["taskId"] for job_id, told in left.results().items() if job_id in BOUGHT_BEFORE}
    assert bought < set(left.about["bought"])


def test_nothing_is_bought_a_second_time(left: Left) -> None:
    """What had been bought, or may have been, is not sent again; all else is bought once."""
    before = BOUGHT_BEFORE | NEVER_BOUGHT | IN_DOUBT
    assert {job_id: left.posts(job_id) for job_id in before} == dict.fromkeys(before, 0)
    bills = Counter(post["sha256"] for post in left.stage.vendor.get("ledger"))
    assert len(bills) == len(left.about["payloads"].keys() - before)
    assert set(bills.values()) == {1}


def test_what_was_one_step_from_its_end_has_the_rest_done(left: Left) -> None:
    """No step is left of any job, and no in-flight log of a dead worker."""
    client = left.stage.redis
    assert client.hget(f"{DEFAULT_QUEUE}:job:left-steps", "p") is None
    assert not client.exists(f"{DEFAULT_QUEUE}:unfinished")
    assert len(list(Path(left.stage.directory).glob("in-flight-*"))) == len(left.stage.living()) == 1


def test_jobs_of_a_named_batch_are_counted_in_it(left: Left) -> None:
    """Where that version knew such batches."""
    if not left.about["knows_batches"]:
        return
    tasks.configure(redis_url=left.stage.server.url)
    progress = batches.progress("night")
    assert (progress.total, progress.statuses["submitted"]) == (2, 2)


def test_callbacks_of_an_earlier_producer_are_sent(left: Left) -> None:
    """Once its job has ended, to the queue that it names."""
    until(lambda: left.stage.redis.llen("shop") == 1, "the callback")


def test_a_consumer_goes_on_where_it_stopped(left: Left) -> None:
    """Its group has the result that it had not acknowledged, and then all others, each once."""
    tasks.configure(redis_url=left.stage.server.url)
    expected = [result["jobId"] for result in left.stage.results()]
    found = [result.job_id for result in consume("shop", "reader", idle_timeout_s=0, claim_idle_ms=1)]
    assert sorted(found) == sorted(expected)


def test_a_dedupe_key_holds(left: Left) -> None:
    """The job that was bought under it is not bought again."""
    tasks.configure(redis_url=left.stage.server.url)
    payload = left.about["payloads"]["queued-keyed"]
    assert tasks.submit(payload, dedupe_key="order-1") == "queued-keyed"


def test_a_job_that_was_bought_and_comes_again_is_not_bought_again(left: Left) -> None:
    """Its result is published once more, by its record."""
    tasks.configure(redis_url=left.stage.server.url)
    known = left.results()["ended-bought"][0]
    tasks.submit(left.about["payloads"]["ended-bought"], job_id="ended-bought")
    until(lambda: len(left.results()["ended-bought"]) == 2, "the result again")
    assert left.results()["ended-bought"][1]["taskId"] == known["taskId"]
    assert left.posts("ended-bought") == 0


def test_an_operator_decides_about_what_was_held(left: Left) -> None:
    """Accepted with a task id, or queued again, by the message that was kept with it."""
    scripts = Scripts(left.stage.server.url, (KEYS.queue, KEYS.results))
    letters = DeadLetters(scripts, KEYS)
    one, other = letters.get("ended-unknown"), letters.get("ended-unknown-too")
    assert one is not None
    assert other is not None
    assert letters.accept(one, "task-9", "me")
    assert letters.retry(other, "me") == 1
    until(lambda: len(left.results()["ended-unknown-too"]) == 2, "its second end")
    assert left.results()["ended-unknown"][-1]["taskId"] == "task-9"
    assert left.posts("ended-unknown-too") == 1
    scripts.close()
