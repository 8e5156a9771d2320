"""`aigc status`, `pause`, `resume` and `doctor`: what an operator learns of the queue and around it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from importlib.metadata import version
from typing import Any

import pytest
from celery import Celery

from tasks.contract import TASK_NAME, queue_for
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.desk import KEYS, Desk
from tests.integration.stage import CAT, Stage, logged, staged, text
from tests.integration.terminal import COLUMNS, shown_by
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from worker.store.keys import KeyNames
from worker.store.redis_health import warnings
from worker.store.stats import stats
from worker.store.workers import WorkerRegistry


def status(desk: Desk) -> dict[str, Any]:
    (document,) = desk.aigc("status", "--json").documents
    return dict(document)


def test_jobs_are_counted_by_state(desk: Desk) -> None:
    """Dead letters, delayed jobs, backlogs, and attempts under way."""
    for number in range(3):
        desk.add_dead_letter(f"held-{number}")
    desk.add_dead_letter("tired", "exhausted")
    desk.redis.zadd(KEYS.delayed, {"later": 9e12})
    desk.redis.sadd(KEYS.backlogs, "IMAGE2VIDEO")
    desk.redis.lpush(KEYS.backlog("IMAGE2VIDEO"), b"1|" + encode(Job("video", CAT), "aigc"))
    desk.redis.rpush(KEYS.malformed, b'{"at": "", "reason": ""} x')
    jobs = status(desk)["jobs"]
    assert [jobs[state] for state in ("unknown", "exhausted", "rejected", "waiting")] == [3, 1, 0, 1]
    assert (jobs["sidings"], jobs["malformed_messages"], jobs["sending"]) == ({"IMAGE2VIDEO": 1}, 1, 0)


def test_a_batch_is_one_message_of_many_jobs(desk: Desk) -> None:
    """The queue's length is in messages; how many jobs they are is said, too, by list."""
    jobs = [Job(f"job-{number}", CAT) for number in range(50)]
    desk.redis.lpush("aigc", *[encode_batch(jobs, "aigc", f"batch-{number}") for number in range(20)])
    desk.redis.lpush(queue_for("aigc", "high"), encode(Job("urgent", CAT), "aigc"))
    assert status(desk)["jobs"]["queued"] == {
        "aigc.high": {"messages": 1, "jobs_about": 1},
        "aigc": {"messages": 20, "jobs_about": 1000},
    }


def test_the_oldest_job_is_found_in_the_queue_or_waiting(desk: Desk) -> None:
    """Of what goes on next, in seconds; nothing where nobody stamped it."""
    assert status(desk)["oldest_job_s"] is None
    now_ms = desk.redis.time()[0] * 1000
    desk.redis.lpush("aigc", encode(Job("old", CAT, enqueued_ms=now_ms - 60_000), "aigc"))
    desk.redis.lpush("aigc", encode(Job("young", CAT, enqueued_ms=now_ms), "aigc"))
    assert status(desk)["oldest_job_s"] == pytest.approx(60, abs=5)
    desk.redis.zadd(KEYS.delayed, {"older": 9e12})
    desk.redis.hset(KEYS.job("older"), "e", now_ms - 7_200_000)
    assert status(desk)["oldest_job_s"] == pytest.approx(7200, abs=5)


def test_money_is_counted_by_a_real_worker(redis_server: RedisServer, desk: Desk) -> None:
    """Posts, what was accepted, and what is held; the worker shows itself alive and looking."""
    with staged(redis_server) as stage:
        stage.worker(MAX_ATTEMPTS=2, READ_TIMEOUT_S=2)
        rules = ("hang*1", "", "sys_error*1")
        for job in [stage.enqueue(text(f"[[{rule}]] {rule}")) for rule in rules]:
            stage.result(job)
        until(lambda: redis_server.client().hlen(KEYS.last_polls), "the worker's pulse")
        found = status(desk)
    assert found["money"] == {
        "posts": 4, "submitted": 2, "possible_duplicates": 0, "paid_twice": 0, "held": 1,
    }  # fmt: skip
    (worker,) = (worker for worker in found["workers"] if worker["pulse_s"] is not None)
    assert worker["pid"] == stage.workers[0].process.pid
    assert worker["beat_s"] < 10


def test_the_overview_takes_two_round_trips(own_redis_server: RedisServer) -> None:
    """However many workers, backlogs and delayed jobs there are: a Redis far away must not make it slow."""
    desk = Desk(own_redis_server)
    for number in range(5):
        WorkerRegistry(desk.scripts, KEYS).join()
        desk.redis.sadd(KEYS.backlogs, f"WORKFLOW-{number}")
        desk.redis.lpush(KEYS.backlog(f"WORKFLOW-{number}"), b"1|" + encode(Job("job", CAT), "aigc"))
        desk.redis.zadd(KEYS.delayed, {f"job-{number}": 9e12})

    def reads() -> int:
        return int(desk.redis.info("stats")["total_reads_processed"])

    before = reads()
    assert len(stats(desk.scripts, KEYS)["workers"]) == 6
    assert reads() - before == 2 + 1
    desk.close()


@pytest.mark.parametrize("length", range(9))
def test_a_list_is_sampled_at_both_ends(desk: Desk, length: int) -> None:
    """No message of a short list counts twice: the first holds two jobs, the others one."""
    jobs = [Job("job-a", CAT), Job("job-b", CAT)]
    for number in range(length):
        message = encode_batch(jobs, "aigc", "batch") if number == 0 else encode(Job("job", CAT), "aigc")
        desk.redis.lpush("aigc", message)
    about = status(desk)["jobs"]["queued"].get("aigc", {"messages": 0, "jobs_about": 0})
    expected = round(length * (min(length, 6) + 1) / min(length, 6)) if length else 0
    assert about == {"messages": length, "jobs_about": expected}


def test_a_clock_that_was_set_back_makes_no_negative_age(desk: Desk) -> None:
    """What was stamped in what is the future by now happened just now."""
    later_ms = desk.redis.time()[0] * 1000 + 3_600_000
    desk.redis.hset(KEYS.breaker, mapping={"open": 1, "since": later_ms, "next": 0})
    desk.redis.hset(KEYS.adaptive_rate, mapping={"rate": 10, "grows": 1, "since": later_ms})
    desk.redis.hset(KEYS.last_polls, desk.registry.owner, later_ms)
    desk.redis.zadd(KEYS.workers, {desk.registry.owner: later_ms})
    desk.redis.lpush("aigc", encode(Job("job", CAT, enqueued_ms=later_ms), "aigc"))
    found = status(desk)
    (worker,) = found["workers"]
    assert (found["brake"]["since_s"], found["brake"]["next_probe_s"], found["oldest_job_s"]) == (0, 0, 0)
    assert (worker["beat_s"], worker["pulse_s"], found["pace"]["posts_per_s"]) == (0, 0, 10)
    assert "DOWN for 0.0 s" in desk.aigc("status").out


def test_a_workers_trouble_is_shown(desk: Desk) -> None:
    """At the worker, and as a warning with the process that it is about."""
    desk.redis.hset(KEYS.troubles, desk.registry.owner, "the disk is full")
    (worker,) = status(desk)["workers"]
    assert worker["trouble"] == "the disk is full"
    shown = desk.aigc("status").out
    assert "holds 0 messages: the disk is full" in shown
    assert f"WARNING    worker {desk.registry.owner} (pid {os.getpid()}): the disk is full" in shown


def test_a_refused_worker_is_shown_until_it_is_gone(redis_server: RedisServer, desk: Desk) -> None:
    """A wrong secret is a warning of status and doctor, not only a line in the worker's log."""
    with staged(redis_server) as stage:
        worker = stage.worker(SECRET_KEY="wrong-secret-of-tests")
        stage.enqueue(text("a cat"))
        refusals = until(lambda: status(desk)["warnings"], "the warning", 20)
        assert f"(pid {worker.process.pid})" in refusals[0]
        assert "keys" in refusals[0]
        done = subprocess.run(
            [quick_aigc(), "doctor"], env=stage.env(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, "the vendor refuses worker" in done.stdout) == (1, True)
        assert worker.terminate() == 0
        assert status(desk)["warnings"] == []


def test_the_answer_to_a_refused_key_is_shown(redis_server: RedisServer, desk: Desk) -> None:
    """Not "no outage": what the vendor answered last, and the remedy; that worker does not consume."""
    with staged(redis_server) as stage:
        stage.worker(SECRET_KEY="wrong-secret-of-tests")
        stage.enqueue(text("a cat"))
        until(lambda: status(desk)["warnings"], "the warning", 20)
        shown = desk.aigc("status").out
        said = r"REFUSES 1 of \d workers: it answered INTCNN_COMMON_AUTH_CHECK_ERROR.*AIGC_SECRET_KEY"
        assert re.search(f"^vendor +{said}", shown, re.MULTILINE), shown
        assert "no outage" not in shown
        assert "wrong-secret-of-tests" not in shown
        done = subprocess.run(
            [quick_aigc(), "doctor"], env=stage.env(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, "WRONG  workers that consume: none" in done.stdout) == (1, True), done.stdout


def test_a_worker_is_named_by_host_node_and_version(redis_server: RedisServer, desk: Desk) -> None:
    """Beside the name it has in Redis: what an operator finds it by."""
    with staged(redis_server) as stage:
        stage.worker("--hostname=night@%h")
        (worker,) = until(lambda: [w for w in status(desk)["workers"] if w["node"]], "the worker")
        shown = desk.aigc("status").out
    node = f"night@{socket.gethostname()}"
    assert (worker["node"], worker["host"]) == (node, socket.gethostname())
    assert worker["version"] == version("aigc-worker")
    assert f"{node}  version {worker['version']}  pid {worker['pid']}" in shown


def test_what_a_worker_is_called_is_forgotten_with_it(redis_server: RedisServer) -> None:
    """A name in Redis is new with each start: descriptions must not pile up."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        until(lambda: redis_server.client().hlen(KEYS.descriptions), "the worker")
        assert worker.terminate() == 0
        assert redis_server.client().hlen(KEYS.descriptions) == 0


def test_a_worker_that_was_killed_does_not_count(redis_server: RedisServer) -> None:
    """It is shown as dead and warned of, by status, its JSON, its exit code for scripts, and doctor."""
    with staged(redis_server) as stage:
        worker = stage.worker()
        until(lambda: redis_server.client().hlen(KEYS.last_polls), "the worker's pulse")
        assert (check := aigc(stage, "status", "--check")).returncode == 0, check.stdout + check.stderr
        worker.kill()
        found = json.loads(aigc(stage, "status", "--json").stdout)
        (dead,) = found["dead_workers"]
        assert (found["workers"], dead["pid"], dead["alive"]) == ([], worker.process.pid, False)
        assert any(f"(pid {worker.process.pid})" in line and "is dead" in line for line in found["warnings"])
        shown = aigc(stage, "status")
        assert (shown.returncode, "workers    none, and 1 dead" in shown.stdout) == (0, True), shown.stdout
        assert "DEAD, silent for" in shown.stdout
        check = aigc(stage, "status", "--check")
        assert (check.returncode, "aigc: workers that consume: none" in check.stderr) == (1, True)
        assert "WRONG  workers that consume: none" in doctor(stage)


def test_a_check_fails_for_each_thing_to_see_to(desk: Desk) -> None:
    """And for nothing else; each is said on standard error, so that the table can be thrown away."""
    now_ms = desk.redis.time()[0] * 1000
    desk.redis.hset(KEYS.last_polls, desk.registry.owner, now_ms)

    def check(*arguments: str) -> str:
        done = desk.aigc("status", "--check", *arguments)
        assert done.code == bool(done.err)
        return done.err

    assert check() == ""
    assert "workers that consume: 1, at least 2 must" in check("--workers", "2")
    desk.redis.lpush("aigc", encode(Job("old", CAT, enqueued_ms=now_ms - 60_000), "aigc"))
    assert check("--oldest", "3600") == ""
    assert "the oldest job has waited for" in check("--oldest", "30")
    desk.add_dead_letter("held")
    assert "1 unknown job(s) are held" in check()
    desk.aigc("pause")
    assert "paused: *" in check()
    desk.redis.hset(KEYS.breaker, mapping={"open": 1, "since": now_ms - 90_000, "next": now_ms + 3000})
    assert "the vendor is down for" in check()
    desk.redis.hset(KEYS.troubles, desk.registry.owner, "the disk is full")
    assert "the disk is full" in check()


def test_check_looks_once(desk: Desk) -> None:
    """Its exit code is its answer; what goes only with it is refused without it."""
    assert desk.aigc("status", "--check", "--watch").code == 2
    assert desk.aigc("status", "--workers", "2").code == 2


UNREAD: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "a separator": ({"sep": ":"}, {"queue": "aigc", "priority": 6}, "aigc:6", "another `sep`"),
    "a prefix": ({"global_keyprefix": "shop_"}, {"queue": "aigc"}, "shop_aigc", "global_keyprefix='shop_'"),
    "no queue": ({}, {}, "celery", "names no queue"),
    "another queue": ({}, {"queue": "aigc-jobs"}, "aigc-jobs", "another queue than AIGC_QUEUE=aigc"),
    "both": (
        {"global_keyprefix": "shop_"}, {"queue": "aigc", "priority": 3}, '"shop_aigc\\x06\\x163"', "'shop_'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREAD)
def test_a_list_that_nobody_reads_is_pointed_out(desk: Desk, redis_server: RedisServer, what: str) -> None:
    """By status, its JSON and doctor, with why; the queue looks empty meanwhile."""
    transport, options, name, why = UNREAD[what]
    shop = Celery(broker=redis_server.url)
    shop.conf.broker_transport_options = transport
    shop.send_task(TASK_NAME, args=[CAT], **options)
    shop.close()
    found = status(desk)
    assert (found["jobs"]["queued"], found["unread_lists"]) == ({}, [{"list": name, "messages": 1}])
    (warning,) = [line for line in found["warnings"] if "no worker reads" in line]
    assert f"the list {name} " in warning
    assert why in warning
    assert f"LMOVE {name} aigc RIGHT LEFT" in warning
    assert warning in desk.aigc("status").out
    assert f"WRONG  {warning}" in desk.aigc("doctor", AIGC_ACCESS_KEY="x", AIGC_SECRET_KEY="x").out


def test_lists_of_others_are_left_alone(desk: Desk) -> None:
    """Our own, those of another queue, and those that hold no job of ours, are not told of."""
    job = encode(Job("job", CAT), "aigc")
    desk.redis.rpush(KEYS.malformed, b'{"at": "", "reason": ""} ' + job)
    desk.redis.lpush(KEYS.backlog("IMAGE2VIDEO"), b"1|" + job)
    desk.redis.lpush(KEYS.further_lists[0], job)
    desk.redis.lpush("aigc2.high", job)
    desk.redis.lpush("aigc2\x06\x165", job)
    desk.redis.hset(KeyNames("aigc2", "").counters, "posts", 1)
    desk.redis.lpush("aigc-notes", "buy milk")
    desk.redis.set("aigc:7", "no list")
    assert status(desk)["unread_lists"] == []


def test_without_a_right_to_look_there_is_no_finding(redis_server: RedisServer, desk: Desk) -> None:
    """Nor an error: status works with the rights of a worker."""
    desk.redis.lpush("celery", encode(Job("job", CAT), "aigc"))
    desk.redis.lpush("shop_aigc", encode(Job("job", CAT), "aigc"))
    desk.redis.execute_command(
        "ACL", "SETUSER", "watcher", "on", ">pw", "~aigc*", "&aigc:results", "+@all", "-scan"
    )
    url = redis_server.url.replace("://", "://watcher:pw@")
    (found,) = desk.aigc("status", "--json", AIGC_REDIS_URL=url).documents
    assert found["unread_lists"] == []


def test_brake_and_pace_are_shown(desk: Desk) -> None:
    """An outage with its age and next probe; after it, the pace of the ramp."""
    now_ms = desk.redis.time()[0] * 1000
    desk.redis.hset(KEYS.breaker, mapping={"open": 1, "since": now_ms - 90_000, "next": now_ms + 3000})
    breaker = status(desk)["brake"]
    assert (breaker["open"], breaker["probing"]) == (True, None)
    assert breaker["since_s"] == pytest.approx(90, abs=5)
    assert "DOWN for 9" in desk.aigc("status").out
    desk.redis.delete(KEYS.breaker)
    desk.redis.hset(
        KEYS.adaptive_rate, mapping={"rate": 10, "grows": 1, "since": now_ms - 2000, "until": now_ms + 60_000}
    )
    adaptive_rate = status(desk)["pace"]
    assert 11 <= adaptive_rate["posts_per_s"] <= 14
    assert 50 <= adaptive_rate["nothing_for_s"] <= 60


def test_pause_and_resume(desk: Desk) -> None:
    """Of everything and of one workflow, each by itself, recorded with who did it."""
    assert desk.aigc("pause").code == desk.aigc("pause", "--workflow", "IMAGE2VIDEO").code == 0
    assert status(desk)["paused"] == ["*", "IMAGE2VIDEO"]
    assert "paused     everything, IMAGE2VIDEO" in desk.aigc("status").out
    assert "still paused: IMAGE2VIDEO" in desk.aigc("resume").out
    assert status(desk)["paused"] == ["IMAGE2VIDEO"]
    assert [d["what"] for d in desk.decisions()] == ["pause", "pause", "resume"]


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("name", ["", "*"])
def test_everything_has_no_name(desk: Desk, command: str, name: str) -> None:
    """An unset variable of a script, or a pattern, is not taken for all workflows."""
    desk.redis.sadd(KEYS.paused, "*")
    done = desk.aigc(command, "--workflow", name)
    assert (done.code, "--workflow must be" in done.err, "leave it out" in done.err) == (2, True, True)
    assert desk.redis.smembers(KEYS.paused) == {b"*"}
    assert desk.decisions() == []


@pytest.mark.parametrize("command", ["pause", "cancel"])
@pytest.mark.parametrize("name", ["a\nb", "x" * 101])
def test_a_name_that_no_workflow_can_have_is_refused(desk: Desk, command: str, name: str) -> None:
    """By the rule of payloads; a pause of such a name, of an earlier version, can be ended."""
    done = desk.aigc(command, "--workflow", name)
    assert (done.code, "1 to 100 printable characters" in done.err) == (2, True)
    desk.redis.sadd(KEYS.paused, name)
    assert desk.aigc("resume", "--workflow", name).code == 0
    assert desk.redis.smembers(KEYS.paused) == set()


def test_a_pause_of_what_there_never_was_is_pointed_out(desk: Desk) -> None:
    """With the nearest name that is known; it holds all the same, for its first job may come."""
    done = desk.aigc("pause", "--workflow", "TEXT2IMG")
    assert (done.code, "TEXT2IMG is paused" in done.out) == (0, True)
    assert "did you mean TEXT2IMAGE?" in done.err
    (warning,) = status(desk)["warnings"]
    assert "the pause of TEXT2IMG holds nothing" in warning
    desk.redis.sadd(KEYS.workflows, "TEXT2IMG")
    assert status(desk)["warnings"] == []
    assert desk.aigc("pause", "--workflow", "TEXT2IMG").err == ""
    assert desk.aigc("pause", "--workflow", "IMAGE2VIDEO").err == ""
    assert desk.aigc("pause").err == ""


def test_a_resume_of_what_was_not_paused_is_said(desk: Desk) -> None:
    """And what is paused still."""
    desk.aigc("pause", "--workflow", "IMAGE2VIDEO")
    assert desk.aigc("resume", "--workflow", "IMAGE2VIDEOS").out == (
        "IMAGE2VIDEOS was not paused; still paused: IMAGE2VIDEO\n"
    )
    assert desk.aigc("resume", "--workflow", "IMAGE2VIDEO").out == "IMAGE2VIDEO goes on\n"
    assert desk.aigc("resume").out == "there was no pause of everything\n"


def test_a_limit_of_what_there_never_was_is_pointed_out(redis_server: RedisServer) -> None:
    """By the worker at its start and by doctor, until a job of that name was attempted."""
    changes = {"RATE_PER_S__TEXT2IMG": "5", "RATE_PER_S__TEXT2IMAGE": "5", "RATE_PER_S__NEW_ONE": "50"}
    wrong = "AIGC_RATE_PER_S__{} limits nothing"
    with staged(redis_server) as stage:
        worker = stage.worker(**changes)
        logged(worker, wrong.format("TEXT2IMG"), "did you mean AIGC_RATE_PER_S__TEXT2IMAGE?")
        assert wrong.format("NEW_ONE") in worker.output()
        assert wrong.format("TEXT2IMAGE") not in worker.output()
        new_one = {"workflow": "NEW_ONE", "version": "2", "algoInput": {}}
        assert stage.result(stage.enqueue(new_one, unlisted=True))["status"] == "submitted"
        until(lambda: stage.redis.sismember(KEYS.workflows, "NEW_ONE"), "the name to be written down")
        env = stage.env(**changes)
        done = subprocess.run([quick_aigc(), "doctor"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, f"WRONG  {wrong.format('TEXT2IMG')}" in done.stdout) == (1, True), done.stdout
    assert wrong.format("NEW_ONE") not in done.stdout


@pytest.mark.parametrize(
    ("setting", "wrong", "right", "remedy"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "CONFIG SET maxmemory-policy noeviction"),
        ("appendonly", "no", "yes", "CONFIG SET appendonly yes"),
    ],
)
def test_a_redis_that_may_lose_jobs_is_pointed_out(
    desk: Desk, setting: str, wrong: str, right: str, remedy: str
) -> None:
    """With the exact command that puts it right; a Redis that keeps everything is fine."""
    saves = desk.redis.config_get("save")["save"]
    desk.redis.config_set("save", "")
    assert warnings(desk.redis) == []
    try:
        desk.redis.config_set(setting, wrong)
        (warning,) = warnings(desk.redis)
        assert remedy in warning
        assert "WARNING" in desk.aigc("status").out
    finally:
        desk.redis.config_set(setting, right)
        desk.redis.config_set("save", saves)


def test_a_redis_that_is_nearly_full_is_pointed_out(desk: Desk) -> None:
    """Before it refuses jobs."""
    used = desk.redis.info("memory")["used_memory"]
    desk.redis.config_set("maxmemory", int(used * 1.1))
    try:
        assert any("of its maxmemory" in warning for warning in warnings(desk.redis))
    finally:
        desk.redis.config_set("maxmemory", 0)


def test_status_fits_the_terminal(redis_server: RedisServer) -> None:
    """A worker's line goes on below, in the column of its words; in a pipe it stays one line."""
    with staged(redis_server) as stage:
        stage.worker()
        until(lambda: redis_server.client().hlen(KEYS.last_polls), "the worker's pulse")
        shown = shown_by([quick_aigc(), "status"], stage.env())
        piped = aigc(stage, "status").stdout
    begun = shown.splitlines().index("workers    1")
    assert max(map(len, shown.splitlines())) <= COLUMNS
    assert shown.splitlines()[begun + 2].startswith(" " * 11)
    assert "looked at the queue" in " ".join(shown.split())
    assert len(piped.splitlines()) == begun + 2


def test_doctor_finds_nothing_wrong_where_nothing_is(redis_server: RedisServer) -> None:
    """Exit 0; and nothing was posted."""
    with staged(redis_server) as stage:
        stage.worker()
        until(lambda: redis_server.client().hlen(KEYS.last_polls), "the worker's pulse")
        done = subprocess.run(
            [quick_aigc(), "doctor"], env=stage.env(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, "WRONG" in done.stdout) == (0, False), done.stdout
        assert stage.vendor.posts == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ENDPOINT": "http://127.0.0.1:9"}, "AIGC_ENDPOINT: http://127.0.0.1:9 cannot be reached"),
        ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "AIGC_REDIS_URL: Redis does not answer"),
        ({"REDIS_URL": "/99"}, "Redis has no database of the number that AIGC_REDIS_URL ends in"),
        ({"SECRET_KEY": ""}, "AIGC_SECRET_KEY must be set"),
        ({"SECRET_KEY": ""}, "workers that consume: none"),
        ({}, "workers that consume: none"),
    ],
)
def test_doctor_says_what_is_wrong(
    redis_server: RedisServer, changes: dict[str, str], complaint: str
) -> None:
    """Each by the setting's name; exit 1."""
    if (url := changes.get("REDIS_URL", "")).startswith("/"):
        changes = {"REDIS_URL": redis_server.url.rpartition("/")[0] + url}
    with staged(redis_server) as stage:
        env = stage.env(**changes)
        done = subprocess.run([quick_aigc(), "doctor"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"WRONG  {complaint}" in done.stdout


def aigc(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [quick_aigc(), *arguments], env=stage.env(), capture_output=True, text=True, check=False
    )


def doctor(stage: Stage) -> str:
    """What the doctor says where something is wrong."""
    done = subprocess.run(
        [quick_aigc(), "doctor"], env=stage.env(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def test_doctor_says_that_a_redis_is_a_replica(own_redis_server: RedisServer) -> None:
    """A demoted primary answers reads as if nothing had happened."""
    with staged(own_redis_server) as stage:
        stage.redis.replicaof("127.0.0.1", "1")
        said = doctor(stage)
    assert "WRONG  AIGC_REDIS_URL names a replica of 127.0.0.1:1: workers and producers need" in said
    assert re.search("WRONG  Redis: .* READONLY", said)
    assert said.count("names a replica") == 1


def test_a_replica_is_a_warning_of_status(own_redis_server: RedisServer) -> None:
    """It answers all that status asks, and takes no job."""
    desk = Desk(own_redis_server)
    desk.redis.replicaof("127.0.0.1", "1")
    assert "WARNING    AIGC_REDIS_URL names a replica of 127.0.0.1:1" in desk.aigc("status").out
    desk.redis.replicaof("NO", "ONE")
    assert status(desk)["warnings"] == []
    desk.close()


def test_a_primary_that_wants_replicas_is_wrong(own_redis_server: RedisServer) -> None:
    """It refuses every write while they are away: said with Redis's word for it, by doctor and status."""
    with staged(own_redis_server) as stage:
        stage.redis.config_set("min-replicas-to-write", "1")
        said = doctor(stage)
        assert re.search("WRONG  Redis: .* NOREPLICAS", said), said
        found = json.loads(aigc(stage, "status", "--json").stdout)
    assert [line for line in found["warnings"] if "NOREPLICAS" in line and "0 of the 1 replicas" in line]


def test_doctor_says_what_redis_refuses(own_redis_server: RedisServer) -> None:
    """Each refusal of the self-test is a finding of its own; so is a worker's trouble."""
    with staged(own_redis_server) as stage:
        stage.redis.set("aigc:results", "x")
        stage.redis.config_set("maxmemory", "1")
        said = doctor(stage)
        assert "WRONG  Redis: the key aigc:results is a string and must be a stream" in said
        assert re.search("WRONG  Redis: .* OOM", said)
        stage.redis.config_set("maxmemory", "0")
        stage.redis.delete("aigc:results")
        desk = Desk(own_redis_server)
        stage.redis.hset(KEYS.troubles, desk.registry.owner, "the disk is full")
        said = doctor(stage)
        desk.close()
    assert "ok     Redis takes all that a worker writes" in said
    assert re.search("WRONG  worker .*: the disk is full", said)


def test_doctor_says_that_the_vendor_is_down(redis_server: RedisServer) -> None:
    """While the circuit breaker is open, whoever opened it."""
    with staged(redis_server) as stage:
        stage.redis.hset(KEYS.breaker, mapping={"open": 1, "since": 1, "next": 1, "interval": 500})
        said = doctor(stage)
    assert re.search(r"WRONG  the vendor is down for \d+ s, as the workers see it", said)


def test_watch_goes_on_until_it_is_stopped(redis_server: RedisServer) -> None:
    """One document each time."""
    with staged(redis_server) as stage, subprocess.Popen(
        [quick_aigc(), "status", "--json", "--watch"], env=stage.env(), stdout=subprocess.PIPE
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["queue"] for _ in range(2)] == ["aigc", "aigc"]
        process.terminate()
