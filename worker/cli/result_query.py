"""Which results are wanted, the last ones of the stream, and what is known of a job without a result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tasks import broker
from tasks.clients import reported
from tasks.contract import RESULT_FIELD, Status
from tasks.json_text import dumps
from tasks.result import Result
from tasks.times import utc_iso

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Which results; what is empty or None lets all pass.

    ``since_s``: published since, in seconds since the epoch by Redis's clock.
    """

    jobs: frozenset[str] = frozenset()
    statuses: frozenset[Status] = frozenset()
    since_s: float | None = None

    def has(self, result: Result) -> bool:
        """Whether a result that was published in time is wanted."""
        by_job = not self.jobs or result.job_id in self.jobs
        return by_job and (not self.statuses or result.status in self.statuses)

    @property
    def before_the_first(self) -> str:
        """The id of a stream entry after which the wanted ones come."""
        return "0" if self.since_s is None else str(max(0, int(self.since_s * 1000) - 1))


def last(count: int, wanted: ResultFilter) -> tuple[list[Result], str]:
    """The last so many results that are wanted, oldest first; and the entry after which the next ones come.

    Raises BrokerUnavailable.
    """
    found: list[Result] = []
    newest = wanted.before_the_first
    with reported(broker.settings().results):
        for index, (entry_id, fields) in enumerate(_backwards(wanted.before_the_first)):
            if index == 0:
                newest = entry_id
            if len(found) == count:
                break
            result = _result(fields)
            if result is not None and wanted.has(result):
                found.append(result)
    return found[::-1], newest


def of_task(task_id: str, seconds: float) -> Result | None:
    """The last result that names this task; None where none of those does that can be read in this time.

    Raises BrokerUnavailable.
    """
    # As it stands in a result's JSON: most of what is read needs no parsing then.
    needle = b'"taskId":' + dumps(task_id)
    end = time.monotonic() + seconds
    with reported(broker.settings().results):
        for number, (_, fields) in enumerate(_backwards("0")):
            if needle in fields.get(RESULT_FIELD.encode(), b"") and (result := _result(fields)):
                return result
            if number % _PAGE == 0 and time.monotonic() > end:
                break
    return None


def _backwards(first: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """Entries of the stream after that of this id, newest first."""
    client: Any = broker.redis_client()
    before = "+"
    while page := client.xrevrange(broker.settings().results, before, f"({first}", count=_PAGE):
        for entry_id, fields in page:
            yield entry_id.decode(), fields
        before = f"({page[-1][0].decode()}"


def _result(fields: dict[bytes, bytes]) -> Result | None:
    try:
        return Result.from_json(fields.get(RESULT_FIELD.encode(), b""))
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
