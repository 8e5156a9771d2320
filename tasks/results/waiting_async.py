"""Coroutines that wait for jobs' results: one dispatcher for all of an event loop, a task while they do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .. import broker
from ..clients import SOCKET_TIMEOUT_S, new_async_client, reported
from ..loops import on_loops_client
from ..result import Result
from .dispatcher import Dispatcher
from .lookup import Found, found, of_one
from .patience import Patience


class _OfLoop:
    """A dispatcher and the task that it runs in."""

    def __init__(self) -> None:
        client = new_async_client(broker.settings().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        self.dispatcher = Dispatcher(client, _found, Patience(None))
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.dispatcher.run(), name="aigc results")

    async def stop(self) -> None:
        self.dispatcher.has_ended = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=1.0)


_of_loops: dict[asyncio.AbstractEventLoop, _OfLoop] = {}


async def wait(job_id: str, timeout_s: float | None) -> Result:
    """The job's result, once it is there; raises TimeoutError."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Result] = loop.create_future()
    mine, has_to_look = _joined(loop, job_id, waiter)
    has_looked = False
    try:
        async with asyncio.timeout(timeout_s):
            if has_to_look:
                result, has_looked = await _look_up(job_id), True
                if result:
                    return result
            return await waiter
    except TimeoutError:
        if not has_looked and (result := await _look_up(job_id)):  # it was not even subscribed by then
            return result
        raise TimeoutError(f"job {job_id} has not ended within {timeout_s:g} s") from None
    finally:
        if mine.dispatcher.remove(job_id, waiter):
            if _of_loops.get(loop) is mine:
                del _of_loops[loop]
            await mine.stop()


def _joined(
    loop: asyncio.AbstractEventLoop, job_id: str, waiter: asyncio.Future[Result]
) -> tuple[_OfLoop, bool]:
    known = _of_loops.get(loop)
    if known is not None and known.dispatcher.settings == broker.settings():
        has_to_look = known.dispatcher.add(job_id, waiter)
        if has_to_look is not None:
            return known, has_to_look
    for closed in [other for other in list(_of_loops) if other.is_closed()]:
        _of_loops.pop(closed, None)
    mine = _of_loops[loop] = _OfLoop()
    mine.dispatcher.add(job_id, waiter)
    mine.start()
    return mine, False


async def _look_up(job_id: str) -> Result | None:
    with reported(broker.settings().results):
        return of_one(await _found([job_id]))


async def _found(job_ids: Sequence[str]) -> dict[str, Found]:
    return await on_loops_client(lambda client: found(client, job_ids))
