"""Product events into the queue: each in one script, many in one round trip, for asyncio."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from redis.exceptions import ConnectionError, NoScriptError, RedisError

from tasks.clients import new_async_client
from tasks.contract import Priority, queue_for
from tasks.dedupe import Keyed
from tasks.exceptions import BrokerUnavailable
from tasks.frozen import value
from tasks.json_text import dumps_for_lua
from tasks.redis_errors import refusal
from worker.store.keys import KeyNames
from worker.store.replies import may_answer
from worker.store.sources import source

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 0.7
NOTE_WITHIN_S: Final = 0.2
"""Together less than the second within which a sender is answered."""

PROBLEMS_KEPT: Final = 1000
ORDERS_A_CALL: Final = 50
DEBOUNCED_LONGEST: Final = 10
"""A product that is changed again and again waits at most for so many times its debounce."""


@value(frozen=True, slots=True)
class Order:
    """What one product of an event asks for.

    ``marks``: names under which it is known again. ``debounce``: which product it is, where jobs are to wait
    for ``wait_s`` seconds in case it changes again; else "". ``modified_ms`` is when it was changed.
    ``shop`` is the one in its purchase keys, None where they have none.
    """

    marks: tuple[str, ...]
    jobs: tuple[Keyed, ...]
    debounce: str = ""
    wait_s: float = 0.0
    modified_ms: int | None = None
    shop: str | None = None


@value(frozen=True, slots=True)
class Enqueued:
    """What became of an order: ``verdict`` is queued, seen or outdated; ``queued`` are the ids of its jobs,
    ``known`` of those that hold purchase keys already; ``replaced`` is how many of an earlier event waited.
    """

    verdict: str
    queued: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    replaced: int = 0


class EventQueue:
    """Puts orders into the queue. For one event loop; `close` it.

    Orders that come while a round trip is under way go together in the next one, over the one connection: a
    busy server needs no more, and each order is a script of its own all the same.

    Args:
        redis_url: of the queue's Redis.
        keys: of the queue.
        priority: of all jobs.
        remember_s: for how long an event is known again, in seconds.
    """

    def __init__(self, redis_url: str, keys: KeyNames, priority: Priority, remember_s: float) -> None:
        self._client: Any = new_async_client(redis_url, socket_timeout_s=ANSWER_WITHIN_S)
        self._keys = keys
        self._list = keys.lists.index(queue_for(keys.queue, priority))
        self._remember_ms = max(1, round(remember_s * 1000))
        self._script = source("enqueue_event")
        self._digest = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._waiting: list[tuple[Order, asyncio.Future[Enqueued]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._ping: asyncio.Task[bool] | None = None

    async def enqueue(self, order: Order) -> Enqueued:
        """Have its jobs in Redis, or learn that they are there.

        Raises:
            BrokerUnavailable: Redis is away, or refuses. It may be in Redis; to ask again is safe.
        """
        answer: asyncio.Future[Enqueued] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        with _in_words():
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer

    async def note(self, problem: str) -> None:
        """Keep what a person should find. Raises as `enqueue`."""
        with _in_words():
            async with asyncio.timeout(NOTE_WITHIN_S), self._client.pipeline(transaction=False) as calls:
                calls.lpush(self._keys.event_problems, problem)
                calls.hincrby(self._keys.counters, "event_problems", 1)
                calls.ltrim(self._keys.event_problems, 0, PROBLEMS_KEPT - 1)
                await calls.execute()

    async def trouble(self) -> str | None:
        """Why Redis does not take orders now, such as a wrong password; None where it does."""
        try:
            with _in_words():
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._client.ping()
        except BrokerUnavailable as error:
            return str(error)
        return None

    async def is_there(self) -> bool:
        """Whether Redis answers; however many ask at once, it is asked once."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._answers())
        return await asyncio.shield(self._ping)

    async def _answers(self) -> bool:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return bool(await self._client.ping())
        return False

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender
        await self._client.aclose()

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:ORDERS_A_CALL], self._waiting[ORDERS_A_CALL:]
            # Who asked has gone, and was told that nothing is sure.
            batch = [(order, answer) for order, answer in batch if not answer.done()]
            try:
                replies = await self._call([order for order, _ in batch])
            except Exception as error:
                replies = [error] * len(batch)
            for (order, answer), reply in zip(batch, replies, strict=True):
                if not answer.done():
                    _settle(answer, order, reply)

    async def _call(self, orders: Sequence[Order]) -> list[Any]:
        if not orders:
            return []
        try:
            replies = await self._run(orders)
        except ConnectionError:
            replies = await self._run(orders)  # a connection that Redis closed while idle: it is open anew
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self._client.script_load(self._script)
            replies = await self._run(orders)  # those that were run are told that they were seen
        return replies

    async def _run(self, orders: Sequence[Order]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as calls:
            for order in orders:
                calls.evalsha(self._digest, 1, self._keys.queue, *self._arguments(order))
            return list(await calls.execute(raise_on_error=False))

    def _arguments(self, order: Order) -> list[Any]:
        asked: dict[str, Any] = {
            "list": self._list,
            "marks": [_sha256(mark) for mark in order.marks],
            "mark_ms": self._remember_ms,
        }
        if order.shop is not None:
            asked["shop"] = order.shop
        if order.debounce:
            wait_ms = round(order.wait_s * 1000)
            asked |= {"debounce": _sha256(order.debounce), "wait_ms": wait_ms}
            asked["longest_ms"] = wait_ms * DEBOUNCED_LONGEST
            if order.modified_ms is not None:
                asked["modified"] = order.modified_ms
        arguments: list[Any] = [dumps_for_lua(asked)]
        for job in order.jobs:
            hold_ms = max(1, round(job.ttl_s * 1000))
            key = _sha256(job.key)
            arguments += (job.job_id, key, hold_ms, job.enqueued_ms, int(job.renews), job.message)
        return arguments


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        words = refusal(error) or f"Redis does not answer: {type(error).__name__} {error}".strip()
        raise BrokerUnavailable(words) from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _settle(answer: asyncio.Future[Enqueued], order: Order, reply: Any) -> None:
    if isinstance(reply, Exception):
        answer.set_exception(reply)
        return
    if not may_answer("enqueue_event", [None] * (1 + 6 * len(order.jobs)), reply):
        answer.set_exception(ConnectionError(f"not an answer to enqueue_event: {reply!r:.80}"))
        return
    verdict, replaced, *holders = reply
    asked = [job.job_id for job in order.jobs]
    held = [(job, holder.decode()) for job, holder in zip(asked, holders, strict=verdict == b"queued")]
    answer.set_result(
        Enqueued(
            verdict.decode(),
            tuple(holder for job, holder in held if holder == job),
            tuple(holder for job, holder in held if holder != job),
            replaced,
        )
    )
