"""ACL users of a real Redis: each program can do its work with its own, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, group

import tasks
from tasks import batches, dedupe, outputs, results
from tasks.contract import DEFAULT_OUTPUTS, DEFAULT_QUEUE, DEFAULT_RESULTS, OUTPUT_FIELD, RESULT_FIELD
from tasks.prices import Prices
from tests.conditions import PATIENCE_S, until
from tests.integration import test_events, test_forward_process
from tests.integration.acl_roles import (
    FILE,
    FORBIDDEN,
    KEYS,
    PASSWORD,
    aigc,
    denied,
    redis_with_roles,
    staged_anew,
    url,
    words_of,
)
from tests.integration.stage import CommandWorker, Stage, faulty
from tests.integration.ui_service import UiService
from tests.integration.ui_visitor import Visitor
from tests.integration.webhook_endpoint import listening, publish, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from tests.unit.services.events.signing import DELIVERIES, PRODUCT
from tests.unit.tasks.samples import text_to_image
from worker.dev.embedded import server_binary, tied_to_parent
from worker.store import dead_letter_page, history, task_overview
from worker.store.acl import ROLES, lines
from worker.store.dead_letters import DeadLetterFilter
from worker.store.scripts import Scripts


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_with_roles() as made:
        yield made


@pytest.fixture
def stage(server: RedisServer) -> Iterator[Stage]:
    with staged_anew(server) as made:
        yield made


def test_the_file_is_what_the_code_declares() -> None:
    """`python -m worker.store.acl > deploy/redis/users.acl`, where this fails."""
    assert FILE.read_text().splitlines() == lines(KEYS)


def test_redis_loads_the_file_and_lets_nobody_in_by_it() -> None:
    """As `aclfile`; each user is off until somebody gives it a password."""
    with tempfile.TemporaryDirectory() as folder:
        copy, at = Path(folder, "users.acl"), Path(folder, "socket")
        copy.write_text(FILE.read_text())
        command = [str(server_binary()), "--port", "0", "--unixsocket", str(at), "--dir", folder]
        process = subprocess.Popen(
            tied_to_parent([*command, "--save", "", "--aclfile", str(copy)]), stdout=subprocess.DEVNULL
        )
        try:
            until(at.exists, "the server's socket")
            with redis.Redis(unix_socket_path=str(at)) as client:
                found: Any = client.acl_list()
            users = {line.split()[1]: line.split()[2] for line in map(_text, found)}
        finally:
            process.kill()
            process.wait()
    assert users == {"default": "on", **{f"aigc-{role}": "off" for role in ROLES}}


def _text(line: bytes | str) -> str:
    return line.decode() if isinstance(line, bytes) else line


def test_a_producer_enqueues(stage: Stage) -> None:
    """In every way, with batches, dedupe keys and cancelling."""
    tasks.configure(redis_url=url(stage.server, "producer"))
    tasks.submit(text_to_image(), job_id="a")
    for options in ({"dedupe_key": "a"}, {"priority": "high"}, {"priority": "low"}, {"countdown": 5}):
        tasks.submit(text_to_image(), **options)
    tasks.submit(text_to_image(), priority=5)
    list(tasks.submit_many([text_to_image()] * 3, batch="b"))
    list(tasks.submit_many([tasks.Submission(text_to_image(), dedupe_key="c")], batch="b"))
    tasks.signature(text_to_image(), batch="b").apply_async()
    group([tasks.signature(text_to_image())]).apply_async()
    asyncio.run(tasks.submit_async(text_to_image(), dedupe_key="d"))
    assert dedupe.holders(["a"]) != [None]
    assert batches.close("b").total == 5
    assert batches.names() == ["b"]
    with pytest.raises(TimeoutError):
        batches.wait("b", 0.1)
    assert tasks.cancel("a")
    job = json.dumps({"payload": text_to_image()})
    assert aigc(stage, "producer", "submit", "-", stdin=job).returncode == 0
    assert denied(stage, "producer") == []


def test_a_worker_does_all_of_its_work(stage: Stage) -> None:
    """Retries, limits, callbacks, held jobs, malformed messages, batches, following, and Celery's revoke."""
    tasks.configure(redis_url=stage.server.url)
    worker = CommandWorker(
        stage, [quick_aigc(), "worker"], REDIS_URL=url(stage.server, "worker"), FOLLOW="on",
        QUERY_RATE_PER_S=50, RATE_PER_S=50, RATE_PER_S__TEXT2IMAGE=40, MAX_INFLIGHT=4,
    )  # fmt: skip
    stage.result(tasks.submit(faulty()))
    jobs = list(tasks.submit_many([faulty("http_503 x1"), *(faulty() for _ in range(10))], batch="b"))
    link = Celery(set_as_current=False).signature("shop.done")
    jobs.append(tasks.signature(faulty()).apply_async(link=link).id)
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    until(lambda: stage.redis.llen("celery"), "the callback")
    until(lambda: stage.redis.xlen(DEFAULT_OUTPUTS) >= len(jobs), "the outputs")
    assert stage.result(stage.enqueue(faulty("reset_after_accept")))["status"] == "unknown"
    stage.redis.lpush(DEFAULT_QUEUE, "no message")
    until(stage.malformed, "the malformed message")
    revoked = tasks.submit(faulty(), countdown=PATIENCE_S)
    until(stage.waiting, "the job that waits")
    tasks.broker.celery_app().control.revoke(revoked)
    assert tasks.cancel(revoked)
    assert worker.terminate() == 0
    # Celery tells of its workers on channels that nobody reads here, and over its own connection, by which
    # callbacks are sent, which library it is. It does without.
    harmless = ("celeryev", "client|setinfo")
    assert [each for each in denied(stage, "worker") if not each[1].startswith(harmless)] == []


async def _count(found: Any) -> int:
    return len([each async for each in found])


def test_a_consumer_reads_results_and_outputs(stage: Stage) -> None:
    """As a group, listening, from the beginning, and one by its id."""
    at = "2026-11-22T22:31:33.123Z"
    ended = tasks.Result("j", "submitted", "t", "TEXT2IMAGE", "1.0.0", 1, "r", None, None, False, at)
    stage.redis.xadd(DEFAULT_RESULTS, {RESULT_FIELD: ended.to_json()})
    nothing = dict.fromkeys(("url", "file", "sha256", "bytes", "content_type", "workflow", "version"))
    about: Any = {"job_id": "j", "task_id": "t", "status": "failed", "vendor_status": "FAILED", **nothing}
    kept = tasks.Output(**about, finished_at=at)
    stage.redis.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: kept.to_json()})
    tasks.configure(redis_url=url(stage.server, "consumer"))
    patience = {"idle_timeout_s": 0.2}
    for streams in (results, outputs):
        assert len(list(streams.replay())) == 1
        assert len(list(streams.consume("g", **patience))) == 1
        assert list(streams.listen(**patience)) == []

        assert asyncio.run(_count(streams.aconsume("h", **patience))) == 1
    results.get("j")
    outputs.get("j")
    for command in (["results"], ["outputs"], ["results", "--group", "i"]):
        assert aigc(stage, "consumer", *command).returncode == 0
    assert denied(stage, "consumer") == []


def _held(stage: Stage) -> str:
    job = stage.enqueue(faulty("reset_after_accept"))
    assert stage.result(job)["status"] == "unknown"
    stage.result(stage.enqueue(faulty()))
    return job


def test_an_operator_looks_and_decides(stage: Stage) -> None:
    """All commands of a person, to the deletion of all keys of the queue."""
    worker = stage.worker(BRAKE_AFTER=0)
    stage.result(stage.enqueue(faulty()))
    accepted, retried, discarded = (_held(stage) for _ in range(3))
    assert worker.terminate() == 0
    tasks.configure(redis_url=url(stage.server, "operator"))
    waiting = tasks.submit(text_to_image())
    list(tasks.submit_many([text_to_image()] * 3, batch="b"))
    stage.redis.lpush(DEFAULT_QUEUE, "no message")
    for arguments in (
        ["status"], ["status", "--json"], ["failed", "list"], ["failed", "show", accepted],
        ["failed", "accept", "task-1", "--job", accepted], ["failed", "retry", retried, "--yes"],
        ["failed", "discard", discarded, "--yes"], ["failed", "log"], ["pause"], ["resume"],
        ["pause", "--workflow", "TEXT2IMAGE"], ["resume", "--workflow", "TEXT2IMAGE"], ["cancel", waiting],
        ["batch", "list"], ["batch", "show", "b"], ["results"], ["outputs"], ["task", "follow", "task-9"],
        ["task", "list"], ["events", "--problems"], ["forward", "status"], ["purge", "--yes"],
    ):  # fmt: skip
        done = aigc(stage, "operator", *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert "Redis takes all that a worker writes" in aigc(stage, "operator", "doctor").stdout
    assert [each for each in denied(stage, "operator") if not _is_no_list_of_ours(each[1])] == []


def _is_no_list_of_ours(name: str) -> bool:
    """`aigc status` looks for lists that nobody reads under names of others, and does without."""
    return name == "celery" or "|" in name


def test_the_page_may_look(stage: Stage, tmp_path: Path) -> None:
    """What it shows, it may read; what it would decide, it may not."""
    worker = stage.worker(BRAKE_AFTER=0)
    stage.result(stage.enqueue(faulty()))
    held = _held(stage)
    assert worker.terminate() == 0
    for arguments in (
        ["status", "--json"], ["failed", "list"], ["failed", "show", held, "--payload"], ["results"],
        ["outputs"], ["task", "list"], ["batch", "list"], ["forward", "status"],
    ):  # fmt: skip
        done = aigc(stage, "ui", *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    with UiService(url(stage.server, "ui"), tmp_path) as ui:
        assert ui.get("/api/status").json()["jobs"]["unknown"] == 1
        assert ui.metrics().sum("aigc_held_jobs") == 1
        visitor = Visitor(ui)
        for path in (f"/dead-letters/{held}?payload=1", "/"):
            assert visitor.get(path).status_code == 200
    assert [each for each in denied(stage, "ui") if not _is_no_list_of_ours(each[1])] == []
    for arguments in (["failed", "retry", held, "--yes"], ["pause"], ["purge", "--yes"], ["cancel", held]):
        assert aigc(stage, "ui", *arguments).returncode == 1, arguments
    assert stage.redis.zscore(KEYS.dead_letters("unknown"), held) is not None


def test_the_page_decides_as_an_operator(stage: Stage, tmp_path: Path) -> None:
    """With the rights of another it says which one is missing, and the job stays held."""
    worker = stage.worker(BRAKE_AFTER=0)
    held = _held(stage)
    assert worker.terminate() == 0
    for role, status in (("ui", 503), ("operator", 200)):
        with UiService(url(stage.server, role), tmp_path) as ui:
            visitor = Visitor(ui)
            visitor.get()
            _, done = visitor.decide("accept", held, task_id="task-1")
            assert done.status_code == status
            assert ("lacks a right in Redis" in done.text) is (role == "ui")
            visitor.get()
            assert visitor.decide("pause")[1].status_code == status
    assert [each for each in denied(stage, "operator") if not _is_no_list_of_ours(each[1])] == []
    assert stage.redis.zscore(KEYS.dead_letters("unknown"), held) is None


@pytest.mark.parametrize("role", ["ui", "operator"])
def test_what_the_page_is_made_of_may_be_read(stage: Stage, role: str) -> None:
    """Plots, pages of dead letters, tasks and batches."""
    tasks.configure(redis_url=stage.server.url)
    worker = stage.worker(BRAKE_AFTER=0)
    held = _held(stage)
    stage.result(tasks.submit(faulty(), batch="b"))
    assert worker.terminate() == 0
    scripts = Scripts(url(stage.server, role), (KEYS.queue, KEYS.results), connections=2)
    assert len(history.read(scripts, KEYS).samples) == 1
    wanted = DeadLetterFilter(since_s=1, until_s=9e9)
    first = dead_letter_page.page(scripts, KEYS, wanted)
    assert [letter.result.job_id for letter in first.letters] == [held]
    cursor = dead_letter_page.Place("newer", "1", "").cursor()
    assert dead_letter_page.page(scripts, KEYS, wanted, cursor).letters == first.letters
    assert dead_letter_page.counts(scripts, KEYS)["unknown"] == 1
    assert task_overview.task_overview(scripts, KEYS, DEFAULT_OUTPUTS).open == 0
    (batch,) = task_overview.batch_overview(scripts, KEYS, Prices())
    assert (batch.batch, batch.total, batch.waiting) == ("b", 1, 0)
    scripts.close()
    assert denied(stage, role) == []


def test_events_are_taken(stage: Stage, tmp_path: Path) -> None:
    """A product's event is a job; a second one is known."""
    shop = test_events.Shop(url(stage.server, "events"), tmp_path)
    try:
        answers = [shop.post(PRODUCT, headers) for headers in DELIVERIES]
        assert sum(len(answer.json()["queued"]) for answer in answers) == 1
    finally:
        shop.close()
    assert denied(stage, "events") == []


def test_results_are_forwarded(stage: Stage, tmp_path: Path) -> None:
    """To an endpoint that takes some and refuses some."""
    with listening() as endpoint:
        publish(stage.redis, *(result(f"j{number}", "submitted") for number in range(5)))
        forwarder = test_forward_process.Process(
            url(stage.server, "forward"), tmp_path / "log", "--to", endpoint.url
        )
        until(lambda: len(endpoint.taken) == 5, "all")
        # Whoever looks from where it runs has its user.
        for command in (["status"], ["replay", "--since", "1h"], ["failed"]):
            assert aigc(stage, "forward", "forward", *command).returncode == 0
        until(lambda: len(endpoint.taken) == 10, "all once more")
        assert forwarder.stop() == 0
    assert denied(stage, "forward") == []


OTHERS = (
    "GET shop", "LRANGE aigc2 0 -1", "HGETALL aigc-staging:job:a", "LPUSH aigc2 a", "LPUSH aigc-v2 a",
    "LRANGE aigc.highlights 0 -1", "LPUSH celery_v2 a",
)  # fmt: skip
ADMIN = (
    "FLUSHALL", "CONFIG SET maxmemory 1", "CONFIG GET requirepass", "ACL LIST", "KEYS *", "SHUTDOWN",
    "MONITOR",
)  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_nothing_else_is_allowed(server: RedisServer, role: str) -> None:
    """Neither to others' keys, nor to the server, nor to what is another program's work."""
    client: Any = redis.Redis(port=server.port, username=role, password=PASSWORD)
    allowed = []
    for command in (*OTHERS, *ADMIN, *FORBIDDEN[role]):
        try:
            client.execute_command(*command.split())
            allowed.append(command)
        except redis.exceptions.NoPermissionError:
            pass
    client.close()
    assert allowed == []


@pytest.mark.parametrize("role", ["consumer", "ui", "forward"])
def test_who_may_not_enqueue_is_told_so(server: RedisServer, role: str) -> None:
    """By the library too, with the remedy; nothing is queued."""
    tasks.configure(redis_url=url(server, role))
    before = server.client().llen(DEFAULT_QUEUE)
    try:
        with pytest.raises(tasks.BrokerUnavailable, match="lacks a right in Redis: ACL SETUSER"):
            tasks.submit(text_to_image())
    finally:
        tasks.configure()
    assert server.client().llen(DEFAULT_QUEUE) == before


@pytest.mark.parametrize("role", ["producer", "consumer", "ui", "events", "forward"])
def test_who_is_no_worker_cannot_settle(server: RedisServer, role: str) -> None:
    """The worker's own script is refused, before it has written anything."""
    before = server.client().keys()
    scripts = Scripts(url(server, role), (KEYS.queue, KEYS.results), connections=1)
    try:
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            scripts.run("promote", 200)
    finally:
        scripts.close()
    assert server.client().keys() == before


RIGHTS: dict[str, Callable[[str], bool]] = {
    "ZADD aigc:workers": lambda word: "+zadd" in word,
    "PUBLISH aigc:results": lambda word: word == "+publish",
    "EVALSHA": lambda word: word == "+evalsha",
}


@pytest.mark.parametrize("missing", RIGHTS)
def test_a_missing_right_is_named_at_start(server: RedisServer, missing: str) -> None:
    """With the command and its key; the worker does not begin."""
    is_it = RIGHTS[missing]
    right = f"+{missing.split()[0].lower()}"
    words = [word.replace(f"{right} ", "") if word[0] == "(" else word for word in words_of("worker")]
    words = [word for word in words if word[0] == "(" or not is_it(word)]
    client: Any = server.client()
    client.execute_command("ACL", "SETUSER", "lacking", "reset", *words, "on", f">{PASSWORD}")
    environ = os.environ | {
        "AIGC_REDIS_URL": url(server, "lacking"), "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"
    }  # fmt: skip
    done = subprocess.run(
        [quick_aigc(), "worker"], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    client.execute_command("ACL", "DELUSER", "lacking")
    assert done.returncode == 1
    told = done.stdout + done.stderr
    for word in missing.split():
        assert word in told
    assert "ACL SETUSER lacking" in told
