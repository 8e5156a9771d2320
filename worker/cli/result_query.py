"""What is known of a job without a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from tasks import broker
from tasks.clients import reported
from tasks.times import utc_iso

if TYPE_CHECKING:
    from collections.abc import Iterable


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
