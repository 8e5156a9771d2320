"""What every measurement runs on: a Redis and a vendor on one core, a contender's worker on the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from bench import work
from bench.contenders import Contender
from bench.processes import Pinned
from worker.dev.embedded import EmbeddedRedis

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 120.0


class Stage:
    """One Redis and one vendor, for one measurement after another."""

    def __init__(self, server: EmbeddedRedis, endpoint: str, peers_python: str, domain: int) -> None:
        self._server = server
        self._endpoint = endpoint
        self._peers_python = peers_python
        self._core = domain
        self.redis = redis.Redis.from_url(server.url)

    def env(self, contender: Contender, concurrency: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ours = {
            "AIGC_REDIS_URL": self._server.url, "AIGC_ENDPOINT": self._endpoint,
            "AIGC_CONCURRENCY": str(concurrency), "AIGC_ACCESS_KEY": work.ACCESS_KEY,
            "AIGC_SECRET_KEY": work.SECRET_KEY, "AIGC_STATE_DIR": f"{tempfile.gettempdir()}/aigc-bench",
        }  # fmt: skip
        peers = {
            "BENCH_REDIS_URL": self._server.url, "BENCH_ENDPOINT": self._endpoint,
            "BENCH_CONCURRENCY": str(concurrency), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        return inherited | peers | (ours if contender.ours else {}) | dict(contender.env)

    def python(self, contender: Contender) -> str:
        return sys.executable if contender.ours else self._peers_python

    def produce(self, contender: Contender, *arguments: str) -> str:
        """Run `bench.produce` in the contender's environment; what it printed."""
        command = [self.python(contender), "-m", "bench.produce", contender.producer, *arguments]
        done = subprocess.run(
            command,
            env=self.env(contender, work.CONCURRENCY),
            stdout=subprocess.PIPE,
            timeout=600,
            check=True,
        )
        return done.stdout.decode()

    def fill(self, contender: Contender, jobs: int) -> float:
        """Enqueue so many jobs, in the contender's way; CPU microseconds of the producer for each."""
        bulk = ["bulk"] if contender.per_message > 1 else []
        return float(self.produce(contender, "fill", str(jobs), *bulk))

    def worker(self, contender: Contender, concurrency: int = work.CONCURRENCY) -> Pinned:
        """The contender's worker, started, on its core."""
        return Pinned(
            [self.python(contender), *contender.worker], self.env(contender, concurrency), self._core
        )

    def clear(self) -> None:
        """Forget the measurement before; at once, for what Redis frees later would be counted as negative."""
        self.redis.execute_command("FLUSHALL", "SYNC")

    def redis_bytes(self) -> int:
        return int(self.redis.info("memory")["used_memory"])

    def results(self) -> int:
        """Jobs that have ended so far."""
        return int(self.redis.xlen(work.RESULTS))

    def wait_for_results(self, count: int, worker: Pinned) -> None:
        """Wait until so many jobs have their result."""
        wait_until(lambda: self.results() >= count, f"{count} results", worker)


def wait_until(condition: Callable[[], object], what: str, worker: Pinned | None = None) -> None:
    """Wait for the condition; RuntimeError with the worker's output where it does not come."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if worker:
            worker.check()
        if time.monotonic() > end:
            raise RuntimeError(f"no {what}:\n{worker.output() if worker else ''}")
        time.sleep(0.005)


@contextmanager
def staged(peers_python: str, delay_ms: float = 0.0) -> Iterator[Stage]:
    """A stage: everything but the worker runs on the second core, where there is one."""
    cores = sorted(os.sched_getaffinity(0))
    work_core, other_core = cores[0], cores[-1]
    os.sched_setaffinity(0, {other_core})
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, set(cores))
        server = stack.enter_context(EmbeddedRedis())
        port = _free_port()
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        vendor = [peers_python, "-m", "bench.vendor", str(port), str(delay_ms)]
        stack.enter_context(Pinned(vendor, env, other_core))
        wait_until(lambda: _listens(port), "vendor")
        yield Stage(server, f"http://127.0.0.1:{port}", peers_python, work_core)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
