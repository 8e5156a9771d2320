"""What leaves a worker: real Sentry envelopes at a local sink, and its log; nothing private is in either."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conditions import until
from tests.integration.stage import KEYS, Stage, Worker, staged
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer

PROMPT = "A tabby cat sits on a red mat and looks at nobody"
SIGNED_URL = "https://cdn.example/cat.png?Expires=1&Signature=c2lnbmVk"
HIDDEN = (PROMPT, "tabby cat sits", "c2lnbmVk", KEYS.secret_key, KEYS.access_key)


class Sink:
    """A local Sentry: keeps every envelope as it came."""

    def __init__(self) -> None:
        self.envelopes: list[bytes] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.envelopes.append(body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.dsn = f"http://public@127.0.0.1:{self._server.server_port}/1"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        events = []
        for envelope in list(self.envelopes):
            _, *lines = envelope.splitlines()
            for header, payload in zip(lines[::2], lines[1::2], strict=False):
                kind = json.loads(header)["type"]
                assert kind == "event", f"a {kind} was sent too"
                events.append(json.loads(payload))
        return events

    def show_nothing_hidden(self) -> None:
        everything = b"\n".join(self.envelopes).decode()
        assert [text for text in HIDDEN if text in everything] == []


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def start(stage: Stage, sink: Sink, **changes: Any) -> Worker:
    env = stage.env(LOG_LEVEL="DEBUG", MAX_ATTEMPTS=3, **changes) | {"SENTRY_DSN": sink.dsn}
    worker = Worker(env)
    stage.workers.append(worker)
    return worker


def job(rule: str = "") -> dict[str, Any]:
    return {
        "workflow": "IMAGE2VIDEO",
        "version": "1.0.0",
        "algoInput": {"inputText": f"{PROMPT} {uuid.uuid4()} {rule}", "inputImage": SIGNED_URL},
    }


def test_one_event_for_each_job_that_did_not_end_well(stage: Stage, sink: Sink) -> None:
    """Exhausted, rejected and unknown make one each, success after retries none; no text leaks."""
    worker = start(stage, sink)
    endings = {
        stage.enqueue(job("[[sys_error*2]]")): "submitted",
        stage.enqueue(job("[[sys_error]]")): "exhausted",
        stage.enqueue(job("[[sys_error]]")): "exhausted",
        stage.enqueue(job("[[param_error]]")): "rejected",
        stage.enqueue(job("[[garbage]]")): "unknown",
        stage.enqueue(job() | {"workflow": "IMAGE2VIDEOS"}): "rejected",
    }
    results = {job_id: stage.result(job_id) for job_id in endings}
    assert {job_id: result["status"] for job_id, result in results.items()} == endings
    assert worker.terminate() == 0
    events = {event["tags"]["job"]: event for event in sink.events()}
    assert len(events) == len(sink.events()) == 5
    for job_id, event in events.items():
        result = results[job_id]
        tags = event["tags"]
        assert event["fingerprint"] == [result["status"], result["errorCode"], result["workflow"]]
        assert (tags["error_code"], tags["workflow"]) == (result["errorCode"], result["workflow"])
        assert tags.get("request") == result["requestId"]
        assert event["extra"]["attempts"] == result["attempts"]
        assert event["level"] == "error"
    sink.show_nothing_hidden()


def test_one_log_line_for_each_failed_attempt_and_each_ending(stage: Stage, sink: Sink) -> None:
    """The same ids everywhere, and nothing hidden even at DEBUG."""
    worker = start(stage, sink)
    job_id = stage.enqueue(job("[[sys_error*2]]"))
    result = stage.result(job_id)
    assert worker.terminate() == 0
    output = worker.output()
    entries = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    mine = [entry for entry in entries if entry.get("job") == job_id]
    assert [entry["message"] for entry in mine] == ["attempt failed", "attempt failed", "job submitted"]
    assert [entry["attempts"] for entry in mine] == [1, 2, 3]
    assert {entry["code"] for entry in mine[:2]} == {"INTCNN_COMMON_SYS_ERROR"}
    assert (mine[2]["task"], mine[2]["request"]) == (result["taskId"], result["requestId"])
    assert len({entry["request"] for entry in mine}) == 3
    assert [text for text in HIDDEN if text in output] == []


def test_a_wrong_key_is_one_event_however_many_jobs_wait(stage: Stage, sink: Sink) -> None:
    """The event says what to check; the jobs stay."""
    for _ in range(20):
        stage.enqueue(job())
    worker = start(stage, sink, SECRET_KEY="not-the-right-secret")
    (event,) = until(sink.events, "the event")
    assert event["fingerprint"] == ["misconfigured", "INTCNN_COMMON_AUTH_CHECK_ERROR", ""]
    assert event["level"] == "fatal"
    assert "AIGC_SECRET_KEY" in event["extra"]["remedy"]
    until(lambda: stage.vendor.posts >= 2, "a second probe")
    assert worker.terminate() == 0
    assert len(sink.events()) == 1
    assert stage.results() == []
    assert "not-the-right-secret" not in worker.output() + str(sink.envelopes)
    sink.show_nothing_hidden()


def test_an_outage_of_the_vendor_is_one_event(stage: Stage, sink: Sink) -> None:
    """When it has begun and lasts, of all workers together; none each time a probe fails."""
    workers = [start(stage, sink), start(stage, sink)]
    stage.vendor.set("rules", rules=["sys_error"])
    for _ in range(20):
        stage.enqueue(job())
    (event,) = until(sink.events, "the event")
    assert (event["fingerprint"], event["level"]) == (["vendor_down", "", ""], "error")
    assert event["extra"]["seconds"] >= 5
    posts = stage.vendor.posts
    until(lambda: stage.vendor.posts > posts + 1, "more probes")
    assert [worker.terminate() for worker in workers] == [0, 0]
    assert len(sink.events()) == 1
    logs = "".join(worker.output() for worker in workers)
    assert logs.count("the vendor has been down for") == 1


def test_an_outage_of_redis_is_one_event(own_redis_server: RedisServer, sink: Sink) -> None:
    """When it has lasted for a while, from a worker that waits to settle, too."""
    with staged(own_redis_server) as stage:
        worker = start(stage, sink)
        payload = job("[[slow(300)]]")
        stage.enqueue(payload)
        until(lambda: stage.vendor.posts_of(payload), "the POST")
        own_redis_server.kill()
        (event,) = until(sink.events, "the event")
        assert (event["fingerprint"], event["level"]) == (["redis_away", "", ""], "error")
        assert "Redis is away" in event["extra"]["error"]
        own_redis_server.start()
        stage.result(stage.enqueue(job()))
        assert worker.terminate() == 0
    assert len(sink.events()) == 1


def test_without_a_dsn_nothing_is_sent(stage: Stage, sink: Sink) -> None:
    """Reporting is off unless it is asked for."""
    worker = stage.worker()
    assert stage.result(stage.enqueue(job("[[param_error]]")))["status"] == "rejected"
    assert worker.terminate() == 0
    assert sink.envelopes == []


PROGRAM = """
import logging, os, sys, threading
from celery import Celery
from worker import observability
from worker.config.settings import from_environ
observability.setup(from_environ())
prompt, signed_url, secret = sys.argv[1:]
payload = {"workflow": "X", "algoInput": {"inputText": prompt, "inputImage": signed_url}}

def fail():
    observability.keep_private(payload)
    logging.getLogger("x").info("about to send %s", payload)
    local = prompt
    raise ValueError(f"cannot send {prompt!r} to {signed_url} with {secret}")

app = Celery(broker="memory://")

@app.task
def body(payload, metadata=None):
    fail()

for _ in range(2 if os.environ.get("TWICE") else 1):
    body.apply(args=[payload], kwargs={"metadata": {"note": prompt}})
if os.environ.get("THREAD"):
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("where", ["TASK", "THREAD", "TWICE"])
def test_an_error_of_ours_is_one_event_without_the_job(where: str, sink: Sink, tmp_path: Path) -> None:
    """An exception in a task's body or a thread: its place, not the prompt, arguments, variables or keys."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    python = Path(quick_aigc()).with_name("python")
    done = subprocess.run(
        [python, program, PROMPT, SIGNED_URL, KEYS.secret_key],
        env={
            "AIGC_ACCESS_KEY": KEYS.access_key,
            "AIGC_SECRET_KEY": KEYS.secret_key,
            "SENTRY_DSN": sink.dsn,
            "SENTRY_ENVIRONMENT": "tests",
            where: "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = sink.events()
    assert len(events) == (1 if where == "TASK" else 2)
    for event in events:
        (error,) = event["exception"]["values"]
        assert error["type"] == "ValueError"
        assert error["value"].startswith("cannot send '[redacted]' to ")
        assert error["stacktrace"]["frames"][-1]["function"] == "fail"
        assert event["environment"] == "tests"
        assert "celery-job" not in event["extra"]
    sink.show_nothing_hidden()
    assert [text for text in HIDDEN if text in done.stderr + done.stdout] == []
