"""Dead letters: jobs that did not end well, and what an operator can do about them.

`unknown` jobs are held until somebody decides: an attempt may have been accepted. `exhausted` and `rejected`
ones have ended: somebody may queue them again or take them away, until they are cleared by age (`prune.lua`).
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.contract import ENQUEUED_AT_HEADER, Status
from tasks.envelope import jobs_of
from tasks.json_text import dumps_for_lua
from tasks.prices import Prices
from tasks.result import NewerResult, Result
from tasks.times import utc_iso
from worker.domain.message import Malformed, parse
from worker.store.audit import decision
from worker.store.keys import DEAD_LETTER_STATES, KeyNames
from worker.store.marshalling import followed_with
from worker.store.metric_fields import millionths
from worker.store.record import FIELDS, readable
from worker.store.scripts import Scripts

log = logging.getLogger(__name__)

PAGE: Final = 200

_ASKED_AT_ONCE: Final = 500
_REQUEST_IDS: Final = FIELDS["request_ids"].stored


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which jobs; None and the infinite bounds let all pass. Bounds are seconds since the epoch."""

    states: tuple[Status, ...] = DEAD_LETTER_STATES
    workflow: str | None = None
    code: str | None = None
    since_s: float = -math.inf
    until_s: float = math.inf

    def has(self, result: Result) -> bool:
        """Whether a job that ended in a wanted state, in time, is wanted."""
        return self.workflow in (None, result.workflow) and self.code in (None, result.error_code)


class DeadLetters:
    """The dead letters of one queue. Thread-safe.

    Args:
        keep_s: seconds for which the record of an unknown job is kept once it is decided about; the worker
            that held it may have asked for more, and is obeyed then.
        prices: what an accepted job adds to what was spent, as the metrics have it.
    """

    def __init__(
        self, scripts: Scripts, keys: KeyNames, keep_s: int = 0, prices: Prices | None = None
    ) -> None:
        self._keep_s, self._prices = keep_s, prices or Prices()
        self._scripts = scripts
        self._client = scripts.client
        self._keys = keys

    def count(self) -> dict[Status, int]:
        """How many jobs there are of each state."""
        return {state: self._client.zcard(self._keys.dead_letters(state)) for state in DEAD_LETTER_STATES}

    def find(self, wanted: DeadLetterFilter) -> Iterator[Result]:
        """The results of the jobs that are wanted, oldest first of each state.

        Read page by page, so jobs may be taken away while this goes on.
        """
        for state in wanted.states:
            for page in self._pages(state, wanted.since_s, wanted.until_s):
                for raw in self._client.hmget(self._keys.dead_letter_results, page):
                    result = read_result(raw)
                    if result is not None and result.status == state and wanted.has(result):
                        yield result

    def _pages(self, state: Status, since_s: float, until_s: float) -> Iterator[list[bytes]]:
        key, start, seen = self._keys.dead_letters(state), since_s, set[bytes]()
        while True:
            # From the last second on, past those of it that were seen: offsets would shift under a deletion.
            page = self._client.zrange(
                key, start, until_s, byscore=True, offset=0, num=PAGE + len(seen), withscores=True
            )
            fresh = [job_id for job_id, _ in page if job_id not in seen]
            if not fresh:
                return
            yield fresh
            start = page[-1][1]
            seen = {job_id for job_id, second in page if second == start}

    def get(self, job_id: str) -> Result | None:
        """The result with which the job became a dead letter; None where it is none."""
        raw = self._client.hget(self._keys.dead_letter_results, job_id)
        return read_result(raw)

    def record(self, job_id: str) -> dict[str, Any]:
        """What is known of the job, a dead letter or not; empty where it knows nothing."""
        record = readable(self._client.hgetall(self._keys.job(job_id)))
        due_ms = self._client.zscore(self._keys.delayed, job_id)
        return record | ({"due_ms": int(due_ms)} if record and due_ms else {})

    def request_ids(self, job_ids: list[str]) -> list[list[str]]:
        """For each job the request ids of all its attempts, oldest first."""
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._keys.job(job_id), _REQUEST_IDS)
            packed = (found or b"" for found in pipe.execute())
            return [readable({_REQUEST_IDS.encode(): ids})["request_ids"] for ids in packed]

    def job(self, job_id: str) -> dict[str, Any]:
        """Payload and time of enqueuing of a dead letter; empty where its message was not kept."""
        kept = self._client.hget(self._keys.dead_letter_messages, job_id) or b""
        try:
            message = parse(kept.partition(b"|")[2], "")
        except Malformed:
            return {}
        args, kwargs, _ = message.arguments
        jobs = jobs_of(message.task, message.job_id, args, kwargs, message.headers)
        payload = next((job.payload for job in jobs if job.id == job_id), None)
        return {"payload": payload, "enqueued_ms": message.headers.get(ENQUEUED_AT_HEADER)}

    def unkept(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these dead letters that cannot be queued again, for their messages were not kept."""
        found: list[bytes] = []
        for at in range(0, len(job_ids), _ASKED_AT_ONCE):
            found += self._scripts.run("unkept", *job_ids[at : at + _ASKED_AT_ONCE])
        return {job_id.decode() for job_id in found}

    def retry(self, result: Result, who: str) -> int:
        """Queue the job again; 1, 0 where it is none any more, -1 where no message was kept, -2 where another
        job was queued under its dedupe key since."""
        told = decision(who, "retry", job=result.job_id, was=result.status)
        return int(self._scripts.run("replay", result.job_id, result.status, told))

    def accept(self, result: Result, task_id: str, who: str) -> bool:
        """End an unknown job as accepted under this task id; False where it is not unknown any more."""
        told = decision(who, "accept", job=result.job_id, was=result.status, task=task_id)
        final = dataclasses.replace(
            result,
            status="submitted",
            task_id=task_id,
            error_code=None,
            error_msg=None,
            finished_at=utc_iso(),
        )
        return self._resolve(final, told, "accepted")

    def discard(self, result: Result, who: str) -> bool:
        """Take the job away, an unknown one with a last result; False where it is not there any more."""
        told = decision(who, "discard", job=result.job_id, was=result.status)
        if result.status != "unknown":
            return bool(self._scripts.run("resolve", result.job_id, result.status, told))
        final = dataclasses.replace(
            result,
            status="rejected",
            error_code="AIGC_DISCARDED",
            error_msg="an operator discarded it; an attempt may have been accepted",
            finished_at=utc_iso(),
        )
        return self._resolve(final, told, "rejected")

    def _resolve(self, final: Result, told: str, state: str) -> bool:
        final = dataclasses.replace(final, queue=self._keys.queue)
        price = self._prices.of(final.workflow)
        spent = [b"%d" % millionths(price)] if final.task_id and price is not None else []
        answer = self._scripts.run(
            "resolve", final.job_id, "unknown", told, final.to_json(), final.status, state,
            final.task_id or "", self._keep_s, dumps_for_lua(followed_with(final)), *spent,
        )  # fmt: skip
        return bool(answer)


def read_result(raw: bytes | None) -> Result | None:
    """A kept result; None where there is none, or only a later version of this program understands it."""
    try:
        return Result.from_json(raw) if raw else None
    except NewerResult as error:
        log.warning("a dead letter was passed over: %s; look with a newer `aigc`", error)
        return None
