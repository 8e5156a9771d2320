"""All jobs whose messages are in Redis, wherever they wait: read page by page, while workers go on.

A message is found though it moves: what may give one back to the lists is read before these, and what may
take one out of them after. Only one that goes to and fro meanwhile may be missed.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, Final

from .checks import is_job_id
from .clients import promptly
from .contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, TASK_NAME, lists_read_as
from .envelope import jobs_of
from .frozen import value
from .json_text import loads

_PAGE: Final = 50
"""Messages at a time: each may carry many jobs."""


@value(frozen=True, slots=True)
class Queued:
    """A job in a message. `stamped`: the message says when it was sent."""

    job_id: str
    workflow: str
    batch: str | None
    stamped: bool


def queued(client: Any, queue: str) -> Iterator[Queued | None]:
    """Each job, some twice; None for a message that cannot be read.

    Args:
        client: of the queue's Redis, for bytes.
    """
    for raw in chain(_delayed(client, queue), _backlogs(client, queue), _in_hands(client, queue)):
        yield from filter(None, read(raw))
    lists = chain.from_iterable(lists_read_as(queue))
    # From the end where messages come in: what is taken at the other end meanwhile moves none of those here.
    for raw in chain.from_iterable(_pages(client, name) for name in lists):
        yield from read(raw)
    for raw in chain(_in_hands(client, queue), _backlogs(client, queue), _delayed(client, queue)):
        yield from read(raw)


def read(raw: bytes) -> Iterator[Queued | None]:
    """The jobs of a message; None where it cannot be read here: a worker may know better."""
    try:
        message = loads(raw)
        headers = message["headers"]
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = b64decode(body)
        args, kwargs, _ = loads(body)
        task, message_id = headers["task"], headers["id"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield None
        return
    if task not in (TASK_NAME, BATCH_TASK_NAME) or not isinstance(message_id, str):
        yield None
        return
    stamped = isinstance(headers.get(ENQUEUED_AT_HEADER), int) and not headers.get("eta")
    for job in jobs_of(task, message_id, args, kwargs, {}):
        workflow = job.payload.get("workflow")
        if is_job_id(job.id):
            yield Queued(job.id, workflow if isinstance(workflow, str) else "", job.batch, stamped)


def _backlogs(client: Any, queue: str) -> Iterator[bytes]:
    backlogs = promptly(partial(client.smembers, f"{queue}:sidings"))
    for workflow in backlogs:
        yield from map(_kept, _pages(client, f"{queue}:siding:{workflow.decode()}"))


def _pages(client: Any, name: str) -> Iterator[bytes]:
    start = 0
    while page := promptly(partial(client.lrange, name, start, start + _PAGE - 1)):
        yield from page
        start += len(page)


def _in_hands(client: Any, queue: str) -> Iterator[bytes]:
    owners = promptly(partial(client.zrange, f"{queue}:workers", 0, -1))
    for owner in owners:
        yield from _values(client, f"{queue}:unacked:{owner.decode()}")


def _delayed(client: Any, queue: str) -> Iterator[bytes]:
    yield from map(_kept, _values(client, f"{queue}:waiting:messages"))


def _values(client: Any, key: str) -> Iterator[bytes]:
    cursor = 0
    while True:
        cursor, entries = promptly(partial(client.hscan, key, cursor, count=_PAGE))
        yield from entries.values()
        if not cursor:
            return


def _kept(entry: bytes) -> bytes:
    """The message of "<index of its list>|<message>"."""
    return entry.partition(b"|")[2]
