"""The work that every contender does for a job, so that the queues are all that differs.

Sign and POST a payload, read the answer, write the result to a stream and publish it. Standard library
only: it is imported in the contenders' environments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from typing import Any

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")
ENDPOINT = os.environ.get("BENCH_ENDPOINT", "http://127.0.0.1:8080")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "32"))
QUEUE = "bench"
RESULTS = "aigc:results"
RESULTS_MAXLEN = 1_000_000
ACCESS_KEY, SECRET_KEY = "access-key-of-benchmarks", "secret-key-of-benchmarks"
URI = "/openapi/v1/aigc/submitTask"


def payload(number: int) -> dict[str, Any]:
    """A job as a shop has it."""
    return {
        "workflow": "IMAGE2VIDEO",
        "version": "1.0.0",
        "algoInput": {
            "inputText": f"The model turns around slowly, studio light, product {number}",
            "inputImage": f"https://images.example.com/products/{number}/front.jpg",
        },
    }


def request(job: dict[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    """Request id, body and headers of one attempt."""
    body = json.dumps(job, separators=(",", ":")).encode()
    timestamp, request_id = str(time.time_ns() // 1_000_000), str(uuid.uuid4())
    content = b"POST %s\n%s.%s.%s" % (URI.encode(), body, timestamp.encode(), ACCESS_KEY.encode())
    digest = hmac.new(SECRET_KEY.encode(), content, hashlib.sha1).hexdigest()
    return request_id, body, {
        "X-Access-Key": ACCESS_KEY,
        "X-Request-Sign": base64.b64encode(digest.encode()).decode(),
        "X-Request-Timestamp": timestamp,
        "x-acs-request-id": request_id,
        "Content-Type": "application/json",
    }  # fmt: skip


def result(job_id: str, job: dict[str, Any], request_id: str, answer: bytes) -> str:
    """The result's JSON, with the fields that ours has."""
    read = json.loads(answer)
    return json.dumps(
        {
            "schema": 1, "jobId": job_id, "status": "submitted" if read["success"] else "rejected",
            "taskId": read["model"], "workflow": job["workflow"], "version": job["version"], "attempts": 1,
            "requestId": request_id, "errorCode": read["errorCode"], "errorMsg": read["errorMsg"],
            "possibleDuplicate": False, "finishedAt": "2026-11-22T22:31:33.123Z", "metadata": {},
        },
        separators=(",", ":"),
    )  # fmt: skip
