"""What is known of a job without a result, and which result names a task."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from tasks import broker
from tasks.clients import reported
from tasks.contract import RESULT_FIELD
from tasks.json_text import dumps
from tasks.result import Result
from tasks.times import utc_iso
from worker.cli.message_query import backwards

if TYPE_CHECKING:
    from collections.abc import Iterable


_LOOK_EVERY: Final = 500


def of_task(task_id: str, seconds: float) -> Result | None:
    """The last result that names this task; None where none of those does that can be read in this time.

    Raises BrokerUnavailable.
    """
    # As it stands in a result's JSON: most of what is read needs no parsing then.
    needle = b'"taskId":' + dumps(task_id)
    end = time.monotonic() + seconds
    stream = broker.settings().results
    with reported(stream):
        for number, (_, fields) in enumerate(backwards(stream, "0")):
            text = fields.get(RESULT_FIELD.encode(), b"")
            if needle in text and (result := _result(text)):
                return result
            if number % _LOOK_EVERY == 0 and time.monotonic() > end:
                break
    return None


def _result(text: bytes) -> Result | None:
    try:
        return Result.from_json(text)
    except ValueError:
        return None


def without_a_result(jobs: Iterable[str]) -> Iterator[str]:
    """What the journal knows of jobs that have no result in the stream, a line for each.

    Raises BrokerUnavailable.
    """
    from worker.store.keys import KeyNames
    from worker.store.record import readable

    settings = broker.settings()
    keys = KeyNames(settings.queue, settings.results)
    for job in jobs:
        with reported():
            record = readable(cast("dict[bytes, bytes]", broker.redis_client().hgetall(keys.job(job))))
        yield f"job {job}: {_words(record)}"


def _words(record: dict[str, Any]) -> str:
    from worker.store.record import status_of

    if not record:
        return "no result, and no record: it waits in the queue, was never queued, or is forgotten"
    status = status_of(record["state"])
    if status is None and "cancel_asked_ms" in record:
        return "no result yet: it was cancelled, which is its result once its turn comes"
    if status is None:
        return f"no result yet: {_UNDER_WAY.get(record['state'], record['state'])}"
    when = f" at {utc_iso(record['finished_s'], precision='seconds')}" if record["finished_s"] else ""
    task = f", task {record['task_id']}" if record["task_id"] else ""
    return f"{status}{when}{task}; its result is in the stream no longer"


_UNDER_WAY: Final = {
    "reserved": "it waits in the queue or in a worker",
    "waiting": "it waits for its next attempt",
    "sending": "an attempt is under way",
    "orphan": "its worker died while sending it",
}
