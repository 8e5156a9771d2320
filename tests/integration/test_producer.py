"""Producers against a real Redis: what lies in the queue afterwards, and when Redis is away."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, group

import tasks
from tasks import broker, submission
from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, TASK_NAME
from tasks.envelope import InvalidJob, Job, jobs_of
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image, virtual_try_on

CERTIFICATE = Path(__file__).parent.parent / "data" / "tls" / "server.pem"


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis that `tasks` is told to use."""
    tasks.configure(redis_url=redis_server.url)
    yield redis_server.client()
    tasks.configure()


def _messages(client: redis.Redis, name: str = "aigc") -> list[dict[str, Any]]:
    """What waits in a list, first to be taken first."""
    found: list[Any] = client.lrange(name, 0, -1)
    return [json.loads(message) for message in reversed(found)]


def _jobs(client: redis.Redis, name: str = "aigc") -> list[Job | InvalidJob]:
    """What a worker would make of it."""
    jobs: list[Job | InvalidJob] = []
    for message in _messages(client, name):
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        headers = message["headers"]
        jobs += jobs_of(headers["task"], headers["id"], args, kwargs, headers)
    return jobs


def _only_job(client: redis.Redis, name: str = "aigc") -> Job:
    (job,) = _jobs(client, name)
    assert isinstance(job, Job)
    return job


def test_submit_queues_one_message_under_the_id_it_returns(queue: redis.Redis) -> None:
    """The job is in the queue when submit returns, with the time of its submission."""
    job_id = tasks.submit(text_to_image(), metadata={"sku": "A-1"})
    job = _only_job(queue)
    seconds, _ = queue.time()
    assert uuid.UUID(job_id).version == 4
    assert (job.id, job.payload, job.metadata, job.unlisted) == (
        *(job_id, text_to_image()),
        *({"sku": "A-1"}, False),
    )
    assert job.enqueued_ms is not None
    assert abs(job.enqueued_ms - seconds * 1000) < 60_000


@pytest.mark.parametrize(
    "options", [{}, {"headers": {"tenant": "x"}}, {"expires": 3600}, {"retry": False}, {"queue": "aigc"}]
)
def test_with_celerys_options_the_job_is_the_same(queue: redis.Redis, options: dict[str, Any]) -> None:
    """The way through Celery queues what the short way queues."""
    model = tasks.TextToImage(input_text="a cat", width=1024, height=1024)
    assert tasks.submit(model, job_id="mine", metadata={"a": 1}, **options) == "mine"
    job = _only_job(queue)
    assert (job.id, job.payload, job.metadata) == ("mine", text_to_image(), {"a": 1})
    assert job.enqueued_ms is not None


def test_celerys_options_reach_the_message(queue: redis.Redis) -> None:
    """Headers, expiry and countdown are Celery's own, and show no prompt."""
    tasks.submit(text_to_image(), task_id="mine", headers={"tenant": "x"}, expires=3600, countdown=60)
    (message,) = _messages(queue)
    headers = message["headers"]
    assert (headers["id"], headers["tenant"]) == ("mine", "x")
    assert headers["expires"]
    assert headers["eta"]
    assert headers["argsrepr"] == "<payload>"


@pytest.mark.parametrize(
    ("priority", "name"),
    [("high", "aigc.high"), ("normal", "aigc"), ("low", "aigc.low"), (6, "aigc\x06\x166")],
)
def test_each_priority_has_its_list(queue: redis.Redis, priority: Any, name: str) -> None:
    """A word chooses one of our queues, a number one of Celery's lists beside the queue."""
    tasks.submit(text_to_image(), priority=priority)
    assert _only_job(queue, name).payload == text_to_image()


def test_an_unknown_priority_is_refused(queue: redis.Redis) -> None:
    """A typo does not end in a list that nobody reads."""
    with pytest.raises(ValueError, match="high, normal, low"):
        tasks.submit(text_to_image(), priority="urgent")  # type: ignore[arg-type]
    assert queue.keys() == []


def test_a_workflow_object_is_unlisted_by_itself(queue: redis.Redis) -> None:
    """Workflow needs no flag; a dict of an unknown workflow does."""
    wire = {"workflow": "NEW", "version": "2", "algoInput": {"x": 1}}
    tasks.submit(tasks.Workflow("NEW", "2", {"x": 1}), job_id="a")
    tasks.submit(wire, job_id="b", unlisted=True)
    assert [job for job in _jobs(queue) if isinstance(job, Job) and job.unlisted and job.payload == wire]
    with pytest.raises(tasks.InvalidPayload):
        tasks.submit(wire)


@pytest.mark.parametrize(
    ("payload", "options"),
    [
        ({}, {}),
        (text_to_image(), {"metadata": {"x": "y" * 4096}}),
        (text_to_image(), {"metadata": {"x": b""}}),
        (text_to_image(), {"metadata": "text"}),
        (text_to_image(), {"job_id": "new\nline"}),
        (text_to_image(), {"job_id": "x" * 201}),
        ({**text_to_image(), "workflow": "TEXT2IMAGES"}, {"headers": {"a": "b"}}),
    ],
)
def test_nothing_invalid_is_queued(queue: redis.Redis, payload: Any, options: dict[str, Any]) -> None:
    """InvalidPayload comes before the first byte to Redis."""
    with pytest.raises(tasks.InvalidPayload):
        tasks.submit(payload, **options)
    assert queue.keys() == []


def test_a_picture_that_only_a_query_could_convert_is_warned_of_once(
    queue: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs are queued; the fault of a catalogue's thousand rows is one line in the log."""
    job = virtual_try_on()
    job["algoInput"]["garmentImage"] = "https://example.com/a.webp?width=500"
    submission._warn_once.cache_clear()
    with caplog.at_level("WARNING", logger="tasks"):
        assert len(list(tasks.submit_many([job] * 3))) == 3
    (line,) = caplog.messages
    assert line.startswith("algoInput.garmentImage: its path ends in .webp")


def test_many_jobs_share_messages_and_keep_their_ids(queue: redis.Redis) -> None:
    """120 jobs make three messages, in order, each job under the id that was yielded."""
    ids = list(tasks.submit_many(text_to_image() for _ in range(120)))
    assert [message["headers"]["task"] for message in _messages(queue)] == [BATCH_TASK_NAME] * 3
    assert [job.id for job in _jobs(queue)] == ids
    assert len(set(ids)) == 120


def test_an_item_can_bring_its_own_id_and_metadata(queue: redis.Redis) -> None:
    """Dicts, models and submissions may be mixed."""
    items: list[Any] = [
        tasks.Submission(text_to_image(), job_id="mine", metadata={"n": 1}),
        tasks.Workflow("NEW", "1", {}),
        virtual_try_on(),
    ]
    ids = list(tasks.submit_many(items, priority="low"))
    first, second, third = (job for job in _jobs(queue, "aigc.low") if isinstance(job, Job))
    assert (first.id, first.metadata) == ("mine", {"n": 1})
    assert (second.unlisted, third.unlisted) == (True, False)
    assert [first.id, second.id, third.id] == ids


def test_many_jobs_are_read_and_queued_as_they_are_consumed(queue: redis.Redis) -> None:
    """An id is yielded only once its job is in the queue, and an endless source is no problem."""
    read = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield text_to_image()

    ids = tasks.submit_many(endless(), jobs_per_message=2)
    assert read == 0
    first = next(ids)
    assert read == 40
    assert _jobs(queue)[0].id == first
    assert len(_jobs(queue)) == 40


def test_a_bad_item_names_its_index_after_all_before_it_were_queued(queue: redis.Redis) -> None:
    """What was yielded is queued, the bad item and what follows it is not."""
    seen: list[str] = []
    with pytest.raises(tasks.InvalidPayload) as caught:
        seen.extend(tasks.submit_many([text_to_image(), text_to_image(), {}, text_to_image()]))
    assert {path.split(".")[0] for path, _ in caught.value.errors} == {"[2]"}
    assert [job.id for job in _jobs(queue)] == seen
    assert len(seen) == 2


def test_no_jobs_make_no_message(queue: redis.Redis) -> None:
    """An empty source leaves the queue untouched."""
    assert list(tasks.submit_many([])) == []
    assert queue.keys() == []


def test_one_key_queues_one_job_however_often_it_is_submitted(queue: redis.Redis) -> None:
    """A thousand submits at once under one key: one message, one id for all."""
    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda _: tasks.submit(text_to_image(), dedupe_key="sku-1:é"), range(1000)))
    assert len(set(ids)) == 1
    assert _only_job(queue).id == ids[0]


def test_a_key_holds_for_its_time_only_and_for_itself(queue: redis.Redis) -> None:
    """Other keys are other jobs; the key expires as asked."""
    first = tasks.submit(text_to_image(), dedupe_key="a", dedupe_ttl_s=1000)
    assert tasks.submit(text_to_image(), dedupe_key="b") != first
    ttls = sorted(queue.ttl(key) for key in queue.keys("aigc:dedupe:*"))
    assert 990 < ttls[0] <= 1000
    assert 86390 < ttls[1] <= 86400


def test_a_dedupe_key_is_not_used_up_by_a_job_that_redis_refused(queue: redis.Redis) -> None:
    """The job can be submitted again under it, and is queued then."""
    queue.set("aigc", "no list")
    with pytest.raises(tasks.BrokerUnavailable, match="aigc in Redis holds something of another type"):
        tasks.submit(text_to_image(), job_id="refused", dedupe_key="a")
    queue.delete("aigc")
    assert tasks.submit(text_to_image(), job_id="again", dedupe_key="a") == "again"
    assert _only_job(queue).id == "again"


def test_a_dedupe_key_does_not_go_with_celerys_options(queue: redis.Redis) -> None:
    """What cannot be kept is refused, before anything is queued."""
    with pytest.raises(TypeError, match="dedupe_key"):
        tasks.submit(text_to_image(), dedupe_key="a", countdown=5)
    assert queue.keys() == []


def test_a_signature_goes_into_a_canvas(queue: redis.Redis) -> None:
    """A group of signatures queues one job each, in the queue of ours."""
    group(tasks.signature(text_to_image(), metadata={"n": n}) for n in range(3)).apply_async()
    assert [job.metadata for job in _jobs(queue)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert all(message["headers"]["argsrepr"] == "<payload>" for message in _messages(queue))


def test_a_signature_is_validated_when_it_is_made(queue: redis.Redis) -> None:
    """A canvas cannot be built of bad payloads."""
    with pytest.raises(tasks.InvalidPayload):
        tasks.signature({})


def test_celerys_own_variable_does_not_lead_jobs_astray(
    queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CELERY_BROKER_URL belongs to the shop's own app and is not ours."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    tasks.submit(text_to_image(), headers={"a": "b"})
    assert _only_job(queue)


def test_the_programs_own_celery_app_stays_current(queue: redis.Redis) -> None:
    """A shop that uses Celery itself does not find ours in its place."""
    script = """
import tasks, celery
from tasks import broker, submission
broker.celery_app()
assert celery.current_app.main != broker.celery_app().main
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)


def test_a_plain_celery_worker_understands_our_messages(
    queue: redis.Redis, redis_server: RedisServer
) -> None:
    """kombu decodes what we write by hand, and finds task, id and arguments where it looks for them."""
    ids = [tasks.submit(text_to_image(), metadata={"n": 1}), *tasks.submit_many([virtual_try_on()])]
    app = Celery(broker=redis_server.url, set_as_current=False)
    received = []
    with app.connection_for_read() as connection, connection.SimpleQueue("aigc") as simple:
        for _ in range(2):
            message = simple.get(timeout=10)
            args, kwargs, embed = message.decode()
            received.append((message.headers["task"], message.headers["id"], args, kwargs, embed))
            message.ack()
    app.close()
    batch_id = received[1][1]
    assert received == [
        (TASK_NAME, ids[0], [text_to_image()], {"metadata": {"n": 1}}, {}),
        (BATCH_TASK_NAME, batch_id, [[{"id": ids[1], "payload": virtual_try_on()}]], {}, {}),
    ]
    assert not queue.exists("aigc", "unacked")


def test_jobs_from_any_celery_client_are_jobs(queue: redis.Redis, redis_server: RedisServer) -> None:
    """A producer that knows only the contract's names gets the same job."""
    client = Celery(broker=redis_server.url, set_as_current=False)
    client.send_task(
        TASK_NAME, args=[text_to_image()], kwargs={"metadata": {"n": 1}}, task_id="t-1", queue="aigc"
    )
    client.close()
    assert _only_job(queue) == Job("t-1", text_to_image(), {"n": 1})
    assert ENQUEUED_AT_HEADER not in _messages(queue)[0]["headers"]


@pytest.mark.parametrize(
    "options", [{}, {"headers": {"a": "b"}}, {"dedupe_key": "a"}], ids=["short", "celery", "dedupe"]
)
def test_without_redis_submit_fails_within_bounds(
    own_redis_server: RedisServer, options: dict[str, Any]
) -> None:
    """BrokerUnavailable after a few attempts, and the same process goes on once Redis is back."""
    tasks.configure(redis_url=own_redis_server.url)
    try:
        tasks.submit(text_to_image(), job_id="before")
        own_redis_server.kill()
        with pytest.raises(tasks.BrokerUnavailable):
            tasks.submit(text_to_image(), job_id="mine", **options)
        own_redis_server.start()
        tasks.submit(text_to_image(), job_id="mine", **options)
        assert [job.id for job in _jobs(own_redis_server.client())] == ["before", "mine"]
    finally:
        tasks.configure()


def test_a_restart_between_two_submits_is_not_noticed(own_redis_server: RedisServer) -> None:
    """A connection that died while idle is made again."""
    tasks.configure(redis_url=own_redis_server.url)
    try:
        tasks.submit(text_to_image())
        own_redis_server.kill()
        own_redis_server.start()
        tasks.submit(text_to_image())
        assert len(_jobs(own_redis_server.client())) == 2
    finally:
        tasks.configure()


def test_the_environment_is_read_at_first_use(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing reads nothing; configure() without arguments forgets what was read."""
    tasks.configure()
    monkeypatch.setenv("AIGC_REDIS_URL", redis_server.url)
    monkeypatch.setenv("AIGC_QUEUE", "mine")
    tasks.submit(text_to_image())
    assert _only_job(redis_server.client(), "mine")
    tasks.configure()


def test_a_url_of_the_wrong_form_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error tells which variable to correct and keeps the secret."""
    tasks.configure()
    for url in ("http://:s3cret@host", "redis://:s3cret@host/db", "redis://", "redis://:s3cret@host:port"):
        monkeypatch.setenv("AIGC_REDIS_URL", url)
        with pytest.raises(ValueError, match="AIGC_REDIS_URL must be") as caught:
            broker.settings()
        assert "s3cret" not in str(caught.value)


def test_the_url_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AIGC_REDIS_URL_FILE keeps a password out of the environment; a missing file is named."""
    tasks.configure()
    monkeypatch.delenv("AIGC_REDIS_URL", raising=False)
    file = tmp_path / "url"
    file.write_text("rediss://:s3cret@host:6380/2\n")
    monkeypatch.setenv("AIGC_REDIS_URL_FILE", str(file))
    assert broker.settings().redis_url == "rediss://:s3cret@host:6380/2"
    assert "s3cret" not in repr(broker.settings())
    tasks.configure()
    file.unlink()
    with pytest.raises(ValueError, match="AIGC_REDIS_URL_FILE"):
        broker.settings()


def test_importing_tasks_loads_no_client_and_no_worker() -> None:
    """A program that builds payloads pays for pydantic only."""
    script = """
import sys, tasks
heavy = {"celery.app", "kombu.connection", "redis", "requests", "urllib3", "sentry_sdk", "worker"}
sys.exit(f"loaded: {found}" if (found := heavy & sys.modules.keys()) else 0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)


@contextmanager
def _stopped(server: RedisServer) -> Iterator[None]:
    """The server as it is when it hangs: the kernel takes connections, and nobody answers."""
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


WAYS = pytest.mark.parametrize(
    "way",
    [
        lambda: tasks.submit(text_to_image(), job_id="mine"),
        lambda: tasks.submit(text_to_image(), job_id="mine", headers={"a": "b"}),
        lambda: tasks.submit(text_to_image(), job_id="mine", countdown=1),
        lambda: tasks.submit(text_to_image(), job_id="mine", dedupe_key="a"),
        lambda: list(tasks.submit_many([tasks.Submission(text_to_image(), job_id="mine")])),
    ],
    ids=["short", "celery", "countdown", "dedupe", "many"],
)


BOTH: dict[str, dict[str, Any]] = {"short": {}, "celery": {"countdown": 1}}
"""Options of a job that goes the short way, and of one that goes through Celery."""


def _errors_of_both() -> dict[str, type[object]]:
    """What submitting raises, both ways at the same time."""
    with ThreadPoolExecutor(len(BOTH)) as pool:
        calls = {
            name: pool.submit(tasks.submit, text_to_image(), **options) for name, options in BOTH.items()
        }
        return {name: type(call.exception()) for name, call in calls.items()}


@pytest.mark.timeout(18)
@pytest.mark.parametrize("connected", [True, False])
def test_a_redis_that_hangs_is_given_up_on_within_ten_seconds(
    own_redis_server: RedisServer, connected: bool
) -> None:
    """Over an open connection and over a new one; and the same process goes on once Redis does."""
    tasks.configure(redis_url=own_redis_server.url)
    try:
        if connected:
            for options in BOTH.values():
                tasks.submit(text_to_image(), **options)
        with _stopped(own_redis_server):
            assert _errors_of_both() == dict.fromkeys(BOTH, tasks.BrokerUnavailable)
        own_redis_server.client().delete("aigc")
        for name, options in BOTH.items():
            tasks.submit(text_to_image(), job_id=name, **options)
        assert {*BOTH} <= {job.id for job in _jobs(own_redis_server.client())}
    finally:
        tasks.configure()


@WAYS
def test_a_wait_in_vain_is_not_repeated(way: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by redis-py, nor by kombu, nor by connecting within a retry: one connection, one timeout."""
    monkeypatch.setattr(broker, "SOCKET_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tasks.configure(redis_url=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        try:
            with pytest.raises(tasks.BrokerUnavailable):
                way()
        finally:
            tasks.configure()
        listener.setblocking(False)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.timeout(18)
def test_a_connection_that_is_never_made_is_given_up_on() -> None:
    """A host that drops what is sent to it, here one whose backlog is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        tasks.configure(redis_url=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        try:
            assert _errors_of_both() == dict.fromkeys(BOTH, tasks.BrokerUnavailable)
        finally:
            tasks.configure()


@WAYS
def test_a_connection_that_was_closed_while_idle_is_made_anew(
    queue: redis.Redis, way: Callable[[], Any]
) -> None:
    """What an idle timeout of Redis or of a proxy has closed is no failure."""
    way()
    queue.flushall()
    queue.client_kill_filter(_type="normal", skipme=True)
    way()
    assert _only_job(queue).id == "mine"


@WAYS
def test_a_refusal_drops_the_connection(queue: redis.Redis, way: Callable[[], Any]) -> None:
    """After READONLY the next job goes over a new connection: the primary may be another by now."""

    def connections() -> set[str]:
        return {client["id"] for client in queue.client_list(_type="normal")}

    queue.client_kill_filter(_type="normal", skipme=True)
    others = connections()
    way()
    ours = connections() - others
    queue.flushall()
    queue.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(tasks.BrokerUnavailable):
            way()
    finally:
        queue.replicaof("NO", "ONE")
    way()
    assert _only_job(queue).id == "mine"
    assert ours
    assert not ours & connections()


@WAYS
def test_a_queue_of_another_type_is_named(queue: redis.Redis, way: Callable[[], Any]) -> None:
    """With what to do about it."""
    queue.set("aigc", "x")
    with pytest.raises(tasks.BrokerUnavailable, match=r"the key aigc in Redis .* rename or delete it"):
        way()


@pytest.mark.parametrize("options", [{}, {"headers": {"a": "b"}}], ids=["short", "celery"])
def test_a_foreign_certificate_is_refused(options: dict[str, Any]) -> None:
    """Password and prompt go to no server that cannot show who it is, whichever way they are sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    heard: list[bytes] = []

    def listen() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(ssl.SSLError), context.wrap_socket(plain, server_side=True) as secure:
                    heard.append(secure.recv(1000))

    with socket.create_server(("localhost", 0)) as listener:
        thread = threading.Thread(target=listen)
        thread.start()
        tasks.configure(redis_url=f"rediss://:s3cret@localhost:{listener.getsockname()[1]}/0")
        try:
            with pytest.raises(tasks.BrokerUnavailable, match="certificate"):
                tasks.submit(text_to_image(), **options)
        finally:
            tasks.configure()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
    assert heard == []
