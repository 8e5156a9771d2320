"""Run by an earlier revision's own Python: enqueues what its producers write. Prints nothing.

Arguments: the name of one of the functions below, and payloads by job id, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import islice
from typing import Any

import tasks
from tasks.results import consume

SHOP_TASK = "shop.done"
QUEUE_OF_SHOP = "shop"


def queued(payloads: dict[str, Any]) -> None:
    """Single ones of each priority, one with a dedupe key, one with a callback; many in one message."""
    from celery import Celery

    for priority in ("high", "normal", "low"):
        job_id = f"queued-{priority}"
        tasks.submit(payloads[job_id], job_id=job_id, metadata={"sku": priority}, priority=priority)
    tasks.submit(payloads["queued-keyed"], job_id="queued-keyed", dedupe_key="order-1", dedupe_ttl_s=10**8)
    with Celery("shop", broker="memory://", set_as_current=False) as shop:
        link = shop.signature(SHOP_TASK).set(queue=QUEUE_OF_SHOP)
        tasks.submit(payloads["queued-linked"], job_id="queued-linked", link=link)
    batched = [job_id for job_id in payloads if job_id.startswith("batched-")]
    for _ in tasks.submit_many([tasks.Submission(payloads[each], each) for each in batched]):
        pass


def one_by_one(payloads: dict[str, Any]) -> None:
    """Each in a message of its own."""
    for job_id, payload in payloads.items():
        unlisted = payload["workflow"] not in ("TEXT2IMAGE", "IMAGE2VIDEO", "CATVTON")
        tasks.submit(payload, job_id=job_id, unlisted=unlisted or None)


def in_a_named_batch(payloads: dict[str, Any]) -> None:
    """Where the revision knows such: they belong to the batch "night"."""
    for job_id, payload in payloads.items():
        tasks.submit(payload, job_id=job_id, batch="night")


def cancelled(payloads: dict[str, Any]) -> None:
    """Queued, and withdrawn before a worker met them."""
    one_by_one(payloads)
    for job_id in payloads:
        tasks.cancel(job_id)


def read_one(_: object) -> None:
    """A consumer takes one result, and dies before it is done with it."""
    for _ in islice(consume("shop", "reader", idle_timeout_s=0), 1):
        os._exit(0)


def read_one_output(_: object) -> None:
    """The same of outputs."""
    from tasks import outputs

    for _ in islice(outputs.consume("shop", "reader", idle_timeout_s=0), 1):
        os._exit(0)


if __name__ == "__main__":
    globals()[sys.argv[1]](json.loads(sys.argv[2]))
