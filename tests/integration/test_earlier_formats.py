"""What an earlier version left in Redis and on disk, this version's workers finish: each job, once.

tests/data/formats/ holds it as that version wrote it; `tests.upgrade.record` says how.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

import tasks
from tasks import batches
from tasks.contract import DEFAULT_QUEUE
from tasks.outputs import consume as consume_outputs
from tasks.redis_url import place_of
from tasks.results import consume
from tests.conditions import until
from tests.integration.followed import outputs
from tests.integration.left_behind import Left
from tests.integration.stage import staged
from tests.integration.webhook_endpoint import KEYS, listening
from tests.redis_server import RedisServer
from tests.upgrade import snapshot
from tests.upgrade.services import commands_of_this_version
from worker.dev.sandbox.files import file_of
from worker.local.inflight_folder import LogFolder
from worker.store import history
from worker.store.dead_letters import DeadLetters
from worker.store.scripts import Scripts

FORMATS = Path(__file__).parents[1] / "data" / "formats"
FOLLOWED = {
    "task-ended", "task-ended-too", "task-unstored", "task-open", "task-asked", "task-keeping",
    "task-keep-later", "task-left-steps",
}  # fmt: skip
BOUGHT_BEFORE = {"ended-bought", "ended-bought-too", "left-steps", "answered"} | FOLLOWED
NEVER_BOUGHT = {"cancelled", "ended-rejected"}
KEPT_IN_TWO = {"task-keeping", "task-keep-later"}
"""Tasks of which the worker before knew that they have a file: that day is in its name."""

RETRIED = ("ended-unknown", "job.unknown")
IN_DOUBT = {"ended-unknown", "ended-unknown-too", "sent"}


@pytest.fixture(scope="module", params=sorted(FORMATS.iterdir()), ids=lambda folder: folder.name)
def left(request: pytest.FixtureRequest) -> Iterator[Left]:
    about = snapshot.about(request.param)
    bought = about.get("tasks") or dict.fromkeys(about["bought"], "TEXT2IMAGE")
    with RedisServer() as server, listening() as endpoint, staged(server, accepted_before=bought) as stage:
        logs = LogFolder.of_queue(Path(stage.directory), place_of(server.url), DEFAULT_QUEUE)
        snapshot.restore(stage.redis, request.param, logs)
        commands = commands_of_this_version(stage.env(), Path(stage.directory))
        made = Left(stage, about, endpoint, commands)
        made.finish()
        yield made


def test_each_job_ends_once_as_it_had_to(left: Left) -> None:
    """Messages, batches, what waits, a backlog and an orphan; and what was bought before keeps its task."""
    statuses = {job_id: [each["status"] for each in told] for job_id, told in left.results().items()}
    expected = dict.fromkeys(left.about["payloads"].keys() | left.purchases, "submitted")
    expected |= {"ended-rejected": "rejected", "cancelled": "cancelled", **dict.fromkeys(IN_DOUBT, "unknown")}
    assert statuses == {job_id: [status] for job_id, status in expected.items()}
    bought = {told[0]["taskId"] for job_id, told in left.results().items() if job_id in BOUGHT_BEFORE}
    assert bought < set(left.about["bought"])


def test_nothing_is_bought_a_second_time(left: Left) -> None:
    """What had been bought, or may have been, is not sent again; all else is bought once."""
    before = left.about["payloads"].keys() & (BOUGHT_BEFORE | NEVER_BOUGHT | IN_DOUBT)
    assert {job_id: left.posts(job_id) for job_id in before} == dict.fromkeys(before, 0)
    bills = Counter(post["sha256"] for post in left.stage.vendor.get("ledger"))
    assert len(bills) == len((left.about["payloads"].keys() | left.purchases) - before)
    assert set(bills.values()) == {1}


def test_what_was_one_step_from_its_end_has_the_rest_done(left: Left) -> None:
    """No step is left of any job, and no in-flight log of a dead worker."""
    client = left.stage.redis
    assert client.hget(f"{DEFAULT_QUEUE}:job:left-steps", "p") is None
    assert not client.exists(f"{DEFAULT_QUEUE}:unfinished")
    assert len(list(Path(left.stage.directory).glob("in-flight-*"))) == len(left.stage.living()) == 1


def test_each_task_has_one_output_with_its_file(left: Left) -> None:
    """Open, asked about, being kept, to be kept later, ended in part: what another worker began is done."""
    found = {output["jobId"]: output for output in outputs(left.stage)}
    assert len(found) == len(outputs(left.stage))
    ended = {job_id for job_id, told in left.results().items() if told[0]["status"] == "submitted"}
    unfollowed = set() if left.follows else {"ended-bought", "ended-bought-too", "left-steps"}
    assert found.keys() == ended - unfollowed
    kept = Path(left.stage.directory, "pictures")
    for job_id, output in found.items():
        assert output["status"] == "succeeded"
        if job_id == "task-unstored":
            continue
        content = file_of(output["workflow"], output["taskId"])
        name = f"{output['finishedAt'][:10]}/{job_id}.{content.extension}"
        assert output["sha256"] == sha256(content.content).hexdigest()
        if not output["file"].startswith(snapshot.KEPT):
            assert Path(output["file"]).read_bytes() == content.content
            assert output["file"] == f"{kept}/{name}"
    if left.follows:
        assert {found[job]["finishedAt"][:10] for job in KEPT_IN_TWO} == {left.about["day"]}


def test_each_webhook_is_taken_once_under_its_id(left: Left) -> None:
    """Those of before are not sent again, one that waited goes under its id, and what came since once."""
    if not left.follows:
        return
    before = {(job, what): each for job, what, each in left.about["webhooks"]}
    now = {webhook.what: webhook.id for webhook in left.endpoint.taken}
    assert len(now) == len(left.endpoint.taken) == len(set(left.endpoint.taken_ids()))
    assert not set(now.values()) & set(left.about["taken"])
    assert {what: each for what, each in before.items() if what in now} == {RETRIED: now[RETRIED]}
    published = left.stage.redis.xlen("aigc:results") + left.stage.redis.xlen("aigc:outputs")
    assert len(now) == published - len(left.about["taken"]) - 1  # the one that was given up


def test_what_was_given_up_is_sent_when_it_is_asked_for(left: Left) -> None:
    """Under its id."""
    if not left.follows:
        return
    left.endpoint.taken.clear()
    left.commands.replay_failed(left.endpoint.url)
    assert [[*each.what, each.id] for each in left.endpoint.taken] == [
        webhook for webhook in left.about["webhooks"] if webhook[0] == "ended-rejected"
    ]
    assert left.stands()["given_up"] == 0


def test_a_product_event_that_waited_is_one_purchase(left: Left) -> None:
    """The same event again makes none; a later one of the product takes the place of the one that waits. Once
    it is bought, its picture is known.
    """
    if not left.follows:
        return
    again, changed, known = left.answers
    assert (again["queued"], "taken before" in again["ignored"]) == ([], True)
    assert len(changed["queued"]) == 1
    assert known["known"] == [left.about["events"]["kept"]]
    assert left.about["events"]["changed"] not in left.results()


def test_a_catalogue_is_not_bought_again(left: Left) -> None:
    """Its purchase keys hold."""
    if not left.follows:
        return
    jobs = left.about["catalogue"]
    assert left.commands.submit_catalogue() == jobs
    left.stage.drain()
    assert {len(left.results()[job]) for job in jobs} == {1}


def test_the_history_goes_on(left: Left) -> None:
    """The samples of before are read, and another one is there."""
    if not left.follows:
        return
    scripts = Scripts(left.stage.server.url, (KEYS.queue, KEYS.results))
    until(lambda: len(history.read(scripts, KEYS).samples) > 2, "one more")
    first, second, third, *_ = history.read(scripts, KEYS).samples
    assert (first.jobs, second.jobs["submitted"], second.held) == ({}, 4, 2)
    assert third.jobs["submitted"] >= second.jobs["submitted"]
    scripts.close()


def test_a_consumer_of_outputs_goes_on_where_it_stopped(left: Left) -> None:
    """It has the one that it had not acknowledged, those unread, and the new ones, each once."""
    if not left.follows:
        return
    tasks.configure(redis_url=left.stage.server.url)
    found = [each.task_id for each in consume_outputs("shop", "reader", idle_timeout_s=0, claim_idle_ms=1)]
    assert sorted(found) == sorted(output["taskId"] for output in outputs(left.stage))


def test_a_file_that_could_not_be_kept_is_fetched_by_an_operator(left: Left) -> None:
    """Its output is published once more, with the file."""
    if not left.follows:
        return
    left.commands.fetch_all(f"file://{left.stage.directory}/pictures")
    first, second = (each for each in outputs(left.stage) if each["jobId"] == "task-unstored")
    assert (first["file"], second["finishedAt"]) == (None, first["finishedAt"])
    assert sha256(Path(second["file"]).read_bytes()).hexdigest() == second["sha256"]


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
