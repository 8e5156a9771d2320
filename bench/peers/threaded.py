"""The work with blocking clients: `requests.Session`, one for each thread, and redis-py."""

from __future__ import annotations

import threading
from typing import Any

import redis
import requests

from bench import work

_client = redis.Redis.from_url(work.REDIS_URL)
_of_thread = threading.local()


def submit(job_id: str, job: dict[str, Any]) -> None:
    """One job, from payload to published result."""
    session = getattr(_of_thread, "session", None)
    if session is None:
        session = _of_thread.session = requests.Session()
    request_id, body, headers = work.request(job)
    response = session.post(work.ENDPOINT + work.URI, data=body, headers=headers, timeout=(5, 30))
    result = work.result(job_id, job, request_id, response.content)
    with _client.pipeline(transaction=True) as pipe:
        pipe.xadd(work.RESULTS, {"result": result}, maxlen=work.RESULTS_MAXLEN)
        pipe.publish(work.RESULTS, result)
        pipe.execute()
