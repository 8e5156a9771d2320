"""Tasks that are followed, in Redis: leased when they are due, asked about, and ended once.

A task's record (`worker.store.task_record`) begins in the script that settles its job. Whoever takes a due
task leases it: its due time moves forward, and its fencing token counts up. A worker that dies loses its
lease, and one whose lease is over changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tasks.json_text import dumps_for_lua
from worker.store.keys import KeyNames
from worker.store.redis_wait import Wait
from worker.store.scripts import Scripts
from worker.store.task_values import EndVerdict, Learned, OpenTask, Taken, TaskEnd

TROUBLE_KEPT_S: Final = 3600
_NOTHING: Final = Learned()


class TaskStore:
    """The followed tasks of one queue, for workers. Thread-safe.

    Args:
        keys: with the name of the outputs.
        interval_s: between two queries of all workers.
        deadline_s: for which a task is followed.
        keep_s: for which the record of an ended task is kept.
        maxlen: outputs kept in the stream, about.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: KeyNames,
        *,
        interval_s: float,
        deadline_s: float,
        keep_s: int,
        maxlen: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._interval_ms = 1000 * interval_s
        self._deadline_ms = round(1000 * deadline_s)
        self._keep_s = keep_s
        self._maxlen = maxlen

    def take(self, most: int, lease_s: float) -> Taken:
        """Lease due tasks, each with its turn in the schedule of queries.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        reply = self._scripts.run(
            "take_tasks", most, f"{self._interval_ms:.3f}", round(1000 * lease_s), self._deadline_ms
        )
        now_ms, next_ms, *found = reply
        return Taken(
            now_ms,
            next_ms / 1000 if next_ms >= 0 else None,
            tuple(_open_task(each) for each in found if len(each) > 2),
            tuple((_text(each[0]), _text(each[1])) for each in found if len(each) == 2),
        )

    def postpone(self, task: OpenTask, gap_s: float, learned: Learned = _NOTHING) -> bool:
        """Ask again after so many seconds, or lease it for so long; whether it is this worker's still.

        Waits for Redis. Raises StoreClosed where the worker stops meanwhile.
        """
        noted = (learned.asked, learned.vendor_status, learned.url, learned.succeeded_ms, learned.keep_tries)
        args = ["" if each is None else each for each in noted]
        return bool(
            self._scripts.insist("postpone_task", task.task_id, task.token, round(1000 * gap_s), *args)
        )

    def end(self, task: OpenTask, end: TaskEnd) -> EndVerdict:
        """End a task; once, however often it is called, and by how many.

        Waits for Redis. Raises StoreClosed where the worker stops meanwhile.
        """
        told: dict[str, Any] = {
            "outputs": self._keys.outputs,
            "maxlen": self._maxlen,
            "status": end.status,
            "keep_s": self._keep_s,
        }
        if task.workflow and end.took_ms is not None:
            told |= {"workflow": task.workflow, "took_ms": end.took_ms}
        if end.is_unstored:
            told["unstored"] = True
        told_json, vendor_status = dumps_for_lua(told), end.vendor_status or ""
        return self._end(task, end.output_json, told_json, end.finished_ms, vendor_status)

    def finish(self, task: OpenTask) -> EndVerdict:
        """Do what Redis refused when a task ended. Waits for Redis, as `end`."""
        return self._end(task, "", "", "", "")

    def _end(self, task: OpenTask, *args: Any) -> EndVerdict:
        verdict: EndVerdict = self._scripts.insist("end_task", task.task_id, task.token, *args)[0].decode()
        return verdict

    def renew(self, task: OpenTask, lease_s: float) -> bool:
        """Lease it for so many seconds from now; whether it is this worker's still.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        args = task.task_id, task.token, round(1000 * lease_s), *5 * [""]
        return bool(self._scripts.run("postpone_task", *args))

    def note_trouble(self, owner: str, words: str) -> None:
        """Let operators see for an hour what keeps this worker from following.

        Raises:
            redis.RedisError: Redis is away, or refuses.
        """
        with self._scripts.client.pipeline(transaction=False) as pipe:
            pipe.hset(self._keys.task_troubles, owner, words)
            pipe.expire(self._keys.task_troubles, TROUBLE_KEPT_S)
            pipe.execute()

    def forget_trouble(self, owner: str) -> None:
        """Nothing does any more. Raises as `note_trouble`."""
        self._scripts.client.hdel(self._keys.task_troubles, owner)

    def wait(self) -> Wait:
        """How a caller that does not wait for Redis by itself pauses between two tries."""
        return self._scripts.wait("following")


def _open_task(found: Sequence[Any]) -> OpenTask:
    task_id, token, wait_ms, due_ms, *record = found
    job_id, workflow, version, metadata, accepted, deadline, adopted, asked, looked = record[:9]
    status, url, succeeded, tries, output, traceparent, tracestate = record[9:]
    return OpenTask(
        task_id=_text(task_id),
        token=token,
        wait_s=wait_ms / 1000,
        due_ms=due_ms,
        job_id=_or_none(job_id),
        workflow=_or_none(workflow),
        version=_or_none(version),
        metadata=_text(metadata or b"{}"),
        accepted_ms=int(accepted),
        deadline_ms=int(deadline or accepted),
        is_adopted=adopted == b"1",
        asked=int(asked or 0),
        looked_ms=int(looked) if looked else None,
        vendor_status=_or_none(status),
        url=_or_none(url),
        succeeded_ms=int(succeeded) if succeeded else None,
        keep_tries=int(tries or 0),
        output=_or_none(output),
        traceparent=_text(traceparent or b""),
        tracestate=_text(tracestate or b""),
    )


def _or_none(found: bytes | None) -> str | None:
    return None if found is None else _text(found)


def _text(found: bytes) -> str:
    return found.decode("utf-8", "replace")
