"""A stage for whole-program tests: a real Redis, a real vendor sandbox over HTTP, real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import redis
import requests

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD, TASK_NAME, lists_read_as
from tasks.envelope import Job, encode
from tests.conditions import PATIENCE_S, until
from tests.forked import ForkedProcess, celery
from tests.redis_server import RedisServer
from worker.dev.sandbox.server import running
from worker.dev.sandbox.state import Config
from worker.domain.signing import Credentials

KEYS = Credentials("access-key-of-tests", "secret-key-of-tests")

LISTS = tuple(chain.from_iterable(lists_read_as(DEFAULT_QUEUE)))
"""All lists that workers read."""

LEFT = """
local left = redis.call('ZCARD', ARGV[1] .. ':waiting') + redis.call('ZCARD', ARGV[1] .. ':sending')
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':unacked:*')) do left = left + redis.call('HLEN', key) end
for number = 2, #ARGV do left = left + redis.call('LLEN', ARGV[number]) end
return left
"""

CAT = {
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "algoInput": {"inputText": "a cat", "width": 1024, "height": 1024},
}


def text(prompt: str) -> dict[str, Any]:
    """A valid payload with this prompt."""
    return {**CAT, "algoInput": {"inputText": prompt, "width": 1024, "height": 1024}}


def faulty(rule: str = "") -> dict[str, Any]:
    """A payload unlike any other, to which the sandbox does what the rule says."""
    return text(f"[[{rule}]] {uuid.uuid4()}" if rule else str(uuid.uuid4()))


def sent(payload: dict[str, Any]) -> bytes:
    """The bytes of the payload that the vendor is sent."""
    return json.dumps(payload, separators=(",", ":")).encode()


def logged(worker: Worker, *words: str) -> str:
    """The worker's log, once all of these words stand in it."""
    try:
        until(lambda: all(word in worker.output() for word in words), f"{words} in the log")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{worker.output()[-3000:]}") from None
    return worker.output()


class Vendor:
    """The sandbox's control side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}/_sandbox/{path}", timeout=PATIENCE_S).json()

    def set(self, path: str, **document: Any) -> None:
        requests.post(f"{self.url}/_sandbox/{path}", json=document, timeout=PATIENCE_S).raise_for_status()

    @property
    def posts(self) -> int:
        return int(self.get("stats")["posts"])

    def posts_of(self, payload: dict[str, Any]) -> list[dict[str, Any]]:
        """What was posted with exactly this payload; ``taskId`` is set where it was billed."""
        posts: list[dict[str, Any]] = self.get(f"posts?sha256={sha256(sent(payload)).hexdigest()}")
        return posts


class Worker:
    """One worker process in its own session, its log in a file."""

    def __init__(self, env: Mapping[str, str], *arguments: str) -> None:
        descriptor, log = tempfile.mkstemp(prefix="aigc-worker-", suffix=".log")
        os.close(descriptor)
        self.log = Path(log)
        self.process: ForkedProcess | subprocess.Popen[bytes] = celery(
            "-A", "worker.app", "worker", *arguments, environment=env, log=self.log
        )

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.log.unlink(missing_ok=True)

    def output(self) -> str:
        return self.log.read_text(errors="replace")


class Stage:
    """Everything that one test runs against."""

    def __init__(self, server: RedisServer, vendor: Vendor, directory: str) -> None:
        self.server = server
        self.vendor = vendor
        self.directory = directory
        self.redis: Any = server.client()
        self.workers: list[Worker] = []

    def env(self, **changes: Any) -> dict[str, str]:
        """The environment of a worker; changes by the setting's name without ``AIGC_``."""
        settings = {
            "REDIS_URL": self.server.url, "ENDPOINT": self.vendor.url,
            "ACCESS_KEY": KEYS.access_key, "SECRET_KEY": KEYS.secret_key,
            "RETRY_BASE_S": "0.05", "RETRY_CAP_S": "0.4", "READ_TIMEOUT_S": "4", "CONNECT_TIMEOUT_S": "4",
            "LOG_FORMAT": "json", "STATE_DIR": self.directory,
            **{name: str(value) for name, value in changes.items()},
        }  # fmt: skip
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIGC_", "SENTRY_", "OTEL_"))
        }
        ours = {f"AIGC_{name}": value for name, value in settings.items()}
        return inherited | {"TMPDIR": self.directory} | ours

    def worker(self, *arguments: str, **changes: Any) -> Worker:
        worker = Worker(self.env(**changes), *arguments)
        self.workers.append(worker)
        return worker

    def enqueue(self, payload: dict[str, Any], job_id: str | None = None, **options: Any) -> str:
        """As a foreign producer does it: one LPUSH."""
        job = Job(job_id or str(uuid.uuid4()), payload, **options)
        self.redis.lpush(DEFAULT_QUEUE, encode(job, DEFAULT_QUEUE))
        return job.id

    def put(self, args: list[Any], kwargs: dict[str, Any]) -> str:
        """A message with these arguments, whatever they are; its job id."""
        return self.put_body(json.dumps([args, kwargs, {}]))

    def put_body(self, body: str, job_id: str = "", headers: Mapping[str, Any] | None = None) -> str:
        """A message with this body, as a foreign producer writes it by hand; its job id."""
        job_id = job_id or str(uuid.uuid4())
        message = {
            "body": b64encode(body.encode()).decode(), "content-type": "application/json",
            "content-encoding": "utf-8", "headers": {"task": TASK_NAME, "id": job_id, **(headers or {})},
            "properties": {
                "delivery_tag": str(uuid.uuid4()), "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": DEFAULT_QUEUE},
            },
        }  # fmt: skip
        self.redis.lpush(DEFAULT_QUEUE, json.dumps(message))
        return job_id

    def results(self) -> list[dict[str, Any]]:
        try:
            entries = self.redis.xrange(DEFAULT_RESULTS)
        except redis.ConnectionError:
            return []
        return [json.loads(fields[RESULT_FIELD.encode()]) for _, fields in entries]

    def result(self, job_id: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """The job's result, once it is there."""
        try:
            return until(lambda: self.results_of(job_id), f"the result of {job_id}", seconds)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def queued(self) -> int:
        """Messages in the queue's lists."""
        return sum(self.redis.llen(name) for name in LISTS)

    def held(self) -> int:
        """Messages that workers hold."""
        return sum(self.redis.hlen(key) for key in self.redis.keys(f"{DEFAULT_QUEUE}:unacked:*"))

    def waiting(self) -> int:
        return int(self.redis.zcard(f"{DEFAULT_QUEUE}:waiting"))

    def sending(self) -> int:
        return int(self.redis.zcard(f"{DEFAULT_QUEUE}:sending"))

    def pause(self) -> None:
        """Pause everything, and wait until the one worker takes nothing more: what it takes and gives back
        may be missed by who looks for it in the lists, and is claimed meanwhile."""
        self.redis.sadd(f"{DEFAULT_QUEUE}:paused", "*")

        for _ in range(2):  # a second look begins once what the first one saw is obeyed
            until(partial(self._has_looked_since, self._looked_at()), "a look of the worker")

    def _looked_at(self) -> bytes | None:
        found: bytes | None = self.redis.hget(f"{DEFAULT_QUEUE}:clock", "last")
        return found

    def _has_looked_since(self, moment: bytes | None) -> bool:
        return self._looked_at() != moment

    def idle(self) -> bool:
        """Whether no message, no waiting job and no attempt is left, at one moment."""
        return int(self.redis.eval(LEFT, 0, DEFAULT_QUEUE, *LISTS)) == 0

    def drain(self) -> None:
        """Wait until nothing is left: whatever was enqueued before has had its effect."""
        until(self.idle, "nothing to be left")

    def living(self) -> set[bytes]:
        """The names of the workers that are alive."""
        return set(self.redis.zrange(f"{DEFAULT_QUEUE}:workers", 0, -1))

    def malformed(self) -> list[tuple[str, bytes]]:
        """What was put aside: the reason and the message, oldest first."""
        found = []
        for entry in self.redis.lrange(f"{DEFAULT_QUEUE}:malformed", 0, -1):
            about, end = json.JSONDecoder().raw_decode(entry.decode("latin-1"))
            found.append((about["reason"], entry[end + 1 :]))
        return found

    def results_of(self, job_id: str) -> list[dict[str, Any]]:
        return [result for result in self.results() if result["jobId"] == job_id]

    @contextmanager
    def listening(self, channel_name: str = DEFAULT_RESULTS) -> Iterator[Callable[[], list[bytes]]]:
        """Subscribe to a channel of results; gives a function that returns all that came so far."""
        heard: list[bytes] = []
        client: Any = self.server.client()
        with closing(client.pubsub()) as channel:
            channel.subscribe(channel_name)
            until(lambda: channel.get_message(timeout=1), "the subscription")

            def so_far() -> list[bytes]:
                while message := channel.get_message(timeout=0.01):
                    heard.append(message["data"])
                return heard

            yield so_far

    def logs(self) -> str:
        return "\n".join(worker.output()[-3000:] for worker in self.workers)

    def logs_in_full(self) -> str:
        return "\n".join(worker.output() for worker in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


class CommandWorker(Worker):
    """One that is started by another command than Celery's own."""

    def __init__(self, stage: Stage, command: list[str], **changes: object) -> None:
        self.log = Path(stage.directory, f"worker-{len(stage.workers)}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=stage.env(**changes), stdout=log, stderr=log, start_new_session=True
            )
        stage.workers.append(self)


@contextmanager
def staged(server: RedisServer, **config: Any) -> Iterator[Stage]:
    """A stage on this Redis; all of its processes end with the block."""
    with (
        running(Config(keys=[KEYS], allow_unlisted=True, **config)) as url,
        tempfile.TemporaryDirectory(prefix="aigc-stage-") as directory,
    ):
        stage = Stage(server, Vendor(url), directory)
        try:
            yield stage
        finally:
            stage.close()


@contextmanager
def working(*arguments: str, **changes: Any) -> Iterator[Stage]:
    """A stage with a Redis of its own and one worker that is ready, for the tests of one module."""
    with RedisServer() as server, staged(server) as stage:
        stage.worker(*arguments, **changes)
        until(stage.living, "the worker")
        yield stage
