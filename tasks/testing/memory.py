"""The backend of programs under test: their jobs, results and outputs stay in the process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic

from .. import broker
from ..backend import Reading
from ..contract import Priority, queue_for
from ..dedupe import Keyed
from ..envelope import jobs_of
from ..outputs.feed import OUTPUTS
from ..push import Push
from ..reading.feed import AnyFeed, Feed, M
from ..reading.patience import Patience
from ..results.feed import RESULTS
from .batches import CapturedBatches
from .jobs import CapturedJobs
from .played import Played

if TYPE_CHECKING:
    from celery import Celery


_OURS: Final = ("argsrepr", "kwargsrepr", "queue", "task_type", "result_cls", "producer", "add_to_parent")
"""Options of `send_task` that the program under test has not given."""


class InMemory:
    """`tasks.backend.Backend` without Redis."""

    def __init__(self) -> None:
        self.jobs = CapturedJobs()
        self.batches = CapturedBatches(self.jobs)
        self._keys: dict[str, tuple[str, float]] = {}
        self._played: dict[AnyFeed, Played[Any]] = {RESULTS: self.jobs.results, OUTPUTS: self.jobs.outputs}
        self._groups: dict[tuple[AnyFeed, str], _Group] = {}
        self._app: Celery | None = None

    def check_may_queue(self) -> None:
        """An eager app is welcome: no worker buys anything."""

    def push(self, push: Push) -> list[str]:
        push.close()
        for message in push.messages:
            self._add(message, push.to)
        return push.ids([self._push_once(each, push.to).encode() for each in push.keyed])

    async def push_async(self, push: Push) -> list[str]:
        await asyncio.sleep(0)  # as a caller of the real one, who may be cancelled here
        return self.push(push)

    def _push_once(self, keyed: Keyed, to: str) -> str:
        with self.jobs.lock:
            if holder := self._holder(keyed.key):
                return holder
            self._keys[keyed.key] = keyed.job_id, time.time() + keyed.ttl_s
        self._add(keyed.message, to, keyed.key)
        return keyed.job_id

    def _add(self, message: bytes, to: str, dedupe_key: str | None = None) -> None:
        document = json.loads(message)
        args, kwargs, _ = json.loads(b64decode(document["body"]))
        headers = document["headers"]
        for job in jobs_of(headers["task"], headers["id"], args, kwargs, headers):
            self.batches.reopen(self.jobs.add(job, priority=_priority(to), dedupe_key=dedupe_key).batch)

    def sent(self, name: str, args: Any, kwargs: Any, task_id: str, options: dict[str, Any]) -> None:
        """Celery was told to send a job, or many."""
        priority = options.get("priority")
        to = getattr(options.get("queue"), "name", options.get("queue"))
        plain = json.loads(json.dumps([args, kwargs]))  # as its message has them
        for job in jobs_of(name, task_id, plain[0], plain[1] or {}, options.get("headers") or {}):
            given = {
                name: value for name, value in options.items() if name not in _OURS and value is not None
            }
            urgency = _priority(to) if priority is None else priority
            self.batches.reopen(self.jobs.add(job, priority=urgency, options=given).batch)

    def celery_app(self) -> Celery:
        from .celery_app import capturing_app

        with self.jobs.lock:
            if self._app is None:
                self._app = capturing_app(self)
            return self._app

    def close(self) -> None:
        if self._app is not None:
            self._app.close()

    def holders(self, keys: Sequence[str]) -> list[str | None]:
        return [self._holder(key) for key in keys]

    def _holder(self, key: str) -> str | None:
        holder, until = self._keys.get(key, ("", 0.0))
        if time.time() >= until:
            return None
        ended = self.jobs.result(holder)
        is_free = ended and ended.status not in ("submitted", "unknown") and not ended.possible_duplicate
        return None if is_free else holder

    def cancel(self, job_id: str) -> bool:
        return self.jobs.cancel(job_id)

    def message(self, feed: Feed[M], of: str) -> M | None:
        return self._of(feed).last(of)

    def wait(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        waiter: Future[M] = Future()
        self._of(feed).when_told(of, waiter.set_result)
        try:
            return waiter.result(timeout_s)
        except TimeoutError:
            raise feed.timed_out(of, timeout_s) from None

    async def wait_async(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        waiter: Future[M] = Future()
        self._of(feed).when_told(of, waiter.set_result)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(waiter)
        except TimeoutError:
            raise feed.timed_out(of, timeout_s) from None

    def source(self, feed: Feed[M], reading: Reading) -> Told[M]:
        told = self._of(feed).told
        if reading.way == "consume":
            with self.jobs.lock:
                first = 0 if reading.start == "0" else len(told)
                group = self._groups.setdefault((feed, reading.group), _Group(first))
        else:
            group = _Group(len(told) if reading.way == "listen" else 0)
        return Told(told, group, self.jobs.lock, reading.patience)

    def _of(self, feed: Feed[M]) -> Played[M]:
        return self._played[feed]


class _Group:
    """What a consumer group was given of the messages; or a reader by itself."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.unhandled: list[int] = []


class Told(Generic[M]):
    """The messages that the test plays, as a `tasks.reading.drivers.Source`."""

    def __init__(self, told: list[M], group: _Group, lock: threading.RLock, patience: Patience) -> None:
        self._told, self._group, self._lock, self._patience = told, group, lock, patience

    async def open(self) -> None:
        self._patience.renew()

    async def messages(self) -> AsyncGenerator[M, None]:
        patience = self._patience
        while not patience.stopped():
            if (index := self._taken()) is not None:
                try:
                    yield self._told[index]
                except BaseException:
                    self._group.unhandled.append(index)
                    raise
                patience.renew()
            elif wait_s := patience.left(0.01):
                await patience.pause(wait_s)
            else:
                return

    def _taken(self) -> int | None:
        with self._lock:
            if self._group.unhandled:
                return self._group.unhandled.pop(0)
            if self._group.next == len(self._told):
                return None
            self._group.next += 1
            return self._group.next - 1

    async def close(self) -> None:
        """There is no connection."""


def _priority(to: str | None) -> str:
    queue = broker.settings().queue
    names: tuple[Priority, ...] = ("high", "low")
    return next((name for name in names if queue_for(queue, name) == to), "normal")
