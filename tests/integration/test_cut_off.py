"""One worker that does not reach the vendor, among others that do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

from tests.chaos.proxy import Proxy
from tests.conditions import until
from tests.integration.desk import KEYS
from tests.integration.stage import Stage, faulty

JOBS = 300
CONCURRENCY = 8


class BrokenProxy(BaseHTTPRequestHandler):
    """A gateway in front of nothing: 502 for all."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def broken_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BrokenProxy)
    server.daemon_threads = False  # to be waited for at the end
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def vendor_port(stage: Stage) -> int:
    port = urlsplit(stage.vendor.url).port
    assert port
    return port


def start(stage: Stage, bad_endpoint: str) -> None:
    """Two good workers and a bad one, all of them looking at the queue."""
    stage.vendor.set("latency", latency_ms=50, jitter_ms=20)
    for endpoint in (bad_endpoint, stage.vendor.url, stage.vendor.url):
        stage.worker(ENDPOINT=endpoint, CONCURRENCY=CONCURRENCY)
    until(lambda: stage.redis.hlen(KEYS.last_polls) == 3, "the workers")


def troubles(stage: Stage) -> list[str]:
    return [words.decode() for words in stage.redis.hvals(KEYS.troubles)]


def ends(stage: Stage, jobs: list[str]) -> Counter[str]:
    until(lambda: stage.redis.xlen(KEYS.results) >= len(jobs), "all results")
    statuses = {result["jobId"]: result["status"] for result in stage.results()}
    return Counter(statuses[job] for job in jobs)


def test_behind_a_broken_proxy_few_jobs_are_in_doubt(stage: Stage) -> None:
    """It stops after a few, says so, stops nobody else, and goes on once the proxy is mended."""
    with broken_port() as port, Proxy(port, Random(1)).running() as proxy:
        start(stage, f"http://127.0.0.1:{proxy.port}")
        found = ends(stage, [stage.enqueue(faulty()) for _ in range(JOBS)])
        assert found["submitted"] + found["unknown"] == JOBS
        assert found["unknown"] <= 2 * CONCURRENCY
        assert "the vendor is down" not in stage.logs()
        until(lambda: any("AIGC_HTTP_502" in words for words in troubles(stage)), "its trouble to be told")
        proxy.target = vendor_port(stage)

        def healed() -> bool:
            stage.enqueue(faulty())
            return not troubles(stage)

        until(healed, "the worker to heal")


def test_a_refused_port_slows_nobody_else_down(stage: Stage) -> None:
    """What it could not send goes to the others; the breaker stays closed, and no job is in doubt."""
    start(stage, "http://127.0.0.1:9")
    assert ends(stage, [stage.enqueue(faulty()) for _ in range(JOBS)]) == {"submitted": JOBS}
    assert "the vendor is down" not in stage.logs()
    until(lambda: any("AIGC_NOT_SENT" in words for words in troubles(stage)), "its trouble to be told")


def test_with_one_worker_alone_it_is_an_outage(stage: Stage) -> None:
    """Nobody else can tell the one from the other: the breaker opens, and no job is harmed."""
    stage.worker(ENDPOINT="http://127.0.0.1:9", CONCURRENCY=CONCURRENCY)
    jobs = [stage.enqueue(faulty()) for _ in range(20)]
    until(lambda: stage.redis.hget(KEYS.breaker, "open") == b"1", "the breaker to open")
    stage.worker(CONCURRENCY=CONCURRENCY)
    assert ends(stage, jobs) == {"submitted": 20}
