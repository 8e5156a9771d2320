"""A queue in which there is something of everything, for the page to show."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import tasks
from tasks.contract import DEFAULT_OUTPUTS, OUTPUT_FIELD
from tasks.output import Output
from tests.integration.desk import KEYS, Desk
from tests.unit.tasks.samples import text_to_image
from worker.store.history_values import NO_LATENCY, Sample, to_json

HOSTILE: Final = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>"
PRICES: Final = {
    "AIGC_PRICE__TEXT2IMAGE": "0.04", "AIGC_PRICE__IMAGE2VIDEO": "0.35", "AIGC_CURRENCY": "USD",
}  # fmt: skip
STATES: Final = ("unknown", "exhausted", "rejected", "exhausted", "unknown", "rejected", "exhausted")
CODES: Final = {
    "unknown": "AIGC_READ_TIMEOUT", "exhausted": "INTCNN_COMMON_SYS_ERROR",
    "rejected": "INTCNN_COMMON_PARAM_VALID_ERROR",
}  # fmt: skip
WORKFLOWS: Final = ("TEXT2IMAGE", "IMAGE2VIDEO", "CATVTON")
_PICTURE: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 4" width="300" height="400">'
    b'<rect width="3" height="4" fill="#d9c7b0"/><circle cx="1.5" cy="1.5" r=".9" fill="#8a5a44"/></svg>'
)


def set_scene(desk: Desk, redis_url: str, picture: str) -> None:
    """Dead letters of all states, samples of a day, batches, outputs and a pause."""
    for number in range(28):
        status: Any = STATES[number % len(STATES)]
        desk.add_dead_letter(
            f"catalogue-{4711 + 37 * number}-front", status, code=CODES[status],
            workflow=WORKFLOWS[number % 3], ago_s=number * 1900, duplicate=number == 4,
        )  # fmt: skip
    for sample in samples(time.time()):
        desk.redis.rpush(KEYS.history, f"{round(sample.at_s * 1000)}|{to_json(sample)}")
    for output in outputs(picture):
        desk.redis.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: output.to_json()})
    tasks.configure(redis_url=redis_url)
    list(tasks.submit_many([text_to_image()] * 40, batch="nightly-2026-11-29"))
    list(tasks.submit_many([text_to_image()] * 12, batch="autumn-sale"))
    desk.aigc("pause", "--workflow", "CATVTON")


def outputs(picture: str) -> list[Output]:
    """The newest have a picture, others a clip, a file in a store, or none."""
    nothing = dict.fromkeys(("url", "file", "sha256", "bytes", "content_type"))
    about: dict[str, Any] = {
        "status": "succeeded", "vendor_status": "SUCCEEDED", "workflow": "TEXT2IMAGE", "version": "1.0.0",
        "finished_at": "2026-11-22T22:31:33.123Z", **nothing,
    }  # fmt: skip
    one = Output(job_id="job-a", task_id="task-8d0d3c", **about)
    stored: dict[str, Any] = {"file": "s3://shop/2026/11/task-77aa10.png", "content_type": "image/png"}
    kept = replace(one, task_id="task-77aa10", bytes=481_223, **stored)
    clip = "https://files.example/clip.mp4?sig=1"
    return [
        replace(one, task_id="task-1c9e00", status="failed", vendor_status="FAILED"),
        replace(one, task_id="task-5f0c22", workflow="IMAGE2VIDEO", url=clip),
        kept,
        *(replace(one, task_id=f"task-90ab{number}", url=f"{picture}?n={number}") for number in range(3)),
    ]


def samples(now_s: float) -> list[Sample]:
    """A day, a sample a minute; at night less was done, for an hour nobody looked, and once much failed."""
    made = []
    done, failed, latency, spent = 0, 0, list(NO_LATENCY), 0.0
    for minute in range(24 * 60):
        busy = 1.5 + math.sin(minute / 24 / 60 * 2 * math.pi + 1) + 0.25 * math.sin(minute / 7)
        bad = 1385 < minute < 1405
        sent = max(0, round(14 * busy) - 12 * bad)
        done, failed, spent = done + sent, failed + 4 * bad + (minute % 17 == 0), spent + 0.04 * sent
        latency[6 if bad else 4] += sent
        latency[9] += 1 + 2 * bad
        queued = max(0, round(40 * busy - 20 + (minute - 1385) * 9 * bad))
        sample = Sample(
            at_s=now_s - 60 * (24 * 60 - minute), jobs={"submitted": done, "exhausted": failed},
            attempts={"accepted": done, "vendor_fault": 3 * failed}, latency=tuple(latency), spent=spent,
            queued=queued, delayed=4 + 16 * bad, in_flight=8, held=3 + 2 * bad, oldest_s=queued / 4,
        )  # fmt: skip
        if not 400 < minute < 460:
            made.append(sample)
    return made


_HOST: Final = "127.0.0.2"
"""Another than the page's: browsers give a host's cookies to all of its ports."""


@contextmanager
def pictures() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a picture on loopback, and the headers by which it was asked for so far."""
    asked: list[dict[str, str]] = []

    class Pictures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({name.lower(): text for name, text in self.headers.items()})
            self.send_response(200)
            self.send_header("content-type", "image/svg+xml")
            self.end_headers()
            self.wfile.write(_PICTURE)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((_HOST, 0), Pictures) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{_HOST}:{server.server_port}/a.png", asked
        server.shutdown()
