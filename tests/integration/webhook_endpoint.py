"""An endpoint of a shop's, and a forwarder in this process whose clock may be quicker than others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier

from tests.redis_server import RedisServer
from worker.services.forward.client import WebhookClient
from worker.services.forward.clock import Clock, Stop
from worker.services.forward.endpoint import Endpoint, endpoint_of
from worker.services.forward.forwarder import EndReason, Forwarder, Wiring
from worker.store.forward_values import FIELDS, Stream
from worker.store.keys import KeyNames
from worker.store.scripts import connect

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = KeyNames("aigc", "aigc:results")
NAMES: dict[Stream, str] = {"results": "aigc:results", "outputs": "aigc:outputs"}
HUNG_UP = 0
"""In the place of a status: the connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request, whatever it was answered."""

    headers: dict[str, str]
    body: bytes
    path: str = "/"
    verified_by: str = SECRET

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        """The body, once its signature is found to be right."""
        found: dict[str, Any] = Verifier(self.verified_by).verify(self.body, self.headers)
        return found

    @property
    def job(self) -> str:
        return str(json.loads(self.body)["data"]["jobId"])

    @property
    def what(self) -> tuple[str, str]:
        """Which message it is."""
        document = json.loads(self.body)
        return document["data"]["jobId"], document["type"]


Answer = Callable[[Received], int]


@dataclass(slots=True)
class ShopEndpoint:
    """Takes webhooks at `url` and answers as `answer` says, 204 at first; knows what it has taken."""

    answer: Answer = lambda _: 204
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    url: str = ""

    def taken_ids(self) -> list[str]:
        return [each.id for each in self.taken]


@contextmanager
def listening(made: ShopEndpoint | None = None) -> Iterator[ShopEndpoint]:
    """An endpoint on loopback for as long as the block."""
    endpoint = made or ShopEndpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536
        timeout = 30

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                self.close_connection = True  # the sender was killed
                return
            received = Received({k.lower(): v for k, v in self.headers.items()}, body, self.path)
            endpoint.requests.append(received)
            status = endpoint.answer(received)
            if status == HUNG_UP:
                self.close_connection = True
                return
            if 200 <= status < 300:
                endpoint.taken.append(received)
            self.send_response(status)
            for name, text in endpoint.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuickClock(Clock):
    """So many seconds go by in one."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began, self._base_ms = time.monotonic(), time.time_ns() // 1_000_000

    def now_ms(self) -> int:
        return self._base_ms + round(1000 * self._speed * (time.monotonic() - self._began))

    def seconds_of(self, ms: float) -> float:
        return ms / 1000 / self._speed


class Running:
    """A forwarder in a thread of this process."""

    def __init__(
        self, server: RedisServer, endpoint: Endpoint, *, speed: float = 1.0, outputs: bool = True,
        secrets: tuple[str, ...] = (SECRET,), concurrency: int = 4, start: str = "0", again: bool = False,
    ) -> None:  # fmt: skip
        self.stop = Stop()
        self._client = WebhookClient(endpoint, secrets)
        self._redis = connect(server.url, 4)
        wiring = Wiring(
            client=self._redis, keys=KEYS, names=NAMES,
            read=("results", "outputs") if outputs else ("results",),
            endpoint=endpoint, post=self._client.post, concurrency=concurrency, start=start,
        )  # fmt: skip
        self.forwarder = Forwarder(wiring, self.stop, QuickClock(speed))
        self.may_run = self.forwarder.prepare(again=again)
        self.ending: EndReason | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.ending = self.forwarder.run() if self.may_run else EndReason.GONE

    def close(self) -> None:
        self.stop.ask()
        while self.thread.is_alive():
            self._end_waits()  # of which each takes a second where nothing comes
            self.thread.join(0.02)
        self._client.close()
        self._redis.close()

    def _end_waits(self) -> None:
        """Whoever waits for Redis's streams finds nothing, as at the end of the wait."""
        for each in self._redis.client_list(_type="normal"):
            if "b" in each["flags"]:
                self._redis.client_unblock(int(each["id"]))


@contextmanager
def forwarding(server: RedisServer, to: ShopEndpoint | str, **options: Any) -> Iterator[Running]:
    """A forwarder for as long as the block; it ends softly."""
    made = Running(server, endpoint_of(to if isinstance(to, str) else to.url), **options)
    try:
        yield made
    finally:
        made.close()


def result(job: str, status: str = "submitted", **more: Any) -> str:
    """A result's JSON."""
    return json.dumps(
        {"schema": 1, "jobId": job, "status": status, "finishedAt": "2026-11-22T22:31:33.123Z", **more}
    )


def output(job: str | None, task: str, status: str = "succeeded") -> str:
    """An output's JSON."""
    return json.dumps({"schema": 1, "jobId": job, "taskId": task, "status": status})


def publish(client: Any, *texts: str, from_ms: int | None = None) -> list[str]:
    """Put results, and outputs, into their streams; gives the ids of their entries.

    Args:
        from_ms: when the first one is published, each other one a millisecond later; else now.
    """
    with client.pipeline(transaction=False) as calls:
        for number, text in enumerate(texts):
            stream: Stream = "outputs" if '"taskId"' in text else "results"
            entry_id = "*" if from_ms is None else f"{from_ms + number}-0"
            calls.xadd(NAMES[stream], {FIELDS[stream]: text}, id=entry_id)
        return [entry.decode() for entry in calls.execute()]
