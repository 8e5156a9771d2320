"""A stage for whole-program tests: a real Redis, a real vendor sandbox over HTTP, real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import redis
import requests

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, RESULT_FIELD
from tasks.envelope import Job, encode
from tests.redis_server import RedisServer
from worker.core.signing import Keys
from worker.sandbox.server import running
from worker.sandbox.state import Config

KEYS = Keys("access-key-of-tests", "secret-key-of-tests")
PATIENCE_S = 30.0
T = TypeVar("T")

CAT = {
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "algoInput": {"inputText": "a cat", "width": 1024, "height": 1024},
}


def text(prompt: str) -> dict[str, Any]:
    """A valid payload with this prompt."""
    return {**CAT, "algoInput": {"inputText": prompt, "width": 1024, "height": 1024}}


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE_S) -> T:
    """Wait until the condition gives something true, and return that; fail after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


class Vendor:
    """The sandbox's control side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}/_sandbox/{path}", timeout=10).json()

    def set(self, path: str, **document: Any) -> None:
        requests.post(f"{self.url}/_sandbox/{path}", json=document, timeout=10).raise_for_status()

    @property
    def posts(self) -> int:
        return int(self.get("stats")["posts"])


class Worker:
    """One worker process in its own session, its log in a file."""

    def __init__(self, env: Mapping[str, str], *arguments: str) -> None:
        self.log = Path(tempfile.mkstemp(prefix="aigc-worker-", suffix=".log")[1])
        command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=dict(env), stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S * 2)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.log.unlink(missing_ok=True)

    def output(self) -> str:
        return self.log.read_text(errors="replace")


class Stage:
    """Everything that one test runs against."""

    def __init__(self, server: RedisServer, vendor: Vendor) -> None:
        self.server = server
        self.vendor = vendor
        self.redis = server.client()
        self.workers: list[Worker] = []

    def env(self, **changes: Any) -> dict[str, str]:
        """The environment of a worker; changes by the setting's name without ``AIGC_``."""
        settings = {
            "REDIS_URL": self.server.url, "ENDPOINT": self.vendor.url, "ACCESS_KEY": KEYS.access_key,
            "SECRET_KEY": KEYS.secret_key, "RETRY_BASE_S": "0.05", "RETRY_CAP_S": "0.4", "READ_TIMEOUT_S": "2",
            "CONNECT_TIMEOUT_S": "2", "LOG_FORMAT": "json", **{name: str(value) for name, value in changes.items()},
        }  # fmt: skip
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIGC_", "SENTRY_"))
        }
        return inherited | {f"AIGC_{name}": value for name, value in settings.items()}

    def worker(self, *arguments: str, **changes: Any) -> Worker:
        worker = Worker(self.env(**changes), *arguments)
        self.workers.append(worker)
        return worker

    def enqueue(self, payload: dict[str, Any], job_id: str | None = None, **options: Any) -> str:
        """As a foreign producer does it: one LPUSH."""
        job = Job(job_id or str(uuid.uuid4()), payload, **options)
        self.redis.lpush(DEFAULT_QUEUE, encode(job, DEFAULT_QUEUE))
        return job.id

    def results(self) -> list[dict[str, Any]]:
        try:
            entries = self.redis.xrange(DEFAULT_RESULTS)
        except redis.ConnectionError:
            return []
        return [json.loads(fields[RESULT_FIELD.encode()]) for _, fields in entries]

    def result(self, job_id: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """The job's result, once it is there."""
        found = lambda: [result for result in self.results() if result["jobId"] == job_id]  # noqa: E731
        return until(found, f"the result of {job_id}\n{self.logs()}", seconds)[-1]

    def idle(self) -> bool:
        """Whether no message, no waiting job and no attempt is left."""
        keys = [key.decode() for key in self.redis.keys(f"{DEFAULT_QUEUE}:unacked:*")]
        left = self.redis.llen(DEFAULT_QUEUE) + self.redis.zcard(f"{DEFAULT_QUEUE}:waiting")
        return (
            left + self.redis.zcard(f"{DEFAULT_QUEUE}:sending") + sum(self.redis.hlen(key) for key in keys)
            == 0
        )

    def logs(self) -> str:
        return "\n".join(worker.output()[-3000:] for worker in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@contextmanager
def staged(server: RedisServer, **config: Any) -> Iterator[Stage]:
    """A stage on this Redis; all of its processes end with the block."""
    with running(Config(keys=[KEYS], allow_unlisted=True, **config)) as url:
        stage = Stage(server, Vendor(url))
        try:
            yield stage
        finally:
            stage.close()
